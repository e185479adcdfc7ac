"""The model card of a policy: a page in Markdown that is generated from its numbers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from adagen.config.base import Model
from adagen.runtime.documents import dump_yaml


class Number(Model):
    """A measured number, with its interval where one is known."""

    value: float
    """The number."""
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    """Upper end of the interval."""
    handmade: float | None = None
    """The same number under the hand-made schedule."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends: give low and high, or neither")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ValueError(f"low is {self.low}, above high, {self.high}")
        return self


class Card(Model):
    """The part of a model card that no file of adagen knows."""

    base_model: str = ""
    """Model that the policy steers, as its publisher names it."""
    licence: str = ""
    """Licence of the policy."""
    base_licence: str = ""
    """Licence of the base model."""
    data: str = ""
    """Data that the policy was trained with."""
    protocol: str = ""
    """Protocol of the numbers: caption list, reference, resolution and resizing."""
    numbers: dict[str, Number] = Field(default_factory=dict)
    """Measured numbers by their names."""


UNKNOWN = "not stated"


def card_text(
    card: Card,
    *,
    steps: int,
    actions: Sequence[str],
    generator: str,
    method: str,
    pipeline: bool,
) -> str:
    """The text of a model card.

    Args:
        card: what was given for it.
        steps: T of the policy.
        actions: names of its actions.
        generator: class of the generator that it was made for.
        method: method that it was made as.
        pipeline: whether a pipeline of diffusers can be steered by it.
    """
    head: dict[str, Any] = {"library_name": "adagen", "tags": ["adagen", "sampling-schedule"]}
    head |= {"license": card.licence} if card.licence else {}
    head |= {"base_model": card.base_model} if card.base_model else {}
    facts = {
        "Base model": card.base_model,
        "Licence of the base model": card.base_licence,
        "Licence of the policy": card.licence,
        "Generator": generator,
        "Steps": str(steps),
        "Actions": ", ".join(actions),
        "Method": method,
        "Training data": card.data,
        "Protocol of the numbers": card.protocol,
    }
    parts = [
        f"---\n{dump_yaml(head)}---",
        f"# A policy for {_plain(card.base_model or generator)} at {steps} steps",
        "It chooses the settings of a frozen image generator at every step, for every sample "
        "(AdaGen, arXiv 2603.06993). It is no generator, and holds none of the base model's "
        "weights.",
        "\n".join(
            ["| | |", "|---|---|", *(f"| {k} | {_plain(v or UNKNOWN)} |" for k, v in facts.items())]
        ),
        "## Numbers",
        _numbers(card.numbers),
        "## Use",
        _use(steps, pipeline),
        "It suits this base model and this number of steps alone.",
    ]
    return "\n\n".join(parts) + "\n"


def _numbers(numbers: Mapping[str, Number]) -> str:
    if not numbers:
        return "None were stated."
    rows = ["| metric | policy | interval | hand-made |", "|---|---|---|---|"]
    for name, number in numbers.items():
        interval = UNKNOWN if number.low is None else f"{number.low:g} to {number.high:g}"
        handmade = UNKNOWN if number.handmade is None else f"{number.handmade:g}"
        rows.append(f"| {_plain(name)} | {number.value:g} | {interval} | {handmade} |")
    return "\n".join(rows)


def _use(steps: int, pipeline: bool) -> str:
    if not pipeline:
        return (
            "```python\nimport adagen\n\n"
            'sampler = adagen.load("this-folder", "generator.safetensors")\n```'
        )
    return (
        "```python\nfrom adagen.integrations.diffusers import steer\n\n"
        'with steer(pipe, "this-folder"):\n'
        f"    images = pipe(prompts, num_inference_steps={steps}).images\n```"
    )


def _plain(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    return re.sub(r"[\\`*<>\[\]|]", r"\\\g<0>", " ".join(text.split()))
