"""The ablation: studies of one experiment, each comparing it with variants of itself."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from adagen.config.base import LEARNED, Method, Model
from adagen.config.experiments import OF_ITSELF, Experiment
from adagen.config.overlay import overlay
from adagen.config.values import Different, Seeds, require_label
from adagen.runtime.names import listed


class Variant(Experiment):
    """The ablation's experiment with some of its keys changed.

    Keys that are left out are those of the experiment; a variant without keys is the experiment.
    """

    generator: str = ""
    """Key of `generators`."""
    method: Method = "adagen"
    """Method of the variant."""


class Ablation(Model):
    """Studies of one experiment, whose variants show what each design choice contributes."""

    experiment: str
    """Key of `experiments`."""
    training_seeds: Seeds = (0, 1, 2)
    """Seeds of the policy training in the ablation."""
    only: Annotated[tuple[str, ...], Different] = ()
    """Studies to run; empty for all of them."""
    studies: dict[str, Annotated[dict[str, Variant], Field(min_length=1)]]
    """Variants by study and name. Keys that a variant leaves out are those of the experiment, not
    the defaults below. Every variant is compared with the first one of its study."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if unknown := set(self.only) - set(self.studies):
            raise ValueError(
                f"only has {min(unknown)!r}, which is none of the studies: "
                f"{listed(min(unknown), self.studies)}"
            )
        for name in [*self.studies, *(label for study in self.studies.values() for label in study)]:
            if not slug(name):
                raise ValueError(
                    f"studies has the name {name!r}, which becomes part of a path: use a letter or "
                    "digit at least"
                )
            require_label("studies", name)
        return self


@dataclass(frozen=True)
class Cell:
    """One variant of one study.

    Attributes:
        study, variant: names of study and variant.
        name: name of its experiment: a derived one, or the ablation's if nothing is changed.
        experiment: settings of the experiment.
        method: method of the variant.
        training_seeds: training seeds of its policies; none if nothing is trained.
    """

    study: str
    variant: str
    name: str
    experiment: Experiment
    method: Method
    training_seeds: tuple[int, ...]

    @property
    def key(self) -> str:
        """Key of the variant in the configuration."""
        return f"ablation.studies.{self.study}.{self.variant}"


def cells(ablation: Ablation, base: Experiment) -> list[Cell]:
    """The variants of all studies that are run, study by study.

    Variants with the same settings share an experiment, which is named after the first of them. A
    variant with the settings of `base` has the experiment `base`.
    """
    names: dict[str, tuple[str, Experiment]] = {}
    found = []
    for study in ablation.only or ablation.studies:
        for label, variant in ablation.studies[study].items():
            keys = Experiment.model_fields.keys() - {"repeats"}
            derived = Experiment(**{key: getattr(variant, key) for key in keys})
            if settings_of(derived) == settings_of(base):
                name, experiment = ablation.experiment, base
            else:
                named = f"{ablation.experiment}-{slug(study)}-{slug(label)}", derived
                name, experiment = names.setdefault(derived.model_dump_json(), named)
            seeds = ablation.training_seeds if variant.method in LEARNED else ()
            found.append(Cell(study, label, name, experiment, variant.method, seeds))
    return found


def settings_of(experiment: Experiment) -> str:
    """All settings of an experiment as text, without those that name what is beside it."""
    return experiment.model_dump_json(exclude={*OF_ITSELF})


def slug(name: str) -> str:
    """A name as part of a path: ASCII letters, digits and '.', anything else as '-'."""
    ascii_ = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9.]+", "-", ascii_).strip("-.")


def inherited(ablation: Any, experiments: Mapping[str, Any]) -> Any:
    """The section `ablation` as it stands in a file, with every variant laid over its experiment.

    Raises:
        ValueError: the experiment is none of `experiments`.
    """
    if not isinstance(ablation, Mapping) or not isinstance(ablation.get("studies"), Mapping):
        return ablation
    name = str(ablation.get("experiment"))
    if "experiment" in ablation and name not in experiments:
        raise ValueError(
            f"ablation.experiment is {name!r}, which is none of the experiments: "
            f"{listed(name, experiments)}"
        )
    base = experiments.get(name, {})
    return map_variants(ablation, lambda variant: _laid_over(base, variant))


def map_variants(ablation: Any, change: Callable[[Any], Any]) -> Any:
    """The section `ablation` as it stands in a file, with every variant changed."""
    if not isinstance(ablation, Mapping) or not isinstance(ablation.get("studies"), Mapping):
        return ablation
    studies = {
        study: {label: change(variant) for label, variant in variants.items()}
        if isinstance(variants, Mapping)
        else variants
        for study, variants in ablation["studies"].items()
    }
    return {**ablation, "studies": studies}


def _laid_over(base: Any, variant: Any) -> Any:
    """A variant with the keys of its experiment.

    Released policies see features and step, so only one that samples with it has it.
    """
    if not isinstance(base, Mapping) or not isinstance(variant, Mapping):
        return variant
    known = base if variant.get("method") == "released" else {**base, "released_policy": ""}
    return overlay(known, variant)
