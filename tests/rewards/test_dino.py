"""DINO: what of an image it sees, which maps it gives, and its files."""

import pytest
import torch
from torch.nn import functional as F

from adagen.config import Transformer
from adagen.rewards.dino import MEAN, STD, adopt, load_dino, normalise, view
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator


def uniform(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch_generator("dino test"))


def draw(number: int) -> torch.Generator:
    return torch_generator("dino test", number)


# What it sees


def test_half_of_the_batches_are_cropped_at_one_window_and_the_others_reduced():
    images = uniform(3, 3, 20, 24)
    windows = {
        (top, left): images[:, :, top : top + 16, left : left + 16]
        for top in range(5)
        for left in range(9)
    }
    reduced, found = F.interpolate(images, (16, 16), mode="area"), []
    for number in range(400):
        seen = view(images, 16, generator=draw(number))
        if not torch.equal(seen, reduced):
            found += [place for place, window in windows.items() if torch.equal(seen, window)]
            assert torch.equal(seen, windows[found[-1]])
    assert 160 < len(found) < 240
    assert len(set(found)) == 45  # every window comes up, those at the edges too


@pytest.mark.parametrize("side", [8, 16])
def test_images_that_are_not_larger_are_never_cropped(side):
    images = uniform(2, 3, side, side)
    expected = images.repeat_interleave(16 // side, 2).repeat_interleave(16 // side, 3)
    for number in range(10):
        assert torch.allclose(view(images, 16, generator=draw(number)), expected, atol=1e-6)


def test_without_a_generator_the_whole_image_is_seen():
    images = uniform(2, 3, 32, 32)
    assert torch.allclose(view(images, 16, generator=None), F.avg_pool2d(images, 2), atol=1e-6)


def test_equal_draws_see_the_same():
    images = uniform(2, 3, 32, 32)
    for number in range(10):
        assert torch.equal(
            view(images, 16, generator=draw(number)), view(images, 16, generator=draw(number))
        )


def test_normalisation_is_imagenets():
    grey = torch.tensor(MEAN).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert normalise(grey).abs().max() == 0
    assert torch.allclose(normalise(torch.ones(1, 3, 1, 1)).flatten(),
                          (1 - torch.tensor(MEAN)) / torch.tensor(STD))  # fmt: skip


# Which maps it gives


def test_maps_are_the_chosen_blocks_and_the_embedded_patches_with_the_class_token_added(dino):
    inputs, outputs = [], []

    def remember(block, given, out):
        inputs.append(given)
        outputs.append(out)

    for block in dino.vit.blocks:
        block.register_forward_hook(remember)
    images = uniform(4, 3, 16, 16)
    maps = dino(images, None)
    assert maps.shape == (4, 3, 16, 16) and not maps.requires_grad  # maps, width, 4x4 patches
    assert dino.maps == 3
    for index, tokens in enumerate((outputs[0], outputs[2], inputs[0][0])):
        assert torch.allclose(maps[:, index], (tokens[:, 1:] + tokens[:, :1]).mT, atol=1e-5)
    # The whole transformer comes to the same tokens before its last norm.
    assert torch.allclose(dino.vit.norm(outputs[2]), dino.vit(normalise(images)), atol=1e-4)


def test_grey_images_count_as_three_equal_channels(dino):
    grey = uniform(2, 1, 16, 16)
    assert torch.equal(dino(grey, None), dino(grey.expand(-1, 3, -1, -1), None))


# Files


@pytest.fixture
def released(tmp_path, dino):
    """A file with the keys of the released one."""
    path = tmp_path / "dino.pth"
    torch.save(dino.vit.state_dict(), path)
    return path


def test_adopted_and_read_again(tmp_path, released, small, dino):
    out = tmp_path / "reward.safetensors"
    adopt(released, small, out=out)
    again, images = load_dino(out, small), uniform(2, 3, 16, 16)
    assert torch.equal(again(images, None), dino(images, None))
    assert not again.training and not any(p.requires_grad for p in again.parameters())


def test_weights_of_another_size_are_refused_by_name(tmp_path, released, small):
    out = tmp_path / "reward.safetensors"
    larger = small.model_copy(update={"network": Transformer(width=32, depth=3, heads=2)})
    with pytest.raises(AdagenError, match=r"dino\.pth"):
        adopt(released, larger, out=out)
    assert not out.exists()


def test_a_file_of_other_settings_is_refused(tmp_path, released, small):
    out = tmp_path / "reward.safetensors"
    adopt(released, small, out=out)
    with pytest.raises(AdagenError, match=r"reward\.safetensors .* Run `adagen pretrain reward`"):
        load_dino(out, small.model_copy(update={"blocks": (1,)}))


def test_the_released_layout(manifest):
    """The released discriminators hold DINO's 150 tensors below `dino.model.model.`."""
    from adagen.config import DinoFeatures
    from adagen.rewards.dino import Dino

    with torch.device("meta"):
        network = Dino(DinoFeatures(kind="dino"))
    prefix = "dino.model.model."
    expected = {
        key.removeprefix(prefix): shape
        for key, (shape, _) in manifest("adanat_discriminator_imagenet").items()
        if key.startswith(prefix)
    }
    assert len(expected) == 150
    assert {key: tuple(v.shape) for key, v in network.vit.state_dict().items()} == expected
