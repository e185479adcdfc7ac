"""Print config/README.md: every key of the configuration, from the models of adagen.config.

Types, ranges, defaults and meanings are read from the JSON schema of `Config`, so the page can't
say other than the code does. What is written by hand lies beside this file, in
`config_introduction.md` and `config_checks.md`.

    python workflow/scripts/config_docs.py > config/README.md
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from adagen.config import Config

Node = Mapping[str, Any]
REQUIRED = object()
"""Stands for "no default", which None could be."""
FOLDER = Path(__file__).parent
"""Where the opening and the closing section of the page lie, which are written by hand."""


class Row(NamedTuple):
    """One key: its path, what it takes, its default and its meaning, as Markdown."""

    key: str
    takes: str
    default: str
    meaning: str


def page() -> str:
    """The whole of config/README.md."""
    introduction, checks = (
        (FOLDER / f"config_{name}.md").read_text() for name in ("introduction", "checks")
    )
    return "\n".join([introduction, *Schema(Config.model_json_schema()).sections(), checks])


class Schema:
    """The JSON schema of the configuration, as sections of a page."""

    def __init__(self, whole: Node) -> None:
        self.whole = whole
        self.models: Node = whole["$defs"]
        top = list(whole["properties"].values())
        inner = [key for model in self.models.values() for key in model["properties"].values()]
        used = Counter(name for key in [*top, *inner] for name in _models(key))
        chosen = {name for key in inner if len(_models(key)) > 1 for name in _models(key)}
        self.shared = [name for name, times in used.items() if times > 1 or name in chosen]
        """Models that several keys refer to, or that a key chooses from: described once."""
        self.top = {
            name: key for key, node in whole["properties"].items() for name in _models(node)
        }
        """Section names of the models that the top level refers to."""

    def sections(self) -> Iterator[str]:
        """Single keys, then a section for each mapping of the top level, then the shared models."""
        keys, required = self.whole["properties"], self.whole["required"]
        mappings = {n: key for n, key in keys.items() if key.get("type", "object") == "object"}
        rows = [
            _row(name, key, REQUIRED if name in required else key["default"])
            for name, key in keys.items()
            if name not in mappings
        ]
        yield _section("Top level", "", rows)
        for name, key in mappings.items():
            yield from self._mapping(name, key)
        for model in self.shared:
            if model not in self.top:
                about = self.models[model]["description"]
                yield _section(f"`{model}`", about, self._rows(model, ""))

    def _mapping(self, name: str, key: Node) -> Iterator[str]:
        """One mapping: a model, or entries by name; of one model, or of one to choose."""
        node, prefix = (key, name) if _models(key) else (_entry(key), f"{name}.<name>")
        for model in (models := _models(node)):
            which = self._choice(model) if len(models) > 1 else ""
            rows = self._rows(model, f"{prefix}.", key.get("default"))
            yield _section(f"`{prefix}`{which}", self.models[model]["description"], rows)

    def _choice(self, model: str) -> str:
        """Words that tell a model from others: " of paradigm `var`", or " of another paradigm"."""
        for name, key in self.models[model]["properties"].items():
            if "const" in key:
                return f" of {name} `{key['const']}`"
            if "not" in key:
                return f" of another {name}"
        raise KeyError(f"nothing chooses {model}")

    def _rows(self, model: str, prefix: str, given: Node | None = None) -> list[Row]:
        """The keys of a model, nested ones below the key they belong to.

        Args:
            model: its name.
            prefix: what stands before a key.
            given: defaults that replace the model's own.
        """
        rows = []
        for name, key in self.models[model]["properties"].items():
            default = (given or {}).get(name, key.get("default", REQUIRED))
            rows += self._key(prefix + name, key, default)
        return rows

    def _key(self, path: str, key: Node, default: Any) -> list[Row]:
        """A key, and the keys below it unless they have a section of their own."""
        entry, below_path = _entry(key), f"{path}.<name>."
        while _entry(entry):
            entry, below_path = _entry(entry), f"{below_path}<name>."
        if models := _models(entry):
            below = [row for model in models for row in self._rows(model, below_path)]
            return [Row(f"`{path}`", "entries by name", "none", _line(key)), *below]
        models = _models(key)
        if not models:
            return [_row(path, key, default)]
        defaults = default if isinstance(default, Mapping) else None
        absent = "none" if default is None else ""
        if all(model in self.shared for model in models):
            changes = self._changes(models[0], defaults) if defaults else absent
            return [Row(f"`{path}`", " or ".join(map(self._link, models)), changes, _line(key))]
        (model,) = models
        mapping = Row(f"`{path}`", "mapping", absent, _line(key))
        return [mapping, *self._rows(model, f"{path}.", defaults)]

    def _link(self, model: str) -> str:
        section = self.top.get(model, model)
        return f"[`{section}`](#{section.lower()})"

    def _changes(self, model: str, default: Node) -> str:
        """Where the default of a key departs from that of its model."""
        changed = [
            f"{name}: {_value(default[name])}"
            for name, key in self.models[model]["properties"].items()
            if default[name] != key.get("default")
        ]
        return f"`{{{', '.join(changed)}}}`" if changed else ""


def _models(node: Node) -> list[str]:
    """Names of the models that a node refers to: one, some to choose from, or none."""
    options = [node, *node.get("oneOf", [])]
    for part in node.get("anyOf", []):  # one of several, or none
        options += [part, *part.get("oneOf", [])]
    return [str(option["$ref"]).rpartition("/")[2] for option in options if "$ref" in option]


def _entry(node: Node) -> Node:
    """The schema of the entries of a node, where it has entries by name."""
    entry = node.get("additionalProperties")
    return entry if isinstance(entry, Mapping) else {}


def _row(path: str, key: Node, default: Any) -> Row:
    if default is REQUIRED:
        value = "required"
    elif default is None:
        value = "none"
    else:
        value = "empty" if default == "" else f"`{_value(default)}`"
    return Row(f"`{path}`", _takes(key), value, _line(key))


def _takes(key: Node) -> str:
    """The values that a key takes, in words: "integer > 0", "list of integers", "`a` or `b`"."""
    if "anyOf" in key:
        given = [_takes(part) for part in key["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(given))
    if "const" in key:
        return f"`{key['const']}`"
    if "enum" in key:
        *first, last = [f"`{value}`" for value in key["enum"]]
        return f"{', '.join(first)} or {last}"
    if "prefixItems" in key:
        entries = key["prefixItems"]
        return f"list of {len(entries)} {_takes(entries[0]).replace('number', 'numbers')}"
    if "items" in key:
        return f"list of {_takes(key['items']).replace('integer', 'integers')}"
    name = {"string": "text", "object": "mapping"}.get(key["type"], key["type"])
    return " ".join([name, *_bounds(key)])


def _bounds(key: Node) -> list[str]:
    signs = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
        "multipleOf": "multiple of",
    }
    bounds = ", ".join(f"{sign} {key[name]}" for name, sign in signs.items() if name in key)
    return [bounds] if bounds else []


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _line(key: Node) -> str:
    """The docstring of a key as one line that a table cell can hold."""
    return " ".join(key["description"].split()).replace("|", "\\|").replace("<", "&lt;")


def _section(title: str, description: str, rows: list[Row]) -> str:
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    parts = [f"## {title}", " ".join(description.split()), "\n".join(lines)]
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    print(page(), end="")
