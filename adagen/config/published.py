"""Numbers that others published, to stand beside ours."""

import functools
import importlib.resources
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from adagen.config.base import Method, Model
from adagen.config.values import Steps
from adagen.runtime.documents import parse_yaml
from adagen.runtime.names import listed

FILE = "published.yaml"
"""Name of the file in this package."""


class Numbers(Model):
    """The numbers of one system under one schedule."""

    fid: float | None = Field(None, ge=0)
    """FID of 50,000 images."""
    inception_score: float | None = Field(None, ge=1)
    """Inception Score."""
    tflops: float | None = Field(None, gt=0)
    """TFLOPs for an image, as the source counts them."""
    source: str = Field(min_length=1)
    """Source of the numbers: paper and table, or file and commit."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if {self.fid, self.inception_score, self.tflops} == {None}:
            raise ValueError("give fid, inception_score or tflops: there is no number here")
        return self


class Published(Model):
    """A system: one generator at one number of steps on one data set."""

    meant: str = Field(min_length=1)
    """Quantity that was measured, as far as the source says it."""
    dataset: str
    """Name of the data set, as configurations call it."""
    steps: Steps
    """Number of generation steps."""
    handmade: Numbers | None = None
    """Under the hand-made schedule."""
    adagen: Numbers | None = None
    """Under their own policy."""

    def beside(self, method: Method) -> Numbers | None:
        """The numbers to show beside a method, if there are any.

        The authors' AdaGen stands beside ours and beside their released policy.
        """
        if method == "handmade":
            return self.handmade
        return self.adagen if method in ("released", "adagen") else None


@functools.cache
def published_numbers() -> Mapping[str, Published]:
    """All entries of `FILE`, by the name that configurations use."""
    text = importlib.resources.files("adagen.config").joinpath(FILE).read_text(encoding="utf-8")
    return read_published(parse_yaml(text) or {})


def read_published(content: Mapping[str, Any]) -> Mapping[str, Published]:
    """Check the content of a file of published numbers."""
    return {name: Published.model_validate(entry) for name, entry in content.items()}


def require(key: str, place: str, *, dataset: str, steps: int) -> Published:
    """The entry that an experiment names, which must be of its data set and number of steps.

    Raises:
        ValueError: it is not, or there is no such entry.
    """
    known = published_numbers()
    if key not in known:
        raise ValueError(
            f"{place}.published is {key!r}, which is no entry of adagen/config/{FILE}. Known: "
            f"{listed(key, known)}"
        )
    if ((found := known[key]).dataset, found.steps) != (dataset, steps):
        raise ValueError(
            f"{place}.published is {key!r}, numbers of {found.dataset} at {found.steps} steps, but "
            f"the experiment is of {dataset} at {steps}: leave it empty, or name another entry"
        )
    return found
