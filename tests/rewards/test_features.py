"""The frozen features of the reward: what they are, how they are fitted, and their files."""

import pytest
import torch

from adagen.config import Dataset, Fit, RewardFeatures, Transformer
from adagen.data.split import Images, load_dataset
from adagen.networks.fitting import Batch
from adagen.rewards.features import (
    MaskedAutoencoder,
    fit_reward_features,
    load_reward_features,
    save_reward_features,
)
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import save_tensors
from adagen.runtime.noise import seeded, torch_generator

SETTINGS = RewardFeatures(
    network=Transformer(width=16, depth=2, heads=2), fit=Fit(updates=150, batch=64, seed=2)
)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return load_dataset(Dataset()).train.images


def untrained() -> MaskedAutoencoder:
    with seeded("features test"):
        return MaskedAutoencoder(SETTINGS, (1, 8, 8)).eval()


def test_maps_are_the_blocks_tokens_with_the_class_token_added(images):
    network, outputs = untrained(), []
    for block in network.vit.blocks:
        block.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    maps = network(images[:5])
    assert maps.shape == (5, 2, 16, 16) and not maps.requires_grad  # depth, width, 4x4 patches
    for index, tokens in enumerate(outputs):
        expected = (tokens[:, 1:] + tokens[:, :1]).mT
        assert torch.allclose(maps[:, index], expected, atol=1e-6)


def test_each_image_has_its_own_features(images):
    network = untrained()
    together = network(images[:9])
    alone = torch.cat([network(images[i : i + 1]) for i in range(9)])
    assert torch.allclose(together, alone, atol=1e-5)


def batch(images: torch.Tensor) -> Batch:
    return Batch(images, torch.zeros(len(images)), torch_generator("features test"))


def test_the_loss_is_that_of_hidden_patches_which_are_not_seen(images):
    network, images, seen, tokens = untrained(), images[:50], [], []
    network.vit.patch_embed.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    network.head.register_forward_hook(lambda _, __, output: tokens.append(output))
    loss = network.loss(batch(images))

    def patches(x):
        return x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4).flatten(1, 3)  # (B, 16, 4)

    grey = (patches(seen[0]) == 0.5).all(-1)
    assert torch.equal(patches(seen[0])[~grey], patches(images)[~grey])
    assert abs(grey.float().mean() - SETTINGS.mask) < 0.05
    error = (tokens[0] - patches(images)).square().mean(-1)
    assert torch.allclose(loss, error[grey].mean())
    assert not torch.allclose(loss, error.mean())


def test_fitting_learns_to_fill_in_and_never_looks_at_labels(images):
    fitted = fit_reward_features(
        SETTINGS, Images(images, torch.zeros(len(images))), checkpoint=None
    )
    before, after = (network.loss(batch(images[:300])) for network in (untrained(), fitted))
    guess = images.std() ** 2  # what knowing the mean costs
    assert after < 0.7 * guess < before
    assert not any(p.requires_grad for p in fitted.parameters())
    other = fit_reward_features(
        SETTINGS, Images(images, torch.arange(len(images))), checkpoint=None
    )
    assert all(torch.equal(fitted.state_dict()[k], v) for k, v in other.state_dict().items())


def test_there_and_back(tmp_path, images):
    path, network = tmp_path / "reward.safetensors", untrained()
    save_reward_features(path, network, image_shape=[1, 8, 8])
    again = load_reward_features(path, SETTINGS)
    assert torch.equal(again(images[:5]), network(images[:5]))
    assert not again.training and not any(p.requires_grad for p in again.parameters())


@pytest.mark.parametrize("change", [{"mask": 0.4}, {"network": Transformer(width=32, heads=2)}])
def test_a_file_of_other_settings_is_refused(tmp_path, change):
    path = tmp_path / "reward.safetensors"
    save_reward_features(path, untrained(), image_shape=[1, 8, 8])
    with pytest.raises(AdagenError, match=r"reward\.safetensors .* Run `adagen pretrain reward`"):
        load_reward_features(path, SETTINGS.model_copy(update=change))


def test_a_file_of_another_kind_or_cut_short_is_refused(tmp_path):
    path = tmp_path / "reward.safetensors"
    save_tensors(path, {}, about={"kind": "policy"})
    with pytest.raises(AdagenError, match="holds a policy file where a reward features file"):
        load_reward_features(path, SETTINGS)
    save_reward_features(path, untrained(), image_shape=[1, 8, 8])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(AdagenError, match="truncated, damaged or"):
        load_reward_features(path, SETTINGS)


def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(AdagenError, match=r"reward_features\.patch is 3, .* 8x8: choose a divisor"):
        MaskedAutoencoder(SETTINGS.model_copy(update={"patch": 3}), (1, 8, 8))
