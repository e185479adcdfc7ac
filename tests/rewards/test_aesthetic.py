"""An aesthetic head on CLIP as a pre-trained reward, with random weights."""

import pytest
import safetensors.torch
import torch
from clips import write_clip
from torch import nn
from torch.nn import functional as F

from adagen.config import AestheticPreference, Dataset
from adagen.networks.clip import ClipImages
from adagen.rewards.aesthetic import adopt_aesthetic, build_head, load_aesthetic
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import seeded, torch_generator

IMAGES = torch.rand(4, 3, 16, 16, generator=torch_generator("aesthetic"))


@pytest.fixture
def adopt(tmp_path):
    """`adopt(head, **settings)`: the reward that a head on a random CLIP becomes, and the CLIP."""
    clip = write_clip(tmp_path / "tiny.json", tmp_path / "clip.safetensors")

    def adopted(head: dict[str, torch.Tensor], **keys):
        model = str(tmp_path / "tiny.json")
        settings = AestheticPreference(kind="aesthetic", model=model, **keys)
        safetensors.torch.save_file(head, tmp_path / "head.safetensors")
        adopt_aesthetic(
            tmp_path / "clip.safetensors",
            tmp_path / "head.safetensors",
            settings=settings,
            dataset=Dataset(),
            out=tmp_path / "preference.safetensors",
        )
        reward = load_aesthetic(tmp_path / "preference.safetensors", settings, dataset=Dataset())
        return reward, ClipImages(clip)

    return adopted


def layers() -> nn.Sequential:
    """Layers as the released head has them, with dropout between."""
    with seeded("head"):
        return nn.Sequential(nn.Linear(16, 8), nn.Dropout(), nn.Linear(8, 4), nn.Linear(4, 1))


def test_a_head_of_several_layers_and_one_of_a_single_layer(adopt):
    head = layers().eval()
    reward, tower = adopt({f"layers.{key}": value for key, value in head.state_dict().items()})
    with torch.no_grad():
        vectors = tower(IMAGES)
        assert torch.allclose(reward(IMAGES, torch.zeros(4).long()), head(vectors).squeeze(1))
        assert torch.allclose(vectors.norm(dim=1), torch.ones(4))
        assert not any(p.requires_grad for p in reward.parameters())
        single = nn.Linear(16, 1)
        reward, _ = adopt(dict(single.state_dict()))
        assert torch.allclose(reward(IMAGES, torch.arange(4)), single(vectors).squeeze(1))


def test_layers_may_have_a_function_between_them(adopt):
    head = layers().eval()
    reward, tower = adopt(dict(head.state_dict()), activation="relu")
    first, _, second, third = head
    with torch.no_grad():
        expected = third(F.relu(second(F.relu(first(tower(IMAGES))))))
    assert torch.allclose(reward(IMAGES, torch.zeros(4).long()), expected.squeeze(1))


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"layers.0.weight": torch.ones(1, 8), "layers.0.bias": torch.ones(1)}, "vectors of 8"),
        ({"weight": torch.ones(2, 16), "bias": torch.ones(2)}, "end in one number"),
        ({"weight": torch.ones(1, 16)}, "has not both a weight and a bias"),
        ({"norm.scale": torch.ones(16)}, "'norm.scale', which is no part"),
        ({"0.weight": torch.ones(1, 3, 3, 3), "0.bias": torch.ones(1)}, "no part of a head"),
    ],
)
def test_other_weights_are_refused(adopt, weights, told):
    with pytest.raises(AdagenError, match=told):
        adopt(weights)


def test_layers_are_in_the_order_of_their_numbers():
    weights = {f"{n}.weight": torch.full((1, 1), float(n)) for n in (10, 2)}
    weights |= {f"{n}.bias": torch.zeros(1) for n in (10, 2)}
    head = build_head(weights, "none", source="test")
    assert [float(layer.weight.detach()) for layer in head] == [2, 10]
