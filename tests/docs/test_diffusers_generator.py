"""The diffusers generator of docs/generators.md: the hand-made schedule is the stock scheduler."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import adagen
from adagen.config import Dataset, load_config, paradigms
from adagen.data.split import load_dataset
from adagen.generators.build import build_generator, load_backbone, pretrain, save_backbone

diffusers = pytest.importorskip("diffusers")
FOLDER = Path(__file__).parents[2] / "docs" / "examples" / "diffusers_generator"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def example():
    """The module of the example."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import diffusers_generator

        yield diffusers_generator
    sys.modules.pop("diffusers_generator")


@pytest.fixture(scope="module")
def flow(example):
    """A network of random weights, for digits."""
    torch.manual_seed(0)
    settings = example.Settings(paradigm="diffusers_flow", width=8, shift=2.0)
    return example.Flow(settings, (1, 8, 8), num_classes=10).eval().requires_grad_(False)


@pytest.mark.parametrize("guidance", [0.0, 1.5])
@torch.no_grad()
def test_its_hand_made_schedule_is_the_loop_of_diffusers(flow, guidance):
    """With diffusers' guidance_scale = 1 + w."""
    steps, labels, noise = 4, torch.tensor([3, 1, 4]), adagen.SampleNoise("test", 0, range(3))
    generator = flow.generator(steps, adagen.Handmade(guidance=guidance), smoothing=0.0)
    state = generator.start(labels, noise)
    for action in generator.actions.handmade:
        state = generator.step(state, action.expand(3, -1))

    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=2.0)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps).tolist())
    x, null, scale = noise.normal("start", 1, 8, 8), torch.full((3,), 10), 1 + guidance
    for t in scheduler.timesteps:
        conditional = flow.unet(x, t.expand(3), class_labels=labels).sample
        unconditional = flow.unet(x, t.expand(3), class_labels=null).sample
        velocity = unconditional + scale * (conditional - unconditional)
        x = scheduler.step(velocity, t, x).prev_sample
    torch.testing.assert_close(state.x, x, atol=1e-4, rtol=1e-4)


def test_it_is_what_adagen_expects_of_a_generator(flow):
    generator = flow.generator(3, adagen.Handmade(), smoothing=0.5)
    report = adagen.check_generator(generator, backbone=flow)
    assert all(check.passed for check in report.checks)


def test_it_is_fitted_saved_and_read_under_its_configuration(example, monkeypatch, tmp_path):
    monkeypatch.setattr(paradigms, "_IN_PYTHON", {})
    if not paradigms._entry_points("diffusers_flow"):
        adagen.register_generator("diffusers_flow", example.Flow)
    config = load_config([FOLDER / "config.yaml"])
    settings = config.generators["flow"].model_copy(
        update={"width": 8, "fit": adagen.Fit(updates=40, batch=32, learning_rate=5e-3)}
    )
    split, path = load_dataset(Dataset()), tmp_path / "flow.safetensors"
    fitted = pretrain("flow", settings, split=split, checkpoints=None)

    def error(backbone) -> float:
        random = torch.Generator().manual_seed(0)
        images, labels = split.heldout.images[:128], split.heldout.labels[:128]
        return float(backbone.loss(adagen.Batch(images, labels, random)))

    untrained = example.Flow(settings, (1, 8, 8), num_classes=10).requires_grad_(False)
    assert error(fitted) < 0.6 * error(untrained)
    save_backbone(
        path,
        "flow",
        backbone=fitted,
        settings=settings,
        dataset=config.dataset,
        image_shape=(1, 8, 8),
    )
    # The scheduler's shift is no part of the weights: the same file, another schedule.
    shifted = settings.model_copy(update={"shift": 3.0})
    read = load_backbone(path, "flow", settings=shifted, dataset=config.dataset)
    assert error(read) == error(fitted)
    times = build_generator(read, config.experiments["digits_flow_t4"]).actions.handmade[:, 0]
    expected = torch.tensor([0.9, 0.75, 0.5, 0.0])  # s -> 3 s / (1 + 2 s)
    torch.testing.assert_close(times, expected)
