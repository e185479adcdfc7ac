"""What is expected of a generator, checked on a few samples (docs/generators.md)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from adagen.generators.actions import Actions
from adagen.generators.base import Backbone, Generator, State
from adagen.generators.installed import InstalledBackbone
from adagen.generators.reloading import reload_difference
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

    The checks, by name:

    - `runs`: the hand-made schedule makes images.
    - `hand-made`: a policy that answers zeros reproduces the hand-made schedule.
    - `shapes`: of actions, raw states and images; images are float32, states count their calls.
    - `features`: of every state, (B, rows * columns, feature_width).
    - `finite`: features, raw states and images hold no NaN and no infinity.
    - `range`: images are in [0, 1].
    - `seeds`: equal noise gives equal images, and other noise others.
    - `batches`: a sample is the same alone and among others.
    - `states`: a step leaves the state that it was given as it was.
    - `stochastic`: a step with other noise gives another state exactly if the generator says so.
    - `reload`: the backbone is the same after it was saved and read.

    Args:
        generator: on any device.
        backbone: its networks, for `reload`.
        build: makes such networks untrained; a subclass of `InstalledBackbone` needs none.
        samples: how many are generated at once; about five times as many altogether.
        tolerance: largest difference of two images that count as equal.
        strict: whether a failure raises.

    Returns:
        The report.

    Raises:
        AdagenError: a check failed, and `strict` is set; with all that failed.
    """
    names = ", ".join(generator.actions.names)
    title = f"{type(generator).__name__}, {generator.actions.calls} calls, actions {names}"
    look = _Look(generator, samples, tolerance)
    report = GeneratorReport(title, (*look.checks(), _reload(backbone, build)))
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
            "states": self.states,
            "stochastic": self.stochastic,
        }
        for name, check in rest.items():
            yield self._check(name, check) if runs.passed else Check(name, None, "it does not run")

    def _check(self, name: str, look: Callable[[], Finding]) -> Check:
        try:
            with torch.no_grad():
                return Check(name, *look())
        except Exception as error:  # whatever somebody else's generator raises
            return Check(name, False, f"raised {type(error).__name__}: {error}")

    def runs(self) -> Finding:
        """Make the trajectory that most checks look at."""
        self.together = self.generate(range(self.samples))
        return True, f"{self.samples} images under the hand-made schedule"

    def generate(self, indices: range, seed: int = 0) -> _Trajectory:
        """Samples of a seed, as the policy of zeros makes them."""
        generator = self.generator
        noise = SampleNoise("check", seed, indices, generator.device)
        labels = torch.tensor([index % generator.num_classes for index in indices])
        labels = labels.to(generator.device)
        states, changed = [generator.start(labels, noise)], []
        for call, action in enumerate(_reproduced(generator.actions)):
            before = _tensors(states[-1], copy=True)
            states.append(generator.step(states[-1], self.batched(action, len(indices))))
            if not _same(before, _tensors(states[-2])):
                changed.append(call)
        return _Trajectory(states, generator.decode(states[-1]), changed)

    def batched(self, action: torch.Tensor, count: int) -> torch.Tensor:
        """One action (K,) for all samples (B, K)."""
        return action.expand(count, -1).to(self.generator.device)

    def hand_made(self) -> Finding:
        """Zeros reproduce the hand-made schedule, in units of each action's largest value."""
        actions = self.generator.actions
        scale = actions.handmade.abs().amax(0).clamp(min=1)
        error = (_reproduced(actions) - actions.handmade).abs() / scale
        call, k = divmod(int(error.argmax()), len(actions.names))
        worst = f"{actions.names[k]} at call {call}"
        if not error.max() < 2e-3:
            return False, (
                f"zeros give {float(_reproduced(actions)[call, k]):.4g} for {worst}, where the "
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
        images = self.together.images[~self.together.images.isnan()]
        if not len(images):
            return None, "all is NaN"
        low, high = float(images.min()), float(images.max())
        return low >= 0 and high <= 1, f"images from {low:.4g} to {high:.4g}"

    def seeds(self) -> Finding:
        """The noise decides the image, and nothing else does."""
        images = self.together.images
        again = self.generate(range(self.samples)).images
        if (error := _distance(again, images)) > self.tolerance:
            return False, f"equal noise gives images that differ by {error:.2g}"
        self.reproducible = True
        if not _distance(self.generate(range(self.samples), seed=1).images, images) > 0:
            return False, "another seed gives the same images"
        return True, f"equal noise gives images that differ by {error:.1g}"

    def batches(self) -> Finding:
        """A sample doesn't see who is beside it."""
        if not self.reproducible:
            return None, "equal noise gives other images already"
        errors = [
            _distance(self.generate(range(i, i + 1)).images[0], self.together.images[i])
            for i in range(self.samples)
        ]
        worst = max(range(self.samples), key=errors.__getitem__)
        return errors[worst] <= self.tolerance, (
            f"sample {worst} alone and among others differs by {errors[worst]:.1g}"
        )

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
            drawn |= not _same(_tensors(draw(state.noise)), _tensors(other))
        says = f"stochastic is {self.generator.stochastic}"
        if drawn != self.generator.stochastic:
            return (
                False,
                f"{says}, but other noise {'changes' if drawn else 'never changes'} a step",
            )
        return True, says


def _reload(backbone: Backbone | None, build: Callable[[], nn.Module] | None) -> Check:
    """The check `reload`."""
    if backbone is None:
        return Check("reload", None, "no backbone was given")
    if build is None and isinstance(backbone, InstalledBackbone):
        build = partial(
            type(backbone),
            backbone.section,
            backbone.image_shape,
            num_classes=backbone.num_classes,
        )
    if build is None:
        return Check("reload", None, "give `build`, which makes such networks untrained")
    found = reload_difference(backbone, build)
    return Check("reload", found is None, found or "the same after it was saved and read")


def _reproduced(actions: Actions) -> torch.Tensor:
    """(T, K) actions of a policy that answers zeros."""
    z, rows = None, []
    for call in range(actions.calls):
        z = actions.smooth(z, torch.zeros(1, len(actions.names)), call=call)
        rows.append(actions.squash(z))
    return torch.cat(rows)


def _tensors(value: Any, *, copy: bool = False) -> list[torch.Tensor]:
    """All tensors in a state: in its fields, and in tuples, lists, dicts and dataclasses there."""
    if isinstance(value, torch.Tensor):
        return [value.clone() if copy else value]
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, tuple | list):
        parts = list(value)
    elif is_dataclass(value) and not isinstance(value, type):
        parts = [getattr(value, field.name) for field in fields(value)]
    else:
        parts = []
    return [tensor for part in parts for tensor in _tensors(part, copy=copy)]


def _same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(
        a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())
        for a, b in zip(one, other, strict=True)
    )


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference of two tensors; NaN equals NaN, and other shapes are infinitely far."""
    if one.shape != other.shape:
        return float("inf")
    difference = (one.nan_to_num() - other.nan_to_num()).abs()
    return float(difference.max()) if difference.numel() else 0.0
