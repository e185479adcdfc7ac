"""Fitting frozen networks: exact resumption, averaging, and a stop at NaN."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adagen import fitting
from adagen.config import Fit
from adagen.errors import AdagenError
from adagen.fitting import Batch, fit

SETTINGS = Fit(updates=12, batch=8, average=0.9)
IMAGES, LABELS = torch.rand(50, 1, 2, 2), torch.arange(50) % 3


class Killed(Exception):
    """Stands for a kill: nothing in the code under test may catch it."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.0), nn.Linear(6, 3)
    )


def loss(module: nn.Module, batch: Batch) -> torch.Tensor:
    noise = torch.randn(batch.images.shape, generator=batch.generator)
    return F.cross_entropy(module(batch.images + 0.1 * noise), batch.labels)


class KilledAt:
    """The loss, until a kill at its n-th call."""

    def __init__(self, call: int) -> None:
        self.left = call

    def __call__(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        if self.left == 0:
            raise Killed
        self.left -= 1
        return loss(module, batch)


def run(loss_function=loss, checkpoint: Path | None = None, **changes: object) -> nn.Module:
    settings = SETTINGS.model_copy(update=changes)
    return fit(network(), loss_function, IMAGES, LABELS, settings, "toy", checkpoint)


@pytest.mark.parametrize("kills", [(5,), (0,), (1, 1, 7), (12,)])
def test_killed_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, monkeypatch, kills):
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", -1)
    checkpoint = tmp_path / "toy.ckpt"
    for calls in kills:
        if calls < SETTINGS.updates:
            with pytest.raises(Killed):
                run(KilledAt(calls), checkpoint)
        else:
            run(loss, checkpoint)
    counted = KilledAt(SETTINGS.updates - sum(kills))
    resumed, whole = run(counted, checkpoint), run()
    assert counted.left == 0  # no update was made twice
    assert all(torch.equal(resumed.state_dict()[k], v) for k, v in whole.state_dict().items())


def test_a_kill_between_checkpoints_repeats_updates_exactly(tmp_path, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 3)
    monkeypatch.setattr(fitting.time, "monotonic", lambda: next(clock))
    checkpoint = tmp_path / "toy.ckpt"
    with pytest.raises(Killed):
        run(KilledAt(7), checkpoint)
    counted = KilledAt(100)
    resumed = run(counted, checkpoint)
    assert SETTINGS.updates - 7 < 100 - counted.left < SETTINGS.updates
    whole = run()
    assert all(torch.equal(resumed.state_dict()[k], v) for k, v in whole.state_dict().items())


def test_a_checkpoint_of_other_settings_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", -1)
    checkpoint = tmp_path / "toy.ckpt"
    with pytest.raises(Killed):
        run(KilledAt(3), checkpoint)
    with pytest.raises(AdagenError, match=r"toy\.ckpt was written by another run or with other"):
        run(loss, checkpoint, learning_rate=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_and_says_where(value):
    seen = []

    def breaks(module: nn.Module, batch: Batch) -> torch.Tensor:
        seen.append(1)
        return loss(module, batch) * (value if len(seen) == 4 else 1)

    with pytest.raises(AdagenError, match=rf"toy: the loss is {value} at update 3\. Lower"):
        run(breaks)


def test_the_result_is_frozen_averaged_and_better():
    def error(module: nn.Module) -> float:
        with torch.no_grad():
            return float((module(IMAGES) - IMAGES.flatten(1)).square().mean())

    def squares(module: nn.Module, batch: Batch) -> torch.Tensor:
        return (module(batch.images) - batch.images.flatten(1)).square().mean()

    torch.manual_seed(1)
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
    before = error(module)
    settings = Fit(updates=200, batch=50, learning_rate=0.02)
    fitted = fit(module, squares, IMAGES, LABELS, settings, "linear")
    assert fitted is module and not fitted.training
    assert not any(p.requires_grad for p in fitted.parameters())
    assert error(fitted) < before / 20


def test_the_average_is_the_one_that_is_documented():
    passed = []

    def watched(module: nn.Module, batch: Batch) -> torch.Tensor:
        passed.append(module[1].weight.detach().clone())
        return loss(module, batch)

    averaged = run(watched)[1].weight
    # Without averaging the run ends with its last weights; its way there is the same.
    passed.append(run(average=0.0)[1].weight)
    expected = passed[0]
    for update, weight in enumerate(passed[1:]):
        keep = min(SETTINGS.average, (1 + update) / (10 + update))
        expected = keep * expected + (1 - keep) * weight
    assert torch.allclose(averaged, expected, atol=1e-6)
    assert not torch.allclose(averaged, passed[-1], atol=1e-6)


def test_frozen_parameters_and_global_randomness_are_left_alone():
    module = network()
    module[1].bias.requires_grad_(False)
    bias, state = module[1].bias.clone(), torch.get_rng_state()
    fit(module, loss, IMAGES, LABELS, SETTINGS, "frozen")
    assert torch.equal(module[1].bias, bias)
    assert torch.equal(torch.get_rng_state(), state)


def test_updates_names_and_seeds_draw_their_own_batches():
    def rows(name: str, seed: int) -> torch.Tensor:
        seen = []

        def spy(module: nn.Module, batch: Batch) -> torch.Tensor:
            seen.append(batch.images)
            return loss(module, batch)

        settings = SETTINGS.model_copy(update={"seed": seed})
        fit(network(), spy, IMAGES, LABELS, settings, name)
        return torch.stack(seen)

    base = rows("toy", 0)
    assert torch.equal(base, rows("toy", 0))
    assert not torch.equal(base, rows("toy", 1))
    assert not torch.equal(base, rows("other", 0))
    assert not torch.equal(base[0], base[1])
