"""Reading YAML and JSON: plain data of limited size and depth, read as it is written.

YAML is read by the core schema of YAML 1.2, where `yes`, `5:20` and dates are text. A number with a
leading zero, which YAML 1.1 takes for octal, is refused. Keys are text, and stand once.
"""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import (
    DEPTH,
    NODES,
    TEXT_BYTES,
    VALUES,
    YAML_BYTES,
    read_bytes,
    read_text,
)

# YAML


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        FileNotFoundError: there is none.
        AdagenError: it is too large, or cannot be read as YAML; the message says where.
    """
    return decode_yaml(path, read_bytes(path, most=YAML_BYTES))


def decode_yaml(path: Path, content: bytes) -> Any:
    """Plain data from the bytes of the YAML file at `path`.

    Raises:
        AdagenError: they cannot be read as YAML; the message says where.
    """
    try:
        return parse_yaml(content.decode("utf-8-sig"))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise AdagenError(f"{path} cannot be read as YAML ({reason}): correct it.") from None


def parse_yaml(text: str) -> Any:
    """Plain data from the text of one YAML document; None if it is empty.

    Raises:
        ValueError: it is no YAML, too deep or too large, or is not plain data.
    """
    document = _Document()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            document.add(event)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    return document.root


def dump_yaml(content: Any) -> str:
    """Plain data as YAML, which `parse_yaml` reads as the same data."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False)  # in ASCII
    return text


# The C parser of libyaml gives the same events, twenty times as quickly.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(yaml.SafeDumper):
    """A writer that puts all text in quotes which YAML 1.1 or 1.2 could take for a number."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+.]*[0-9]"), list("-+.0123456789")
)

NULLS = ("", "~", "null", "Null", "NULL")
SWITCHES = {word: word[0] in "tT" for w in ("true", "false") for word in (w, w.title(), w.upper())}
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
LONGEST_NUMBER = 100
TAG = "tag:yaml.org,2002:"
TAGS: dict[str, type | tuple[type, ...]] = {
    "null": type(None),
    "bool": bool,
    "int": int,
    "float": (float, int),
}


def plain_scalar(text: str) -> Any:
    """The value of a plain scalar in the core schema of YAML 1.2.

    Raises:
        ValueError: it is a number with a leading zero, or of very many digits.
    """
    if text in NULLS:
        return None
    if text in SWITCHES:
        return SWITCHES[text]
    if LEADING_ZERO.fullmatch(text):
        sign, digits = re.fullmatch(r"([-+]?)0+(\d+)", text).groups()  # type: ignore[union-attr]
        raise ValueError(
            f"{text[:20]} has a leading zero, which some programs take for octal: write "
            f"{sign}{digits[:20]}, or {text[:20]!r} for text"
        )
    if infinite := INFINITE.fullmatch(text):
        return math.nan if infinite[1] is None else float(f"{infinite[1]}inf")
    is_integer = INTEGER.fullmatch(text)
    if not is_integer and not FLOAT.fullmatch(text):
        return text
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"{text[:20]}... has more than {LONGEST_NUMBER} digits")
    if not is_integer:
        return _finite(text)
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


@dataclass
class _Node:
    """A list or mapping that is being read.

    Attributes:
        value: its content so far.
        anchor: name by which aliases refer to it; None for none.
        before: number of values that were read before it.
        key: key whose value comes next, in a mapping; None if a key comes next.
        merged: mappings of `<<`, whose keys it takes where it has none of its own.
    """

    value: list[Any] | dict[str, Any]
    anchor: str | None
    before: int
    key: str | None = None
    merged: list[dict[str, Any]] = field(default_factory=list)

    def put(self, value: Any, *, merges: bool) -> None:
        """Add a value, or the key of the next one; `merges` is true of the plain key `<<`."""
        if isinstance(self.value, list):
            self.value.append(value)
        elif self.key is None:
            if not isinstance(value, str):
                shown = repr(value)[:40]
                raise ValueError(f"{shown} stands as a key, but keys are text: put it in quotes")
            if value in self.value and not merges:
                raise ValueError(f"key {value!r} stands twice")
            self.key = MERGE if merges else value
        elif self.key == MERGE:
            merged = value if isinstance(value, list) else [value]
            if not all(isinstance(part, dict) for part in merged):
                raise ValueError("`<<` takes a mapping, or a list of mappings")
            self.merged += merged
            self.key = None
        else:
            self.value[self.key], self.key = value, None

    def whole(self) -> list[Any] | dict[str, Any]:
        """The list or mapping, after its last value."""
        if isinstance(self.value, dict):
            for below in self.merged:
                self.value = {**below, **self.value}
        return self.value


MERGE = "\0<<"
"""Stands for the key `<<`, which text can't be."""


