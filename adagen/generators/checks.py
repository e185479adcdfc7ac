"""Checks of a generator against its contract, on a few samples (docs/generators.md)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from adagen.generators.actions import Actions
from adagen.generators.attributes import check_attributes
from adagen.generators.base import Backbone, Generator, State
from adagen.generators.comparing import equal_tensors, largest_difference, tensors_of
from adagen.generators.reload_check import check_reload
from adagen.generators.report import Check, GeneratorReport
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise


def check_generator(
    generator: Generator[Any],
    *,
    backbone: Backbone | None = None,
    build: Callable[[], nn.Module] | None = None,
    samples: int = 3,
    tolerance: float = 1e-3,
    strict: bool = True,
) -> GeneratorReport:
    """Generate a few samples, and check what training, sampling and files rely on.

    A pass on a few samples is no proof: the checks see these samples under a few actions.

    The checks, by name:

    - `attributes`: the generator has all that `adagen.Generator` lists; without them, no other
      check is made.
    - `runs`: the hand-made schedule makes images.
    - `hand-made`: a policy that answers zeros reproduces the hand-made schedule.
    - `shapes`: of actions, raw states and images; images are float32, states count their calls.
    - `features`: of every state, (B, rows * columns, feature_width).
    - `finite`: features, raw states and images hold no NaN and no infinity.
    - `range`: images are in [0, 1], of more samples and under random actions too.
    - `seeds`: equal noise gives equal states and images, and other noise others.
    - `batches`: a sample is the same alone and among others, whose actions are others, too.
    - `actions`: other actions give other states.
    - `states`: a step leaves the state that it was given as it was.
    - `stochastic`: a step with other noise gives another state exactly if the generator says so.
    - `reload`: the backbone is the same after it was saved and read.

    Args:
        generator: on any device.
        backbone: its networks, for `reload`.
        build: makes such networks untrained; a subclass of `InstalledBackbone` needs none.
        samples: how many are generated at once; about twenty times as many altogether.
        tolerance: largest difference of two images that count as equal.
        strict: whether a failure raises.

    Returns:
        The report.

    Raises:
        AdagenError: a check failed, and `strict` is set; with all that failed.
    """
    title, attributes = type(generator).__name__, check_attributes(generator)
    if attributes.passed:
        actions = generator.actions
        title += f", {actions.calls} calls, actions {', '.join(actions.names)}"
        look = _Look(generator, samples, tolerance)
        checks = (attributes, *look.checks(), check_reload(backbone, build))
    else:
        checks = (attributes,)
    report = GeneratorReport(title, checks)
    if report.failures and strict:
        listed = "; ".join(f"{check.name}: {check.found}" for check in report.failures)
        raise AdagenError(
            f"{type(generator).__name__} is not what adagen expects of a generator. {listed}. "
            "docs/generators.md says what is expected, and what for."
        )
    return report


@dataclass(frozen=True)
class _Trajectory:
    """Samples under the hand-made schedule.

    Attributes:
        states: before the first action, and after each.
        images: of the last state.
        changed: calls whose step changed the state that it was given.
    """

    states: list[State]
    images: torch.Tensor
    changed: list[int]


Finding = tuple[bool | None, str]
RANGE_SEEDS = 3
"""Further batches whose range is checked, each under the hand-made schedule and random actions."""


class _Look:
    """The checks of one generator, which share trajectories."""

    def __init__(self, generator: Generator[Any], samples: int, tolerance: float) -> None:
        self.generator, self.samples, self.tolerance = generator, samples, tolerance
        self.together: _Trajectory
        self.reproducible = False

    def checks(self) -> Iterator[Check]:
        """Every check but `reload`; a check that raises has failed."""
        runs = self._check("runs", self.runs)
        yield runs
        yield self._check("hand-made", self.hand_made)
        rest: Mapping[str, Callable[[], Finding]] = {
            "shapes": self.shapes,
            "features": self.features,
            "finite": self.finite,
            "range": self.range,
            "seeds": self.seeds,
            "batches": self.batches,
            "actions": self.acted_on,
            "states": self.states,
            "stochastic": self.stochastic,
        }
        for name, check in rest.items():
            yield self._check(name, check) if runs.passed else Check(name, None, "it does not run")

    def _check(self, name: str, look: Callable[[], Finding]) -> Check:
        try:
            with torch.no_grad():
                return Check(name, *look())
        except _StageError as error:
            return Check(name, False, str(error))
        except Exception as error:  # whatever somebody else's generator raises
            return Check(name, False, f"raised {type(error).__name__}: {error}")

    def runs(self) -> Finding:
        """Make the trajectory that most checks look at."""
        self.together = self.generate(range(self.samples))
        return True, f"{self.samples} images under the hand-made schedule"

    def generate(
        self, indices: range, seed: int = 0, *, raw: torch.Tensor | None = None
    ) -> _Trajectory:
        """Samples of a seed, under raw outputs (T, B or 1, K) of a policy; by default zeros."""
        generator = self.generator
        noise = SampleNoise("check", seed, indices, generator.device)
        labels = generator.conditions.in_turn(indices.stop)[torch.tensor(indices)]
        labels = labels.to(generator.device)
        with _named("start"):
            states, changed = [generator.start(labels, noise)], []
        for call, action in enumerate(_reproduced(generator.actions, raw)):
            before = tensors_of(states[-1], copy=True)
            with _named(f"step at call {call}"):
                states.append(generator.step(states[-1], self.batched(action, len(indices))))
            if not equal_tensors(before, tensors_of(states[-2])):
                changed.append(call)
        with _named("decode"):
            return _Trajectory(states, generator.decode(states[-1]), changed)

    def batched(self, action: torch.Tensor, count: int) -> torch.Tensor:
        """Actions (B, K), of one for all samples (1, K) or of each."""
        return action.expand(count, -1).to(self.generator.device)

    def random(self, seed: int) -> torch.Tensor:
        """Raw outputs (T, B, K) of a policy, others for each sample."""
        calls, draw = self.generator.actions.calls, torch.Generator().manual_seed(seed)
        return 2 * torch.randn(
            calls, self.samples, len(self.generator.actions.names), generator=draw
        )

    def seen(self, trajectory: _Trajectory) -> list[torch.Tensor]:
        """Features and raw states after every call, and the images at the end."""
        raw = [self.generator.raw(state) for state in trajectory.states]
        return [*(state.features for state in trajectory.states), *raw, trajectory.images]

    def hand_made(self) -> Finding:
        """Zeros reproduce the hand-made schedule, in units of each action's largest value."""
        actions = self.generator.actions
        scale = actions.handmade.abs().amax(0).clamp(min=1)
        made = _reproduced(actions).squeeze(1)
        error = (made - actions.handmade).abs() / scale
        call, k = divmod(int(error.argmax()), len(actions.names))
        worst = f"{actions.names[k]} at call {call}"
        if not error.max() < 2e-3:
            return False, (
                f"zeros give {float(made[call, k]):.4g} for {worst}, where the "
                f"hand-made schedule has {float(actions.handmade[call, k]):.4g}, out of reach of "
                "its activation"
            )
        return True, f"largest difference {float(error.max()):.1g}"

    def shapes(self) -> Finding:
        """Actions, raw states and images have the shapes that the attributes say."""
        generator, actions = self.generator, self.generator.actions
        expected = (actions.calls, len(actions.names))
        if tuple(actions.handmade.shape) != expected or len(actions.squashes) != expected[1]:
            return False, (
                f"actions have {len(actions.names)} names, {len(actions.squashes)} squashes and a "
                f"hand-made schedule of shape {tuple(actions.handmade.shape)}"
            )
        calls = [state.call for state in self.together.states]
        if calls != list(range(actions.calls + 1)):
            return False, f"states say that they are after calls {calls}"
        raw = (self.samples, self.positions, generator.raw_width)
        for state in self.together.states:
            if (found := tuple(generator.raw(state).shape)) != raw:
                return False, f"raw states after call {state.call} are {found}, expected {raw}"
        images = self.together.images
        if images.ndim != 4 or len(images) != self.samples or images.dtype != torch.float32:
            return False, (
                f"images are {images.dtype} of shape {tuple(images.shape)}, expected float32 of "
                f"shape ({self.samples}, C, H, W)"
            )
        return True, f"images {tuple(images.shape[1:])}, raw states {raw[1:]}"

    @property
    def positions(self) -> int:
        """N of features and raw states."""
        return self.generator.grid[0] * self.generator.grid[1]

    def features(self) -> Finding:
        """The features of every state lie on the grid."""
        expected = (self.samples, self.positions, self.generator.feature_width)
        for state in self.together.states:
            if (found := tuple(state.features.shape)) != expected:
                return False, f"features after call {state.call} are {found}, expected {expected}"
        return True, f"{expected[1:]} on a grid of {self.generator.grid}"

    def finite(self) -> Finding:
        """No NaN and no infinity."""
        for state in self.together.states:
            for name, value in (("features", state.features), ("raw", self.generator.raw(state))):
                if not torch.isfinite(value).all():
                    return False, f"{name} after call {state.call} hold NaN or infinity"
        if not torch.isfinite(self.together.images).all():
            return False, "images hold NaN or infinity"
        return True, "features, raw states and images"

    def range(self) -> Finding:
        """Images are in [0, 1]; NaN is the business of `finite`."""
        found = [("the hand-made schedule", self.together.images)]
        for seed in range(RANGE_SEEDS):
            each = (("the hand-made schedule", None), ("random actions", self.random(seed)))
            for name, outputs in each:
                images = self.generate(range(self.samples), 2 + seed, raw=outputs).images
                found.append((name, images))
        low, high = float("inf"), -float("inf")
        for name, images in found:
            known = images[~images.isnan()]
            if not len(known):
                continue
            low, high = min(low, float(known.min())), max(high, float(known.max()))
            if low < 0 or high > 1:
                return False, f"images from {low:.4g} to {high:.4g} under {name}"
        if low > high:
            return None, "all is NaN"
        return True, f"images from {low:.4g} to {high:.4g}, under random actions too"

    def seeds(self) -> Finding:
        """The noise decides the image, and nothing else does."""
        images = self.together.images
        again, first = self.seen(self.generate(range(self.samples))), self.seen(self.together)
        errors = [largest_difference(a, b) for a, b in zip(again, first, strict=True)]
        what = "images" if (error := errors[-1]) > self.tolerance else "features or raw states"
        if max(errors) > self.tolerance:
            return False, f"equal noise gives {what} that differ by {max(errors):.2g}"
        self.reproducible = True
        if not largest_difference(self.generate(range(self.samples), seed=1).images, images) > 0:
            return False, "another seed gives the same images"
        return True, f"equal noise gives images that differ by {error:.1g}"

    def batches(self) -> Finding:
        """A sample doesn't see who is beside it, nor what is done there."""
        if not self.reproducible:
            return None, "equal noise gives other images already"
        raw = self.random(0)
        together = self.generate(range(self.samples), raw=raw).images
        found = []
        for i in range(self.samples):
            alone, driven = self.generate(range(i, i + 1)), raw[:, i : i + 1]
            found.append((largest_difference(alone.images[0], self.together.images[i]), i, ""))
            alone = self.generate(range(i, i + 1), raw=driven)
            found.append((largest_difference(alone.images[0], together[i]), i, " of other actions"))
        error, worst, others = max(found)
        return error <= self.tolerance, (
            f"sample {worst} alone and among others{others} differs by {error:.1g}"
        )

    def acted_on(self) -> Finding:
        """Actions have an effect."""
        other = self.seen(self.generate(range(self.samples), raw=self.random(0)))
        if equal_tensors(other, self.seen(self.together)):
            return False, "other actions change no state and no image: `step` ignores them"
        return True, "other actions give other states"

    def states(self) -> Finding:
        """A state can be used again: look-ahead and training do."""
        if self.together.changed:
            return (
                False,
                f"a step changes the state that it is given, at calls {self.together.changed}",
            )
        return True, "a step leaves its state as it is"

    def stochastic(self) -> Finding:
        """Other noise leads to another next state exactly where the generator says so."""
        if not self.reproducible:
            return None, "equal noise gives other images already"
        schedule, drawn = _reproduced(self.generator.actions), False
        for state, action in zip(self.together.states, schedule, strict=False):
            draw = self.generator.branches(state, self.batched(action, self.samples))
            other = draw(state.noise.candidate("check", 1))
            drawn |= not equal_tensors(tensors_of(draw(state.noise)), tensors_of(other))
        says = f"stochastic is {self.generator.stochastic}"
        if drawn != self.generator.stochastic:
            return (
                False,
                f"{says}, but other noise {'changes' if drawn else 'never changes'} a step",
            )
        return True, says


def _reproduced(actions: Actions, raw: torch.Tensor | None = None) -> torch.Tensor:
    """(T, B, K) actions of a policy that answers raw outputs (T, B, K); by default one, zeros."""
    answers = torch.zeros(actions.calls, 1, len(actions.names)) if raw is None else raw
    z, rows = None, []
    for call, answer in enumerate(answers):
        z = actions.smooth(z, answer, call=call)
        rows.append(actions.squash(z))
    return torch.stack(rows)


class _StageError(Exception):
    """Somebody else's exception, with the method that it was raised in."""


@contextmanager
def _named(stage: str) -> Iterator[None]:
    """Say of an exception in the block in which method it was raised."""
    try:
        yield
    except Exception as error:
        raise _StageError(f"{stage} raised {type(error).__name__}: {error}") from error
