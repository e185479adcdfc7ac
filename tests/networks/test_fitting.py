"""Fitting frozen networks: exact resumption, averaging, mirrored images, and a stop at NaN."""

from functools import partial
from pathlib import Path

import pytest
import torch
from saving import save_every_update
from torch import nn
from torch.nn import functional as F

from adagen.config import Fit
from adagen.data.sources import ImageRows, StoredImages
from adagen.data.split import Images
from adagen.networks.fitting import Batch, fit
from adagen.runtime import checkpoints
from adagen.runtime.errors import AdagenError

SETTINGS = Fit(updates=12, batch=8, average=0.9)
IMAGES, LABELS = torch.rand(50, 1, 2, 2), torch.arange(50) % 3
DATA = Images(IMAGES, LABELS)


class Killed(Exception):
    """Stands for a kill: nothing in the code under test may catch it."""


def network() -> nn.Module:
    torch.manual_seed(0)
    # No bias before a norm, which would take it out again: its gradient is rounding, of which
    # AdamW makes whole steps, and those differ between devices.
    first = nn.Linear(4, 6, bias=False)
    return nn.Sequential(nn.Flatten(), first, nn.BatchNorm1d(6), nn.Dropout(0.0), nn.Linear(6, 3))


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
    return fit(
        network(), loss_function, data=DATA, settings=settings, name="toy", checkpoint=checkpoint
    )


@pytest.mark.parametrize("kills", [(5,), (0,), (1, 1, 7), (12,)])
def test_killed_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, monkeypatch, kills):
    save_every_update(monkeypatch)
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
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 3)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: next(clock))
    checkpoint = tmp_path / "toy.ckpt"
    with pytest.raises(Killed):
        run(KilledAt(7), checkpoint)
    counted = KilledAt(100)
    resumed = run(counted, checkpoint)
    assert SETTINGS.updates - 7 < 100 - counted.left < SETTINGS.updates
    whole = run()
    assert all(torch.equal(resumed.state_dict()[k], v) for k, v in whole.state_dict().items())


def test_a_checkpoint_of_other_settings_is_refused(tmp_path, monkeypatch):
    save_every_update(monkeypatch)
    checkpoint = tmp_path / "toy.ckpt"
    with pytest.raises(Killed):
        run(KilledAt(3), checkpoint)
    with pytest.raises(AdagenError, match=r"toy\.ckpt was written by another run or with other"):
        run(loss, checkpoint, learning_rate=1e-4)


@pytest.mark.parametrize(
    "other",
    [
        Images(IMAGES.flip(0), LABELS),
        Images(IMAGES, LABELS.flip(0)),
        Images(IMAGES, LABELS, "random"),
        Images(IMAGES[:40], LABELS[:40]),
        Images(IMAGES.flip(0), LABELS).encoded(lambda batch: batch),
    ],
    ids=["images", "labels", "flip", "fewer", "encoded"],
)
def test_a_checkpoint_of_other_images_is_refused(tmp_path, monkeypatch, other):
    save_every_update(monkeypatch)
    checkpoint = tmp_path / "toy.ckpt"
    with pytest.raises(Killed):
        run(KilledAt(3), checkpoint)
    with pytest.raises(AdagenError, match=r"toy\.ckpt .* (images|flip|rows) is .* Restore what"):
        fit(network(), loss, data=other, settings=SETTINGS, name="toy", checkpoint=checkpoint)
    assert run(loss, checkpoint) is not None


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
    fitted = fit(module, squares, data=DATA, settings=settings, name="linear")
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
    module[2].bias.requires_grad_(False)
    bias, state = module[2].bias.clone(), torch.get_rng_state()
    fit(module, loss, data=DATA, settings=SETTINGS, name="frozen")
    assert torch.equal(module[2].bias, bias)
    assert torch.equal(torch.get_rng_state(), state)


def test_updates_names_and_seeds_draw_their_own_batches():
    def rows(name: str, seed: int) -> torch.Tensor:
        seen = []

        def spy(module: nn.Module, batch: Batch) -> torch.Tensor:
            seen.append(batch.images)
            return loss(module, batch)

        settings = SETTINGS.model_copy(update={"seed": seed})
        fit(network(), spy, data=DATA, settings=settings, name=name)
        return torch.stack(seen)

    base = rows("toy", 0)
    assert torch.equal(base, rows("toy", 0))
    assert not torch.equal(base, rows("toy", 1))
    assert not torch.equal(base, rows("other", 0))
    assert not torch.equal(base[0], base[1])


def bytes_and_floats() -> tuple[ImageRows, torch.Tensor]:
    pixels = torch.randint(256, (50, 1, 2, 2), generator=torch.Generator().manual_seed(0))
    return StoredImages(pixels.to(torch.uint8)), pixels / 255


@pytest.mark.parametrize("flip", ["never", "random"])
def test_a_source_is_fitted_to_like_a_tensor(flip):
    states = [
        fit(
            network(), loss, data=Images(images, LABELS, flip), settings=SETTINGS, name="toy"
        ).state_dict()
        for images in bytes_and_floats()
    ]
    assert all(torch.equal(states[0][key], value) for key, value in states[1].items())


def test_random_flips_mirror_about_half_of_what_a_module_sees():
    def seen(flip: str) -> torch.Tensor:
        batches = []

        def spy(module: nn.Module, batch: Batch) -> torch.Tensor:
            batches.append(batch.images)
            return loss(module, batch)

        fit(network(), spy, data=Images(IMAGES, LABELS, flip), settings=SETTINGS, name="toy")
        return torch.cat(batches)

    plain, flipped = seen("never"), seen("random")  # the rows are drawn before the flips
    mirrored = (plain != flipped).flatten(1).any(1)
    assert torch.equal(flipped[mirrored], plain[mirrored].flip(-1))
    assert 0.3 < mirrored.float().mean() < 0.7


def test_flipped_runs_resume_exactly(tmp_path, monkeypatch):
    save_every_update(monkeypatch)
    source, _ = bytes_and_floats()
    flipped = partial(fit, data=Images(source, LABELS, "random"), settings=SETTINGS, name="toy")
    whole, checkpoint = flipped(network(), loss), tmp_path / "toy.ckpt"
    with pytest.raises(Killed):
        flipped(network(), KilledAt(5), checkpoint=checkpoint)
    resumed = flipped(network(), loss, checkpoint=checkpoint)
    assert all(torch.equal(resumed.state_dict()[k], v) for k, v in whole.state_dict().items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("devices", [("cuda", "cuda"), ("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_moves_between_devices(tmp_path, monkeypatch, devices):
    save_every_update(monkeypatch)

    def moved(module: nn.Module, batch: Batch) -> torch.Tensor:
        assert batch.generator.device.type == "cpu"
        noise = torch.randn(batch.images.shape, generator=batch.generator).to(batch.images.device)
        return F.cross_entropy(module(batch.images + 0.1 * noise), batch.labels)

    def killed(module: nn.Module, batch: Batch) -> torch.Tensor:
        left.pop()
        return moved(module, batch)

    left, checkpoint = [0] * 5, tmp_path / "toy.ckpt"
    first, second = map(torch.device, devices)
    toy = partial(fit, data=DATA, settings=SETTINGS, name="toy")
    with pytest.raises(IndexError):
        toy(network(), killed, checkpoint=checkpoint, device=first)
    resumed = toy(network(), moved, checkpoint=checkpoint, device=second)
    whole = toy(network(), moved).state_dict()
    for key, value in resumed.state_dict().items():
        assert value.device.type == second.type
        torch.testing.assert_close(value.cpu(), whole[key], atol=1e-4, rtol=1e-4)
