"""The base of all config models, and the names of methods and paradigms."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, model_validator

from adagen.config.overlay import overlay
from adagen.config.values import Coefficient, Positive, Rate, Seed, require_text

Paradigm = Literal["maskgit", "var", "dit", "sit"]
Method = Literal[
    "handmade",
    "halton",
    "logsnr_time",
    "gits",
    "interval",
    "tuned",
    "tuned_class",
    "static",
    "released",
    "adagen",
    "stopping",
    "faithful",
]
METHODS: tuple[Method, ...] = get_args(Method)
"""All methods, in the order of the tables."""
WITHOUT_POLICY: tuple[Method, ...] = ("handmade", "halton", "logsnr_time")
"""Methods that follow from the settings: they have no policy file."""
SEARCHED: tuple[Method, ...] = ("gits", "interval", "tuned", "tuned_class")
LEARNED: tuple[Method, ...] = ("static", "adagen", "stopping", "faithful")
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "halton": ("maskgit",),
    "logsnr_time": ("dit", "sit"),
    "gits": ("dit", "sit"),
    "stopping": ("maskgit", "dit", "sit"),
}
"""Methods that only some paradigms have, and which ones."""
REASONS: Mapping[str, str] = {
    "stopping": " (VAR's image is the sum of all its scales, so none can be skipped)"
}
"""Why others don't have them, where that says more."""
Precision = Literal["float32", "bfloat16", "float16"]
Device = Literal["cpu", "cuda", "auto"]
PolicyInput = Literal["features", "state", "nothing"]


class Model(BaseModel):
    """Base of every config model: it is immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _lay_over_defaults(cls, data: Any) -> Any:
        """If a section is given in part, the rest are its defaults."""
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
        """No key takes a truth value; without this, `true` would be read as the number 1."""
        for key, value in data.items() if isinstance(data, Mapping) else ():
            for part in value if isinstance(value, list | tuple) else (value,):
                if isinstance(part, bool):
                    raise ValueError(f"{key} is {value}, but no key takes a truth value")
                if isinstance(part, str):
                    require_text(str(key), part)
        return data


class Fit(Model):
    """Settings for fitting a network before any policy is trained; it is frozen then."""

    updates: Positive = 1000
    """Number of optimiser steps."""
    batch: Positive = 128
    """Images in a step."""
    learning_rate: Rate = 2e-3
    """Highest learning rate of AdamW; it decays to zero along a cosine."""
    weight_decay: Coefficient = 0.01
    """Weight decay of AdamW."""
    average: float = Field(0.99, ge=0, lt=1)
    """Decay of the moving average (EMA) of the weights; the averaged weights are kept."""
    seed: Seed = 0
    """Seed of initial weights, batches and noise."""


def by_kind(default: str) -> Discriminator:
    """Choose one of several models by a section's key `kind`; without the key, take `default`."""

    def kind_of(data: Any) -> str:
        if isinstance(data, Mapping):
            return str(data.get("kind", default))
        return str(getattr(data, "kind", default))

    return Discriminator(kind_of)
