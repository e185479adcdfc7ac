"""Searches for schedules: their phases, and how many images they may draw."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field

from adagen.config.base import Model
from adagen.config.values import Deviation, Different, Positive, Seed

PHASES: dict[str, set[str]] = {
    "tuned": {"table", "actions"},
    "tuned_class": {"table", "actions", "classes"},
    "gits": {"gits", "actions"},
}
"""Keys of a search that count for some methods alone, by method."""
JUDGED = {"judged": "by group"}
"""Mark of a search that judges each group by itself, as all do since 29 November 2026."""


class TableSearch(Model):
    """Second phase of the search `tuned`: every entry of the best table so far, by itself."""

    evaluations: int = Field(0, ge=0, le=10_000_000)
    """Number of schedules that are tried. 0 for as many as the images of a training of `adagen`
    leave when the first phase is done, so that both draw equally many."""
    spread: Deviation = 0.3
    """Initial standard deviation of each entry, in logits."""


class ClassSearch(Model):
    """Last phase of the search `tuned_class`: an offset for each class and action.

    They are added to the best table of the phases before. Each group of conditions is searched for
    by its own images, all of them at once.
    """

    evaluations: Positive = 100
    """Number of schedules that are tried."""
    spread: Deviation = 0.3
    """Initial standard deviation of each offset, in logits."""
    groups: int = Field(10, ge=2, le=1000)
    """Number of groups of conditions that share offsets, at most. Neighbouring classes form a
    group, and captions whose embeddings are near."""


class GitsSearch(Model):
    """Times of the method `gits`, by dynamic programming on trajectories of a few samples."""

    trajectories: Positive = 256
    """Samples that are followed."""
    nodes: int = Field(60, ge=2, le=80)
    """Steps of a trajectory, evenly spaced in time; the times are chosen among their ends."""
    gamma: float = Field(1.15, ge=0.1, le=10)
    """Weight of a step's cost over that of the step before."""


class Polish(Model):
    """A search around the policy that a training of `static` or `adagen` ended with, by CMA-ES.

    It lowers the distance that validations measure, as the search `tuned` does.
    """

    evaluations: Positive = 60
    """Number of schedules that are tried in the first phase, which moves every entry of the
    policy's table."""
    classes: int = Field(0, ge=0, le=10_000_000)
    """Number of those that are tried in the second phase, which adds an offset for each group of
    conditions and each action to a policy of `adagen`, and judges it by the group's own images. A
    policy of `static`, which is the same for all of them, tries as many tables more."""
    samples: Positive = 500
    """Samples that each of them is measured on."""
    spread: Deviation = 0.2
    """Initial standard deviation of each entry of the table, in logits."""
    class_spread: Deviation = 0.3
    """Initial standard deviation of each offset, in logits."""
    groups: int = Field(10, ge=2, le=1000)
    """Number of groups of conditions, at most. Neighbouring classes form a group and share their
    offsets; captions whose embeddings are near form one, and those between groups have offsets in
    between."""

    @property
    def images(self) -> int:
        """The number of images that the search draws."""
        return self.samples * (self.evaluations + self.classes)


class Sweep(Model):
    """Search for the best static schedule by CMA-ES, with the same budget for every experiment.

    The method `tuned` searches over offset and slope of every action, in logits, and then over the
    whole table if there is a section `table`; the method `tuned_class` goes on over an offset for
    each class and action; the method `interval` searches over the bounds of the steps with
    guidance, and its strength. The method `gits` computes its times, and searches for nothing.
    """

    evaluations: Positive = 50
    """Number of schedules that are tried."""
    samples: Positive = 800
    """Samples that each of them is measured on. The budget is evaluations x samples, equal for all
    families and for both methods."""
    spread: Deviation = 1.0
    """Initial standard deviation of the search: in logits (`tuned`), or in angles and in the
    logarithm of the strength (`interval`)."""
    seed: Seed = 0
    """Seed of the search."""
    table: TableSearch | None = None
    """Second phase of `tuned`, over all calls and actions. Without this section there is none."""
    classes: ClassSearch = ClassSearch()
    """Last phase of `tuned_class`."""
    gits: GitsSearch = GitsSearch()
    """Times of `gits`."""
    actions: Annotated[tuple[str, ...], Different] = ()
    """Actions of which `tuned` and `gits` search for an offset alone, and for nothing else; empty
    for all that they search for otherwise."""

    def trials(self, method: str) -> int:
        """The number of schedules that a method tries; the phases are those of `within`."""
        if method == "gits":
            return self.evaluations if self.actions else 1
        table = self.table.evaluations if self.table and method != "interval" else 0
        classes = self.classes.evaluations if method == "tuned_class" else 0
        return self.evaluations + table + classes

    def phases_of(self, method: str) -> dict[str, Any]:
        """The settings that the search of a method depends on, as JSON has them.

        Phases that it doesn't have are left out.
        """
        without = {"table", "classes", "gits", "actions"} - PHASES.get(method, set())
        if not self.actions:
            without.add("actions")
        settings = self.model_dump(mode="json", exclude=without, exclude_none=True)
        if method == "tuned_class":
            settings["classes"] |= JUDGED
        return settings

    @classmethod
    def of_phases(cls, phases: Mapping[str, Any]) -> Self:
        """The settings of a search, from what `phases_of` says of it."""
        classes = phases.get("classes", {})
        own = {key: value for key, value in classes.items() if key not in JUDGED}
        return cls.model_validate({**phases, "classes": own})

    def images(self, method: str, *, steps: int = 1) -> int:
        """The number of images that the search of a method draws.

        Args:
            method: one that is searched for.
            steps: T, by which a trajectory that `gits` follows counts as nodes / T images.
        """
        followed = -(-self.gits.trajectories * self.gits.nodes // steps)
        return self.samples * self.trials(method) + (followed if method == "gits" else 0)

    def of_actions(self, actions: tuple[str, ...], *, steps: int, gits: bool) -> Self:
        """The search for offsets of these actions, which may draw what `tuned` draws in all.

        Args:
            actions: names of the actions.
            steps: T.
            gits: whether trajectories of `gits` are part of it.
        """
        times = self.model_copy(update={"samples": 0}).images("gits", steps=steps) if gits else 0
        trials = max(1, (self.images("tuned") - times) // self.samples)
        return self.model_copy(update={"actions": actions, "evaluations": trials, "table": None})

    def within(self, images: int) -> Self:
        """The same search, whose second phase has a number where it asks for what is left.

        Args:
            images: images that a training draws. If they are too few for one more schedule, there
                is no second phase.
        """
        if self.table is None or self.table.evaluations:
            return self
        left = images // self.samples - self.evaluations
        table = self.table.model_copy(update={"evaluations": left}) if left > 0 else None
        return self.model_copy(update={"table": table})