@dataclass
class _Document:
    """Plain data, built from the events of a YAML parser one by one: nothing recurses."""

    root: Any = None
    documents: int = 0
    count: int = 0
    open: list[_Node] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)

    def add(self, event: Any) -> None:
        """Take an event.

        Raises:
            ValueError: a limit is passed, or it is no plain data; the message names the line.
        """
        try:
            self._add(event)
        except ValueError as error:
            raise ValueError(f"line {event.start_mark.line + 1}: {error}") from None

    def _add(self, event: Any) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise ValueError("a second document begins, but a file holds one")
            case yaml.AliasEvent():
                self._repeat(event.anchor)
            case yaml.ScalarEvent():
                value = _scalar(event)
                merges = value == "<<" and event.implicit[0]
                self._close(value, event.anchor, size=1, merges=merges)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                is_list = isinstance(event, yaml.SequenceStartEvent)
                if event.tag not in (None, "!", TAG + ("seq" if is_list else "map")):
                    raise ValueError(f"tag {event.tag!r} is no plain data")
                if len(self.open) >= DEPTH:
                    raise ValueError(f"more than {DEPTH} lists and mappings inside each other")
                self.open.append(_Node([] if is_list else {}, event.anchor, self.count))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                node = self.open.pop()
                size = self.count - node.before + 1
                self.count = node.before
                self._close(node.whole(), node.anchor, size=size)

    def _repeat(self, anchor: str | None) -> None:
        if anchor in [node.anchor for node in self.open]:
            raise ValueError(f"*{anchor} stands inside of what it refers to")
        if anchor is None or anchor not in self.anchors:
            raise ValueError(f"*{anchor} refers to nothing above it")
        value, size = self.anchors[anchor]
        self._close(value, None, size=size)

    def _close(self, value: Any, anchor: str | None, *, size: int, merges: bool = False) -> None:
        """Add a whole value of `size` values to what is open."""
        self.count += size
        if self.count > NODES:
            raise ValueError(f"more than {NODES:,} values, with those that aliases repeat")
        if anchor is not None:
            self.anchors[anchor] = (value, size)
        if self.open:
            self.open[-1].put(value, merges=merges)
        else:
            self.root = value


def _scalar(event: Any) -> Any:
    """The value of a scalar, by its tag if it has one."""
    if event.tag in (None, "!"):
        return plain_scalar(event.value) if event.implicit[0] else event.value
    name = event.tag.removeprefix(TAG)
    if name == "str":
        return event.value
    value = plain_scalar(event.value)
    if name not in TAGS or not isinstance(value, TAGS[name]):
        raise ValueError(f"{event.value[:40]!r} with tag {event.tag!r} is no plain data")
    return value


# JSON


def read_json(path: Path, *, bytes_most: int = TEXT_BYTES, values_most: int = VALUES) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        bytes_most: bytes of the largest file that is read.
        values_most: as of `parse_json`.

    Raises:
        AdagenError: the file is missing, too large or incomplete.
    """
    try:
        return parse_json(read_text(path, most=bytes_most), most=values_most)
    except FileNotFoundError:
        raise AdagenError(f"{path} does not exist. Run the stage that makes it first.") from None
    except ValueError as error:
        raise AdagenError(
            f"{path} is not a whole JSON file ({error}). Check the path, or run the stage that "
            "makes it again."
        ) from None


def parse_json(text: str, *, most: int = VALUES) -> Any:
    """Plain data from JSON of `most` values, without NaN and infinity; no key stands twice.

    Raises:
        ValueError: it is no JSON, too deep or too large.
    """
    depth, bare = 0, STRINGS.sub("", text)
    if sum(map(bare.count, "[{,:")) > most:
        raise ValueError(f"more than {most:,} values")
    for bracket in BRACKETS.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > DEPTH:
            raise ValueError(f"more than {DEPTH} lists and objects inside each other")
    return json.loads(
        text,
        object_pairs_hook=_once,
        parse_float=_finite,
        parse_int=_whole,
        parse_constant=_refuse_constant,
    )


# One without an end reaches to the end of the text: each quote in it would be tried in turn.
STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
BRACKETS = re.compile(r"[\[\]{}]")


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"key {name[:40]!r} stands twice")
        found[name] = value
    return found


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"{text[:20]}... has more than {LONGEST_NUMBER} digits")
    return int(text)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
