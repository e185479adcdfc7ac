"""Networks and generators that give what is no image: an error before anything is written."""

from pathlib import Path

import pytest
import torch

from adagen.data.samples import SamplesWriter
from adagen.generators.solver import SolverGenerator
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_tensors, save_tensors

SAMPLE = "sample --experiment flow_t2 --method handmade --generator flow.safetensors --out o"


def test_nan_in_a_network(ready):
    path = Path("flow.safetensors")
    whole = path.read_bytes()
    tensors, about = load_tensors(path, "generator")
    save_tensors(
        path, {key: torch.full_like(t, torch.nan) for key, t in tensors.items()}, about=about
    )
    message = ready.mistake(SAMPLE)
    assert "sample 0 of seed 0" in message and "not finite" in message
    path.write_bytes(whole)
    ready(SAMPLE)


@pytest.mark.parametrize("shift", [-0.5, 2.0])
def test_a_generator_that_leaves_the_range_of_images(ready, monkeypatch, shift):
    decode = SolverGenerator.decode
    with monkeypatch.context() as patch:
        patch.setattr(SolverGenerator, "decode", lambda self, state: decode(self, state) + shift)
        message = ready.mistake(SAMPLE)
    assert "seed 0 leaves the range [0, 1]" in message and "`decode`" in message
    ready(SAMPLE)


def test_the_first_image_out_of_range_is_named(tmp_path):
    images = torch.rand(3, 1, 2, 2)
    images[1, 0, 0, 0] = 1.001
    writer = SamplesWriter(tmp_path, (7,), count=6, shard=3)
    with pytest.raises(AdagenError, match="sample 4 of seed 7 leaves the range"):
        writer.add(7, range(3, 6), images=images, actions=torch.zeros(1, 3, 1), seconds=1.0)
    assert not list(tmp_path.iterdir())
