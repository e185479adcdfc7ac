"""Constants of hand-made schedules: ours, and those of a package's own model."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, SerializeAsAny

from adagen.config import paradigms
from adagen.config.base import Model
from adagen.config.values import Fraction, Guidance, Temperature


class Handmade(Model):
    """Constants of the hand-made schedules (docs/method.md, section 1).

    Those that the generator's family doesn't have are refused. A package may have a model of its
    own, derived from this one, with more constants and other defaults (docs/generators.md).
    """

    # The JSON schema can't know the constants of packages. In Python unknown keys are errors.
    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})

    guidance: Guidance = 1.0
    """w of g = c + w (c - u); MaskGIT ramps linearly towards it: w (t + 0.001) / T."""
    temperature: Temperature = 1.0
    """MaskGIT: confidence temperature, decaying linearly from it: (1 - (t + 0.999) / T) of it.
    VAR: sampling temperature."""
    top_k: Fraction = 900 / 4096
    """VAR: share of the vocabulary that may be drawn."""
    top_p: Fraction = 0.96
    """VAR: probability mass that may be drawn."""


TAKEN: Mapping[str, tuple[str, ...]] = {
    "maskgit": ("guidance", "temperature"),
    "var": ("guidance", "temperature", "top_k", "top_p"),
    "dit": ("guidance",),
    "sit": ("guidance",),
    "stable_diffusion": ("guidance",),
}
"""The constants that each of adagen's own families has. A package's may have any."""


def foreign_constant(given: Mapping[str, Any], paradigm: object) -> str:
    """The first constant that a family doesn't have; empty where it has all that are given."""
    foreign = Handmade.model_fields.keys() - TAKEN.get(str(paradigm), Handmade.model_fields.keys())
    return next((key for key in given if key in foreign), "")


def check_handmade(config: Mapping[str, Any]) -> None:
    """Raise unless all hand-made constants are of the family of their generator.

    Args:
        config: a configuration as it stands in a file.

    Raises:
        ValueError: one is of another family.
    """
    for place, section, base in _sections(config):
        paradigm = _paradigm(section.get("generator"), config.get("generators"))
        given = section.get("handmade")
        if not isinstance(given, Mapping):
            continue
        if Handmade.model_fields.keys() <= given.keys():
            # A stored configuration has every constant, of other families too.
            unchanged = {**Handmade().model_dump(), **base}
            given = {k: value for k, value in given.items() if value != unchanged.get(k)}
        if key := foreign_constant(given, paradigm):
            raise ValueError(
                f"{place}.handmade has {key!r}, but its generator is of paradigm {paradigm!r}, "
                f"whose constants are {', '.join(TAKEN[str(paradigm)])}: take it out, or, where it "
                "stands in a file that this one extends, write `handmade: null` first"
            )


def _sections(
    config: Mapping[str, Any],
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Key and section of experiments and variants, with the constants that a variant inherits."""
    experiments = _section(config, "experiments")
    for name in experiments:
        yield f"experiments.{name}", _section(experiments, name), {}
    ablation = _section(config, "ablation")
    base = _section(experiments, str(ablation.get("experiment")))
    studies = _section(ablation, "studies")
    for study in studies:
        for label, variant in _section(studies, study).items():
            if isinstance(variant, Mapping):
                whole = {"generator": base.get("generator"), **variant}
                yield f"ablation.studies.{study}.{label}", whole, _section(base, "handmade")


def _section(above: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A section of another; empty where there is none, or no section, which others refuse."""
    section = above.get(key)
    return section if isinstance(section, Mapping) else {}


def _paradigm(generator: object, generators: Any) -> Any:
    """The paradigm of a generator; None where it isn't known."""
    section = generators.get(str(generator)) if isinstance(generators, Mapping) else None
    return section.get("paradigm") if isinstance(section, Mapping) else None


@dataclass(frozen=True)
class PackageHandmade:
    """A section `handmade` as it stands in a file, with the package's model that it is read by."""

    model: type[Handmade]
    content: Any


def _read(section: Any) -> Any:
    if isinstance(section, PackageHandmade):
        return section.model.model_validate(section.content)
    return section


AnyHandmade = Annotated[SerializeAsAny[Handmade], BeforeValidator(_read)]
"""Constants of ours, or of a package's model."""


def with_package_handmade(experiment: Any, generators: Any) -> Any:
    """An experiment's section, with its `handmade` to be read by the model of its generator.

    Args:
        experiment: the section as it stands in a file.
        generators: the section `generators` as it stands there.
    """
    if not isinstance(experiment, Mapping):
        return experiment
    paradigm = _paradigm(experiment.get("generator"), generators)
    model = Handmade
    with suppress(ValueError):  # the generator's own section says what is wrong with it
        if paradigm is not None and not paradigms.is_built_in(paradigm):
            model = getattr(paradigms.settings_of(paradigm), "handmade", Handmade)
    if model is Handmade:
        return experiment
    return {**experiment, "handmade": PackageHandmade(model, experiment.get("handmade", {}))}
