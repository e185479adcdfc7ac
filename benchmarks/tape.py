"""The calls that a generator makes of its frozen network: recorded, made again, or played back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn

from adagen.generators.base import Backbone

Stamp = TypeVar("Stamp")

METHODS = ("forward", "fill_in", "begin", "advance", "logits")
"""Methods of the networks that generators call."""


@dataclass(frozen=True)
class Call:
    """One call of a method of the network, with what it was given and what it returned."""

    method: str
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    result: Any


@dataclass
class Tape:
    """The calls of a backbone's network while something was generated, in their order.

    Attributes:
        backbone: the networks.
        calls: what was called.
    """

    backbone: Backbone
    calls: list[Call] = field(default_factory=list)

    @classmethod
    def of(cls, backbone: Backbone, generate: Callable[[], object]) -> "Tape":
        """Record the calls that `generate` makes."""
        tape = cls(backbone)

        def record(method: str, original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                outermost, tape._inside = not tape._inside, True
                try:
                    result = original(*arguments, **named)
                finally:
                    tape._inside = not outermost
                if outermost:
                    tape.calls.append(Call(method, arguments, named, result))
                return result

            return call

        with _replaced(backbone.network, record):  # type: ignore[arg-type]
            generate()
        return tape

    _inside: bool = False

    @torch.no_grad()
    def repeat(self) -> Any:
        """Make the same calls again, with the same inputs; returns the last result."""
        result = None
        with self.backbone.mixed():
            for call in self.calls:
                result = getattr(self.backbone.network, call.method)(*call.arguments, **call.named)
        return result

    @contextmanager
    def played(self) -> Iterator[None]:
        """Let the network return in the block what it returned before, which takes no time."""
        left = iter(self.calls)

        def play(method: str, original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                recorded = next(left)
                assert recorded.method == method, "another generator than the one recorded"
                return recorded.result

            return call

        with _replaced(self.backbone.network, play):  # type: ignore[arg-type]
            yield

    @property
    def rows(self) -> int:
        """Samples in all evaluations of the network together."""
        passes = [call for call in self.calls if call.method in ("forward", "fill_in", "advance")]
        return sum(len(_tensor(call.result)) for call in passes)


@contextmanager
def watched(backbone: Backbone, stamp: Callable[[], Stamp]) -> Iterator[list[tuple[Stamp, Stamp]]]:
    """Yield a list of all calls of a backbone's network in the block: a stamp before, one after."""
    stamps: list[tuple[Stamp, Stamp]] = []

    def stamped(call: Callable[[], Any]) -> Any:
        began = stamp()
        try:
            return call()
        finally:
            stamps.append((began, stamp()))

    with _around(backbone, stamped):
        yield stamps


@contextmanager
def repeated(backbone: Backbone) -> Iterator[list[tuple[float, float]]]:
    """Make every call of a backbone's network in the block twice, and yield a list of both times.

    These are the processor seconds of the call, and of its repetition, in vain.
    """
    seconds: list[tuple[float, float]] = []
    clock = time.process_time

    def twice(call: Callable[[], Any]) -> Any:
        began = clock()
        result = call()
        between = clock()
        call()
        seconds.append((between - began, clock() - between))
        return result

    with _around(backbone, twice):
        yield seconds


@contextmanager
def _around(backbone: Backbone, manner: Callable[[Callable[[], Any]], Any]) -> Iterator[None]:
    """Make the outermost calls of a backbone's network in the block in some manner."""
    inside = False

    def around(method: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal inside
            if inside:
                return original(*arguments, **named)
            inside = True
            try:
                return manner(partial(original, *arguments, **named))
            finally:
                inside = False

        return call

    with _replaced(backbone.network, around):  # type: ignore[arg-type]
        yield


def _tensor(result: Any) -> torch.Tensor:
    return result if isinstance(result, torch.Tensor) else _tensor(result[0])


@contextmanager
def _replaced(
    network: nn.Module, replace: Callable[[str, Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Replace the methods of a network in the block."""
    names = [name for name in METHODS if hasattr(network, name)]
    for name in names:
        setattr(network, name, replace(name, getattr(network, name)))
    try:
        yield
    finally:
        for name in names:
            delattr(network, name)
