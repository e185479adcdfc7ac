"""Curves: one setting of an experiment is varied (docs/steps.md)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from adagen.config.ablation import settings_of
from adagen.config.base import Method, Model
from adagen.config.dials import FidelityCurve, GuidanceCurve
from adagen.config.experiments import OF_ITSELF, Experiment, Training
from adagen.config.generators import VarGenerator
from adagen.config.overlay import overlay
from adagen.config.prices import StoppingCurve, check_prices
from adagen.config.search import Sweep
from adagen.config.values import Different, Steps
from adagen.runtime.names import listed

Scheduled = Literal["handmade", "tuned", "static", "adagen"]
SCHEDULED: tuple[Method, ...] = ("handmade", "tuned", "static", "adagen")
"""Methods that every number of steps can have."""
COMPARED: tuple[Method, ...] = (*SCHEDULED, "released")
"""Methods that a steps curve shows."""


class StepsCurve(Model):
    """Quality against compute: an experiment at other numbers of steps."""

    steps: Annotated[tuple[Steps, ...], Field(min_length=1)]
    """The other numbers of steps; the experiment's own is always part of the curve."""
    methods: Annotated[tuple[Scheduled, ...], Different] = ("handmade", "tuned", "static", "adagen")
    """Methods at the other numbers of steps, as far as the top-level `methods` has them."""
    training: Training = Training()
    """Settings for training policies at the other numbers of steps. Keys that are left out are
    those of the experiment, not the defaults below."""


class Curves(Model):
    """Settings that are varied; each curve is a table and a figure."""

    steps: dict[str, StepsCurve] = Field(default_factory=dict)
    """Numbers of steps, by experiment. VAR has no such curve: its steps are its scales."""
    stopping: dict[str, StoppingCurve] = Field(default_factory=dict)
    """Prices of an evaluation, by experiment, for samples that stop early. They take the steps of
    the experiment at most. VAR has no such curve: its images need all scales."""
    sweep: Sweep | None = None
    """Search for the method `tuned` at the other numbers of steps, which may be shorter. Keys that
    are left out are those of the top-level `sweep`, not the defaults below."""
    fidelity: FidelityCurve | None = None
    """From diversity to fidelity, by blending the two policies of the dial."""
    guidance: GuidanceCurve | None = None
    """From diversity to fidelity by the guidance of the hand-made schedule: the baseline."""


@dataclass(frozen=True)
class Budget:
    """An experiment at one of the numbers of steps of its curve.

    Attributes:
        base: name of the experiment that the curve belongs to.
        name: name of the experiment at this number of steps: `base`, if it is its own; another
            one with the same settings, if there is one; or else `<base>-steps-<T>`.
        experiment: settings of the experiment.
        methods: methods that the curve shows.
    """

    base: str
    name: str
    experiment: Experiment
    methods: tuple[Method, ...]


def budgets(curves: Curves, experiments: Mapping[str, Experiment]) -> Iterator[Budget]:
    """The numbers of steps of every curve, in ascending order, with the experiment's own."""
    known = {settings_of(experiments[name]): name for name in reversed([*experiments])}
    for base, curve in curves.steps.items():
        experiment = experiments[base]
        for steps in sorted({*curve.steps, experiment.steps}):
            changed = {"steps": steps, "training": curve.training, "schedule": {}, **OF_ITSELF}
            if steps == experiment.steps:
                yield Budget(base, base, experiment, COMPARED)
                continue
            derived = experiment.model_copy(update=changed)
            name = known.get(settings_of(derived))
            if name:
                yield Budget(base, name, experiments[name], COMPARED)
            else:
                yield Budget(base, f"{base}-steps-{steps}", derived, curve.methods)


def check_curves(
    curves: Curves, experiments: Mapping[str, Experiment], *, generators: Mapping[str, Any]
) -> None:
    """Raise unless every curve is possible.

    Raises:
        ValueError: a curve is of no experiment, or of one whose number of steps is fixed or whose
            samples can't stop early, or has a number of steps twice.
    """
    for key in ("fidelity", "guidance"):
        if dial := getattr(curves, key):
            require_known(f"curves.{key}.experiments", dial.experiments, experiments=experiments)
    check_prices(curves.stopping, experiments, generators=generators)
    for name, curve in curves.steps.items():
        generator = generators.get(experiments[name].generator)
        if isinstance(generator, VarGenerator):
            raise ValueError(
                f"curves.steps has {name!r}, but its generator is a VAR, which takes one step for "
                f"each of its {len(generator.scales)} scales: another number of steps is another "
                "generator. Take it out, or compare experiments of several generators in fid.csv"
            )
        if experiments[name].coefficients:
            raise ValueError(
                f"curves.steps has {name!r}, but its solver has coefficients for "
                f"{experiments[name].steps} steps alone: take it out"
            )
        if len({*curve.steps, experiments[name].steps}) <= len(curve.steps):
            raise ValueError(
                f"curves.steps.{name}.steps is {list(curve.steps)}, but must be all different, and "
                f"other than the experiment's own {experiments[name].steps}, which is always there"
            )


def inherited(curves: Any, experiments: Mapping[str, Any], *, sweep: Any) -> Any:
    """The section `curves` of a file, laid over the sections that it changes in part.

    Each training is laid over its experiment's, the search over the top-level `sweep`.

    Raises:
        ValueError: a curve is of no experiment.
    """
    if isinstance(curves, Mapping) and isinstance(curves.get("sweep"), Mapping):
        curves = {**curves, "sweep": overlay(sweep, curves["sweep"])}
    for key in ("steps", "stopping"):
        if isinstance(curves, Mapping) and isinstance(given := curves.get(key), Mapping):
            require_known(f"curves.{key}", given, experiments=experiments)
            laid = {name: _laid_over(experiments[name], curve) for name, curve in given.items()}
            curves = {**curves, key: laid}
    return curves


def require_known(key: str, names: Iterable[str], *, experiments: Iterable[str]) -> None:
    """Raise unless all names that stand under a key are experiments.

    Raises:
        ValueError: one isn't.
    """
    if unknown := [name for name in names if name not in (known := list(experiments))]:
        raise ValueError(
            f"{key} has {unknown[0]!r}, which is none of the experiments: "
            f"{listed(unknown[0], known)}"
        )


def _laid_over(experiment: Any, curve: Any) -> Any:
    if not isinstance(experiment, Mapping) or not isinstance(curve, Mapping):
        return curve
    training = overlay(experiment.get("training", {}), curve.get("training", {}))
    return {**curve, "training": training}
