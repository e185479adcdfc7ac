"""What every config model is made of."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, model_validator

from adagen.config.overlay import overlay

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Paradigm = Literal["maskgit", "var", "dit", "sit"]
Method = Literal[
    "handmade",
    "halton",
    "logsnr_time",
    "interval",
    "tuned",
    "static",
    "released",
    "adagen",
    "faithful",
]
METHODS: tuple[Method, ...] = get_args(Method)
"""All methods, in the order of the tables."""
WITHOUT_POLICY: tuple[Method, ...] = ("handmade", "halton", "logsnr_time")
"""Methods that follow from the settings: they have no policy file."""
SEARCHED: tuple[Method, ...] = ("interval", "tuned")
LEARNED: tuple[Method, ...] = ("static", "adagen", "faithful")
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "halton": ("maskgit",),
    "logsnr_time": ("dit", "sit"),
}
"""Methods that some paradigms alone have, with these."""
Precision = Literal["float32", "bfloat16", "float16"]
Device = Literal["cpu", "cuda", "auto"]
PolicyInput = Literal["features", "state", "nothing"]


class Model(BaseModel):
    """Base of every config model: immutable, and a key it doesn't know is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _lay_over_defaults(cls, data: Any) -> Any:
        """A section given in part keeps the section's own defaults for the rest."""
        if not isinstance(data, Mapping):
            return data
        defaults = {
            name: field.default.model_dump(mode="json")
            for name, field in cls.model_fields.items()
            if isinstance(field.default, Model) and isinstance(data.get(name), Mapping)
        }
        return {**data, **overlay(defaults, {name: data[name] for name in defaults})}

    @model_validator(mode="before")
    @classmethod
    def _no_switches(cls, data: Any) -> Any:
        """No key is a switch; left alone, YAML's `yes` would count as the number 1."""
        for key, value in data.items() if isinstance(data, Mapping) else ():
            if isinstance(value, bool):
                raise ValueError(f"{key} is {value}, but no key takes a truth value")
        return data


class Fit(Model):
    """How a frozen network is fitted before any policy exists."""

    updates: Positive = 1000
    """Optimiser steps."""
    batch: Positive = 128
    """Images per step."""
    learning_rate: float = Field(2e-3, gt=0)
    """Peak AdamW learning rate; cosine decay to zero."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW weight decay."""
    average: float = Field(0.99, ge=0, lt=1)
    """Decay of the averaged (EMA) weights, which are the ones kept."""
    seed: int = 0
    """Seed of batches, noise and initial weights."""


def by_kind(default: str) -> Discriminator:
    """Chooses one of several models by the key `kind` of a section, `default` where it has none."""

    def kind_of(data: Any) -> str:
        if isinstance(data, Mapping):
            return str(data.get("kind", default))
        return str(getattr(data, "kind", default))

    return Discriminator(kind_of)
