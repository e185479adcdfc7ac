"""Rivals: other published ways to sample, which are compared in one table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator

from adagen.config.ablation import settings_of, slug
from adagen.config.base import FAMILIES, SEARCHED, Method, Model
from adagen.config.curves import require_known
from adagen.config.dials import Names
from adagen.config.experiments import (
    OF_ITSELF,
    Experiment,
    GuidanceRule,
    Solver,
    Unmasking,
    UnmaskingBound,
)
from adagen.config.method_checks import require_actions, require_choice, require_family
from adagen.config.paradigms import action_names
from adagen.config.schedules import GivenCoefficients, GivenSchedule, check_coefficients
from adagen.config.search import Sweep
from adagen.config.values import Different, require_label

Untrained = Literal["handmade", "halton", "logsnr_time", "gits", "interval", "tuned", "tuned_class"]
"""Methods that need no training."""
KEYS = (
    "solver",
    "coefficients",
    "guidance_rule",
    "unmasking",
    "unmasking_bound",
    "schedule",
)
"""Keys of an experiment that a rival may change."""


class Rival(Model):
    """One way to sample, in some experiments.

    Keys that are left out are those of the experiment.
    """

    experiments: Names
    """Keys of `experiments`."""
    methods: Annotated[tuple[Untrained, ...], Different] = ("handmade",)
    """Methods of the rival, each a row of the table; none that are trained."""
    tunes: Annotated[tuple[str, ...], Different] = ()
    """Actions of which the rival's method `tuned` or `gits` searches for an offset alone, in as
    many images as `tuned` draws otherwise; empty for all that these methods search for."""
    solver: Solver | None = None
    """Solver of DiT and SiT, as in `experiments`."""
    coefficients: GivenCoefficients | None = None
    """Weights of the solver `table`, or the name of a published schedule that has some."""
    guidance_rule: GuidanceRule | None = None
    """Guidance of DiT and SiT, as in `experiments`."""
    unmasking: Unmasking | None = None
    """Number of tokens that MaskGIT unmasks at a step, as in `experiments`."""
    unmasking_bound: UnmaskingBound | None = None
    """Hand-made value of the action `bound`, where `unmasking` is a rule."""
    schedule: GivenSchedule | None = None
    """Table in place of the hand-made schedule, or the name of a published one."""

    @model_validator(mode="after")
    def _one_search_of_actions(self) -> Self:
        if not self.methods:
            raise ValueError("methods is empty, but a rival has one row at least: name a method")
        searched = [method for method in self.methods if method in SEARCHED]
        if self.tunes and searched not in (["tuned"], ["gits"]):
            raise ValueError(
                f"tunes has {self.tunes[0]!r}, but methods has {', '.join(searched) or 'none'} of "
                "those that search: name either 'tuned' or 'gits', and no other of these"
            )
        return self

    def changes(self, experiment: Experiment) -> dict[str, Any]:
        """The keys of an experiment that the rival sets, with their values."""
        given = {key: getattr(self, key) for key in KEYS if getattr(self, key) is not None}
        if given.get("solver", "table") != "table" and experiment.coefficients:
            given.setdefault("coefficients", ())
        return given


@dataclass(frozen=True)
class RivalCell:
    """A rival in one experiment.

    Attributes:
        rival: key of `rivals`.
        base: name of the experiment that it changes.
        name: name of the changed one, or `base` if nothing is changed.
        experiment: settings of the changed experiment.
        methods: its methods.
        tunes: actions that are searched for alone.
    """

    rival: str
    base: str
    name: str
    experiment: Experiment
    methods: tuple[Method, ...]
    tunes: tuple[str, ...]


def rival_cells(
    rivals: Mapping[str, Rival], experiments: Mapping[str, Experiment]
) -> Iterator[RivalCell]:
    """Every rival in each of its experiments, in the order of the section."""
    for label, rival in rivals.items():
        for base in rival.experiments:
            own = experiments[base]
            changed = own.model_copy(update={**rival.changes(own), **OF_ITSELF})
            name, settings = f"{base}-rival-{slug(label)}", changed
            if settings_of(changed) == settings_of(own) and not rival.tunes:
                name, settings = base, own
            yield RivalCell(label, base, name, settings, rival.methods, rival.tunes)


def check_rivals(
    rivals: Mapping[str, Rival],
    experiments: Mapping[str, Experiment],
    *,
    generators: Mapping[str, Any],
    sweep: Sweep,
) -> None:
    """Raise unless every rival can be made in its experiments.

    Raises:
        ValueError: an experiment is unknown, or can't have a key, method or action of the rival; or
            two rivals have the same files.
    """
    slugs: dict[str, str] = {}
    for label, rival in rivals.items():
        require_label("rivals", label)
        if not slug(label) or slugs.setdefault(slug(label), label) != label:
            raise ValueError(
                f"rivals has the name {label!r}, whose letters and digits become part of a path, "
                "but it has none, or those of another: call it differently"
            )
        require_known(f"rivals.{label}.experiments", rival.experiments, experiments=experiments)
    for cell in rival_cells(rivals, experiments):
        place = f"rivals.{cell.rival}"
        if cell.experiment.generator not in generators:  # another check says so
            continue
        paradigm = generators[cell.experiment.generator].paradigm
        require_family(place, cell.experiment, paradigm=paradigm)
        for method in cell.methods:
            if paradigm not in FAMILIES.get(method, (paradigm,)):
                raise ValueError(
                    f"{place}.methods has {method!r}, which only generators of paradigm "
                    f"{' and '.join(FAMILIES[method])} have, but that of {cell.base} is of "
                    f"{paradigm!r}: take one of the two out"
                )
        require_choice(place, cell.experiment, methods=cell.methods, sweep=sweep)
        try:
            steps = cell.experiment.steps
            check_coefficients(
                cell.experiment.coefficients, solver=cell.experiment.solver, steps=steps
            )
        except ValueError as error:
            raise ValueError(f"{place} in {cell.base}: {error}") from None
        own = action_names(paradigm, unmasking=cell.experiment.unmasking)
        require_actions(f"{place}.tunes", cell.tunes, known=own, of=cell.base)
