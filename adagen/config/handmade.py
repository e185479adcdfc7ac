"""Constants of hand-made schedules: ours, and those of a package's own model."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, SerializeAsAny

from adagen.config import paradigms
from adagen.config.base import Model
from adagen.config.values import Fraction, Guidance, Temperature


class Handmade(Model):
    """Constants of the hand-made schedules (docs/method.md, section 1).

    A family reads the ones it has. A package may have a model of its own, derived from this one,
    with more constants and other defaults (docs/generators.md).
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
    if not isinstance(experiment, Mapping) or not isinstance(generators, Mapping):
        return experiment
    section = generators.get(str(experiment.get("generator")))
    paradigm = section.get("paradigm") if isinstance(section, Mapping) else None
    model = Handmade
    with suppress(ValueError):  # the generator's own section says what is wrong with it
        if paradigm is not None and not paradigms.is_built_in(paradigm):
            model = getattr(paradigms.settings_of(paradigm), "handmade", Handmade)
    if model is Handmade:
        return experiment
    return {**experiment, "handmade": PackageHandmade(model, experiment.get("handmade", {}))}
