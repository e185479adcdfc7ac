"""CLIP as a pre-trained reward, on a network of open_clip with random weights."""

import json

import open_clip
import pytest
import safetensors.torch
import torch
from torch.nn import functional as F

from adagen.config import ClipPreference, Dataset
from adagen.networks.clip import MEAN, STD, adopt_clip
from adagen.rewards.classifier import KIND
from adagen.rewards.clip import load_clip
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import seeded, torch_generator

SIZES = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
NAMES = ("goldfish", "great white shark", "hen")
SETTINGS = ClipPreference(kind="clip", model="adagen-test")


@pytest.fixture(scope="module", autouse=True)
def known(tmp_path_factory):
    """open_clip knows architectures by the files that describe them."""
    path = tmp_path_factory.mktemp("open_clip") / "adagen-test.json"
    path.write_text(json.dumps(SIZES))
    open_clip.add_model_config(path)


@pytest.fixture
def released():
    with seeded("clip test"):
        return open_clip.CLIP(**SIZES).eval()


@pytest.fixture
def asset(tmp_path, released):
    path = tmp_path / "clip.safetensors"
    safetensors.torch.save_file(released.state_dict(), path)
    return path


def images(n=6, channels=3, side=16):
    return torch.rand(n, channels, side, side, generator=torch_generator("clip images", side))


def expected(clip, x, labels, prompt="a photo of a {}."):
    """What open_clip itself says of images that are prepared already."""
    tokens = open_clip.get_tokenizer("adagen-test")([prompt.format(name) for name in NAMES])
    with torch.no_grad():
        x = clip.encode_image(
            (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        )
        return F.cosine_similarity(x, clip.encode_text(tokens)[labels])


LABELS = torch.tensor([0, 1, 2, 2, 1, 0])


def test_it_is_the_cosine_that_open_clip_computes(tmp_path, asset, released):
    out = tmp_path / "preference.safetensors"
    adopt_clip(asset, SETTINGS, kind=KIND, dataset=Dataset(), names=NAMES, out=out)
    clip = load_clip(out, SETTINGS, dataset=Dataset(), names=NAMES)
    found = clip(images(), LABELS)
    assert torch.allclose(found, expected(released, images(), LABELS), atol=1e-5)
    assert found.std() > 0.01 and found.abs().max() <= 1  # images and classes are told apart
    assert not any(p.requires_grad for p in clip.parameters())
    # The text tower has done its work.
    kept = set(safetensors.torch.load_file(out))
    assert "prompts" in kept and all(k.startswith("visual.") for k in kept - {"prompts"})
    # A file of torch.save holds the same, and is read without running anything in it.
    torch.save(released.state_dict(), tmp_path / "clip.pt")
    adopt_clip(
        tmp_path / "clip.pt",
        SETTINGS,
        kind=KIND,
        dataset=Dataset(),
        names=NAMES,
        out=tmp_path / "again",
    )
    assert torch.equal(
        load_clip(tmp_path / "again", SETTINGS, dataset=Dataset(), names=NAMES)(images(), LABELS),
        found,
    )


def test_images_of_any_size_and_grey_ones(tmp_path, asset, released):
    out = tmp_path / "preference.safetensors"
    adopt_clip(asset, SETTINGS, kind=KIND, dataset=Dataset(), names=NAMES, out=out)
    clip, grey = load_clip(out, SETTINGS, dataset=Dataset(), names=NAMES), images(channels=1)
    assert torch.allclose(
        clip(grey, LABELS), expected(released, grey.repeat(1, 3, 1, 1), LABELS), atol=1e-5
    )
    prepare = open_clip.image_transform(16, is_train=False, mean=MEAN, std=STD)
    large = (images(side=40) * 255).round() / 255
    from torchvision.transforms.functional import to_pil_image

    with torch.no_grad():
        prepared = torch.stack([prepare(to_pil_image(image)) for image in large])
        embedded = released.encode_image(prepared)
        ours = F.normalize(embedded, dim=1) * clip.prompts[LABELS]
    # Pillow rounds to 8 bits while it resizes.
    assert torch.allclose(clip(large, LABELS), ours.sum(1), atol=0.01)


def test_names_and_prompts_are_the_users(tmp_path, asset, released):
    names, out = tmp_path / "names.txt", tmp_path / "preference.safetensors"
    names.write_text("\n".join(NAMES) + "\n")
    settings = SETTINGS.model_copy(update={"names": str(names), "prompt": "a sketch of a {}"})
    adopt_clip(asset, settings, kind=KIND, dataset=Dataset(), names=("n01", "n02", "n03"), out=out)
    numbers = ("n01", "n02", "n03")
    found = load_clip(out, settings, dataset=Dataset(), names=numbers)(images(), LABELS)
    wanted = expected(released, images(), LABELS, "a sketch of a {}")
    assert torch.allclose(found, wanted, atol=1e-5)
    names.write_text("goldfish\nhen\ngreat white shark\n")  # edited, and the file not made again
    told = "made with the prompt 'a sketch of a great white shark', where 'a sketch of a hen' is"
    with pytest.raises(AdagenError, match=told):
        load_clip(out, settings, dataset=Dataset(), names=numbers)
    names.write_text("goldfish\nhen\n")
    with pytest.raises(AdagenError, match=r"names\.txt .* has 2 lines, but there are 3 classes"):
        adopt_clip(asset, settings, kind=KIND, dataset=Dataset(), names=NAMES, out=out)
    names.unlink()
    with pytest.raises(
        AdagenError, match=r"'preference\.names' is '.*', but there is no such file"
    ):
        adopt_clip(asset, settings, kind=KIND, dataset=Dataset(), names=NAMES, out=out)


@pytest.mark.parametrize("model", ["ViT-B-3200", "ViT-B-16-SigLIP", "roberta-ViT-B-32"])
def test_other_networks_than_clip_are_refused(tmp_path, asset, model):
    settings = SETTINGS.model_copy(update={"model": model})
    with pytest.raises(AdagenError, match=rf"'preference\.model' is '{model}', which is no CLIP"):
        adopt_clip(asset, settings, kind=KIND, dataset=Dataset(), names=NAMES, out=tmp_path / "out")


def test_files_that_do_not_belong_are_refused(tmp_path, asset, released):
    out = tmp_path / "preference.safetensors"
    torch.save({"visual.proj": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(AdagenError, match=r"other\.pt does not hold the expected CLIP"):
        adopt_clip(
            tmp_path / "other.pt", SETTINGS, kind=KIND, dataset=Dataset(), names=NAMES, out=out
        )
    assert not out.exists()
    adopt_clip(asset, SETTINGS, kind=KIND, dataset=Dataset(), names=NAMES, out=out)
    with pytest.raises(AdagenError, match="knows 3 classes, but the data set has 10"):
        load_clip(out, SETTINGS, dataset=Dataset(), names=tuple("0123456789"))
    other = SETTINGS.model_copy(update={"prompt": "{}"})
    with pytest.raises(AdagenError, match=r"something else: settings\.prompt is"):
        load_clip(out, other, dataset=Dataset(), names=NAMES)
