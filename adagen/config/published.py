"""Numbers that others published of the systems that a configuration may have."""

import functools
import importlib.resources
from collections.abc import Mapping
from typing import Any, Self

import yaml
from pydantic import Field, model_validator

from adagen.config.base import Method, Model, Positive

FILE = "published.yaml"
"""In the package."""


class Numbers(Model):
    """What was published of one system under one schedule."""

    fid: float | None = Field(None, ge=0)
    """FID of 50,000 images."""
    inception_score: float | None = Field(None, ge=1)
    """Inception Score."""
    tflops: float | None = Field(None, gt=0)
    """TFLOPs an image, as counted there."""
    source: str = Field(min_length=1)
    """Where it stands: paper and table, or file and commit."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if {self.fid, self.inception_score, self.tflops} == {None}:
            raise ValueError("give fid, inception_score or tflops: there is no number here")
        return self


class Published(Model):
    """A system: one generator at one number of steps on one data set."""

    meant: str = Field(min_length=1)
    """What was measured, as far as they say."""
    dataset: str
    """Name of the data set, as configurations call it."""
    steps: Positive
    """Generation steps."""
    handmade: Numbers | None = None
    """Under the hand-made schedule."""
    adagen: Numbers | None = None
    """Under their own policy."""

    def beside(self, method: Method) -> Numbers | None:
        """What stands beside a method: the authors' AdaGen beside ours, and beside their policy."""
        if method == "handmade":
            return self.handmade
        return self.adagen if method in ("released", "adagen") else None


@functools.cache
def published_numbers() -> Mapping[str, Published]:
    """Everything in `FILE`, by the name that configurations use."""
    text = importlib.resources.files("adagen.config").joinpath(FILE).read_text()
    return read_published(yaml.safe_load(text) or {})


def read_published(content: Mapping[str, Any]) -> Mapping[str, Published]:
    """Check what a file of published numbers holds."""
    return {name: Published.model_validate(entry) for name, entry in content.items()}


def require(key: str, place: str, *, dataset: str, steps: int) -> Published:
    """The entry that the experiment at `place` names, if it is of its data set and steps.

    Raises:
        ValueError: it is not, or there is no such entry.
    """
    known = published_numbers()
    if key not in known:
        raise ValueError(
            f"{place}.published is {key!r}, which is no entry of adagen/{FILE}. Known: "
            f"{', '.join(known) or 'none yet'}"
        )
    if ((found := known[key]).dataset, found.steps) != (dataset, steps):
        raise ValueError(
            f"{place}.published is {key!r}, numbers of {found.dataset} at {found.steps} steps, but "
            f"the experiment is of {dataset} at {steps}: leave it empty, or name another entry"
        )
    return found
