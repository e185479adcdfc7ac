"""Searches for schedules: their phases, and how many images they may draw."""

from typing import Any, Self

from pydantic import Field

from adagen.config.base import Model
from adagen.config.values import Deviation, Positive, Seed


class TableSearch(Model):
    """Second phase of the search `tuned`: every entry of the best table so far, by itself."""

    evaluations: int = Field(0, ge=0, le=10_000_000)
    """Number of schedules that are tried. 0 for as many as the images of a training of `adagen`
    leave when the first phase is done, so that both draw equally many."""
    spread: Deviation = 0.3
    """Initial standard deviation of each entry, in logits."""


class ClassSearch(Model):
    """Last phase of the search `tuned_class`: an offset for each class and action.

    They are added to the best table of the phases before.
    """

    evaluations: Positive = 100
    """Number of schedules that are tried."""
    spread: Deviation = 0.3
    """Initial standard deviation of each offset, in logits."""
    groups: int = Field(10, ge=2, le=1000)
    """Number of groups of conditions that share offsets, at most. Neighbouring classes form a
    group, and captions whose embeddings are near."""


class Sweep(Model):
    """Search for the best static schedule by CMA-ES, with the same budget for every experiment.

    The method `tuned` searches over offset and slope of every action, in logits, and then over the
    whole table if there is a section `table`; the method `tuned_class` goes on over an offset for
    each class and action; the method `interval` searches over the bounds of the steps with
    guidance, and its strength.
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

    def trials(self, method: str) -> int:
        """The number of schedules that a method tries; the phases are those of `within`."""
        table = self.table.evaluations if self.table and method != "interval" else 0
        classes = self.classes.evaluations if method == "tuned_class" else 0
        return self.evaluations + table + classes

    def phases_of(self, method: str) -> dict[str, Any]:
        """The settings that the search of a method depends on, as JSON has them.

        Phases that it doesn't have are left out.
        """
        without = {"interval": {"table", "classes"}, "tuned": {"classes"}}.get(method, set())
        return self.model_dump(mode="json", exclude=without, exclude_none=True)

    def images(self, method: str) -> int:
        """The number of images that the search of a method draws."""
        return self.samples * self.trials(method)

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
