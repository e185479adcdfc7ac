"""Print config/README.md: every key of the configuration, from the models of adagen.config.

Types, ranges, defaults and meanings are read from the JSON schema of `Config`, so the page can't
say other than the code does. Only the introduction is written by hand, below.

    python -m adagen.config_docs > config/README.md
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from adagen.config import Config

Node = Mapping[str, Any]
REQUIRED = object()
"""Stands for "no default", which None could be."""

INTRODUCTION = """\
<!-- Made by `python -m adagen.config_docs > config/README.md` from adagen/config/: edit that. -->

# Configuration

Every number that a run depends on stands in one of the files of this folder or in the defaults
below. A key that is not in the list is an error, and the message names the nearest one that is.

## Files

- [`config.yaml`](config.yaml): the default. One generator of each of the four paradigms, at one
  step budget, one training seed.
- [`digits_full.yaml`](digits_full.yaml), laid over it: a second step budget and several training
  seeds. It shares the default's generators, metric networks and reference statistics.
- [`smoke.yaml`](smoke.yaml), laid over it: every job at its smallest, for the tests. Its numbers
  mean nothing.

In a workflow run the default is always at the bottom. Other files, then single keys, are laid over
it on the command line:

    snakemake --cores all --configfile config/digits_full.yaml
    snakemake --cores all --config 'training={updates: 80}'

A stage that is run by hand reads the files it is given and no other; later ones are laid over
earlier ones:

    adagen pretrain maskgit --config config/config.yaml --config config/smoke.yaml --out F

"Laid over" means key by key: mappings are merged at every depth, and anything else (numbers, text,
whole lists) is replaced. An entry can be added or changed in this way, but not taken out.

Give a file of your own a `name` and a `results` folder of its own. Keep `resources` where it uses
the same generators, metric networks and reference; change it where one of them has other settings,
or the run writes over the files that are there.

## Generators, experiments, methods

- A **generator** is a frozen network: a paradigm, its size, and how it is fitted. It is fitted once
  and knows nothing of schedules.
- An **experiment** is one generator at one number of steps, with the hand-made schedule that every
  policy starts from. Several experiments may share a generator. VAR takes one step a scale, so
  there another number of steps needs another generator.
- A **method** is how an experiment is scheduled: `handmade` (as written under `handmade`), `tuned`
  (the best static schedule that a search finds), `static` (a learned schedule that knows the step
  only), `adagen` (a learned policy that sees the sample too). `static` and `adagen` are trained
  once for every entry of `training_seeds`.

A *run* is one method of one experiment, and of one training seed where it is trained. It names the
files, as in `results/<experiment>/policy/adagen_seed0.safetensors`.

`training` has two places. At the top level it holds for all experiments; what an experiment says
under its own `training` is laid over that, for this experiment alone.

## What else is checked

Before anything runs:

- `experiments.<name>.generator` is a key of `generators`.
- `experiments.<name>.steps` is even for `dit` and `sit`, and the number of `scales` for `var`.
- `training.trajectories` is a multiple of `training.group`, which is 2 at least for the baseline
  `group`; both of `training.sigma` are above 0.
- `evaluation.seeds` are at least two different numbers, `training_seeds` at least one, none twice.
- `evaluation.samples`, `sweep.samples`, `training.validate_samples` and `dataset.heldout` exceed
  the dimension of the features, twice `evaluation.networks.width`: a Fréchet distance of fewer
  images is refused.
- The width of a transformer is a multiple of its `heads`.
- Names consist of letters, digits, `_`, `-` and `.`; no generator is called `metrics` or `reward`.

By the first stage that reads the images: `dataset.heldout` is at most half of them, a `patch`
divides their sides, and the last of a VAR's `scales` is their side.

What a change of a key re-runs is told in [docs/workflow.md](../docs/workflow.md#what-re-runs).

# Keys

`<name>` is a name of your choice. Where "takes" is a link, the keys are those of the section it
leads to, with that section's defaults but for the ones given.
"""


class Row(NamedTuple):
    """One key: its path, what it takes, its default and its meaning, as Markdown."""

    key: str
    takes: str
    default: str
    meaning: str


def page() -> str:
    """The whole of config/README.md."""
    return "\n".join([INTRODUCTION, *Schema(Config.model_json_schema()).sections()])


class Schema:
    """The JSON schema of the configuration, as sections of a page."""

    def __init__(self, whole: Node) -> None:
        self.whole = whole
        self.models: Node = whole["$defs"]
        properties = [whole["properties"], *(model["properties"] for model in self.models.values())]
        used = Counter(_reference(key) for keys in properties for key in keys.values())
        self.shared = [name for name, times in used.items() if name and times > 1]
        """Models that several keys refer to: described once."""
        self.top = {_reference(key): name for name, key in whole["properties"].items()}
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
        """One mapping: a model, or entries by name, all of one model or of one a paradigm."""
        if model := _reference(key):
            rows = self._rows(model, f"{name}.", key["default"])
            yield _section(f"`{name}`", self.models[model]["description"], rows)
            return
        entry, prefix = key["additionalProperties"], f"{name}.<name>"
        for option in entry.get("oneOf", [entry]):
            model = _reference(option)
            properties = self.models[model]["properties"]
            kind = f" of paradigm `{properties['paradigm']['const']}`" if "oneOf" in entry else ""
            rows = self._rows(model, f"{prefix}.")
            yield _section(f"`{prefix}`{kind}", self.models[model]["description"], rows)

    def _rows(self, model: str, prefix: str, given: Node | None = None) -> list[Row]:
        """The keys of a model, nested ones below the key they belong to.

        Args:
            model: its name.
            prefix: what stands before a key.
            given: defaults that replace the model's own.
        """
        rows = []
        for name, key in self.models[model]["properties"].items():
            default = given[name] if given is not None else key.get("default", REQUIRED)
            path, inner = prefix + name, _reference(key)
            if not inner:
                rows.append(_row(path, key, default))
            elif inner in self.shared:
                section = self.top.get(inner, inner)
                link = f"[`{section}`](#{section.lower()})"
                rows.append(Row(f"`{path}`", link, self._changes(inner, default), _line(key)))
            else:
                rows.append(Row(f"`{path}`", "mapping", "", _line(key)))
                rows += self._rows(inner, f"{path}.", default)
        return rows

    def _changes(self, model: str, default: Node) -> str:
        """Where the default of a key departs from that of its model."""
        changed = [
            f"{name}: {_value(default[name])}"
            for name, key in self.models[model]["properties"].items()
            if default[name] != key.get("default")
        ]
        return f"`{{{', '.join(changed)}}}`" if changed else ""


def _reference(node: Node) -> str:
    """Name of the model that a node refers to; empty where it refers to none."""
    return str(node.get("$ref", "")).rpartition("/")[2]


def _row(path: str, key: Node, default: Any) -> Row:
    value = "required" if default is REQUIRED else f"`{_value(default)}`"
    return Row(f"`{path}`", _takes(key), value, _line(key))


def _takes(key: Node) -> str:
    """What a key takes, in words: "integer > 0", "list of integers", "`a` or `b`"."""
    if "const" in key:
        return f"`{key['const']}`"
    if "enum" in key:
        *first, last = [f"`{value}`" for value in key["enum"]]
        return f"{', '.join(first)} or {last}"
    if "prefixItems" in key:
        return f"list of {len(key['prefixItems'])} {_takes(key['prefixItems'][0])}s"
    if "items" in key:
        return f"list of {_takes(key['items']).replace('integer', 'integers')}"
    name = "text" if key["type"] == "string" else key["type"]
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
