"""Print config/README.md: every key of the configuration, from the models of adagen.config.

Types, ranges, defaults and meanings are read from the JSON schema of `Config`, so the page can't
say other than the code does. Only the introduction and the end are written by hand, below.

    python workflow/scripts/config_docs.py > config/README.md
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from adagen.config import Config

Node = Mapping[str, Any]
REQUIRED = object()
"""Stands for "no default", which None could be."""

INTRODUCTION = """\
<!-- Made by `make schema` from adagen/config/: edit that. -->

# Configuration

Every number that a run depends on stands in one of the files of this folder or in the defaults
[below](#keys). A key that is not in the list is an error, and the message names the nearest one.
What else is checked stands [at the end](#what-else-is-checked).

    snakemake --cores all                                            # config.yaml
    snakemake --cores all --configfile config/digits_full.yaml       # another
    snakemake --cores all --config 'training={updates: 80}'          # one key over it

## The ten keys you will change

A file of your own needs a few lines. This one, `my_run.yaml` beside the README, takes the
generators of the default run and two training seeds. MaskGIT and SiT are trained for longer; VAR
and DiT have `updates` and `sigma` of their own there, which go first:

    extends: config/config.yaml
    name: my_run
    results: results/my_run
    methods: [handmade, tuned, adagen]
    training_seeds: [0, 1]
    training: {updates: 80, sigma: [0.6, 0.2]}

Run it:

    snakemake --cores all --configfile my_run.yaml results/my_run/tables/fid.csv

| key | what it decides |
|---|---|
| `name`, `results` | what the run is called, and where its files go |
| `methods` | which schedules are compared |
| `training_seeds` | how many policies of each are trained: one cannot tell luck from gain |
| `experiments.<name>.steps` | the number of steps T of an experiment |
| `experiments.<name>.handmade` | the constants of the schedule that every policy starts from |
| `training.updates` | how long a training is; its time is proportional |
| `training.trajectories` | samples of an update; more are slower, and less noisy |
| `training.sigma` | exploration at the beginning and at the end |
| `training.reward` | the reward: `{kind: gaussian}`, `tokens` or `convolution` |
| `evaluation.samples` | images that a distance is of, for each of `evaluation.seeds` |

## Files

- [`config.yaml`](config.yaml): the default. One generator of each of the four paradigms, at one
  number of steps, one training seed.
- [`digits_full.yaml`](digits_full.yaml) extends it: a second number of steps and several training
  seeds. It shares the default's generators, metric networks and reference statistics.
- [`smoke.yaml`](smoke.yaml) extends it: every job at its smallest, for the tests. Its numbers mean
  nothing.
- [`cifar10.yaml`](cifar10.yaml): generators fitted to CIFAR-10, on one GPU.
- [`imagenet256.yaml`](imagenet256.yaml): the released generators and policies on ImageNet at 256
  pixels, as published. What such runs take: [docs/imagenet.md](../docs/imagenet.md).
- [`imagenet512.yaml`](imagenet512.yaml): MaskGIT-L at 512 pixels, with a checkpoint of your own.

A file may extend another, by a path relative to its own folder. Then only the differences have to
be written:

    extends: config.yaml
    name: my_run
    results: results/my_run

Without a file, a workflow run takes `config.yaml`. Files that are given take its place; each brings
what it extends, later files are laid over earlier ones, and single keys over all of them:

    snakemake --cores all --configfile config/imagenet256.yaml my_cluster.yaml

A stage that is run by hand reads its files in the same way:

    adagen pretrain maskgit --config config/smoke.yaml --out F

"Laid over" means key by key: mappings are merged at every depth, and anything else (numbers, text,
whole lists) is replaced. An entry or a section that a file sets to `null` is removed. A section
with another `kind` than the one below it replaces it with all of its keys.

Give a file of your own a `name` and a `results` folder of its own. Keep `resources` where it uses
the same generators, metric networks and reference; change it where one of them has other settings,
or the run writes over the files that are there.

## Generators, experiments, methods

Terms are defined in the [glossary](../docs/glossary.md).

- A **generator** is a frozen network: a paradigm, its size, and how it is fitted, or which released
  files it is taken from. It is made once and knows nothing of schedules.
- An **experiment** is one generator at one number of steps, with the hand-made schedule that every
  policy starts from. Several experiments may share a generator. VAR takes one step per scale, so
  there another number of steps needs another generator.
- A **method** is how an experiment is scheduled: `handmade`, `tuned`, `static`, `adagen`,
  `faithful`, `released`, `interval`, `halton` or `logsnr_time`
  ([what each is](../docs/glossary.md#methods)). The methods `static`, `adagen` and `faithful` are
  trained once for every entry of `training_seeds`. A method is left out of experiments whose family
  doesn't have it, and `released` of those without a `released_policy`.
- A **run** is one method of one experiment, and of one training seed where it is trained. It names
  files, as in `results/<experiment>/policy/adagen_seed0.safetensors`.

`training` and `policy` have two places. At the top level they hold for all experiments; what an
experiment says under its own is laid over that, for this experiment alone.

A **refinement** draws samples of the method `adagen` once more, each the choice among several
([docs/refinement.md](../docs/refinement.md)); such a run is called `adagen_seed0+<refinement>`.

A **steps curve** takes one experiment to other numbers of steps
([docs/steps.md](../docs/steps.md)). If another experiment has these settings already, the curve
uses it; otherwise it is called `<experiment>-steps-<T>`, and has rows in the curve's table only.

An **ablation** compares one experiment with variants of itself, in studies. A variant is what it
changes in the experiment; one that changes nothing is the experiment. Others become experiments of
their own, called `<experiment>-<study>-<variant>`, which only the target `ablation` makes
([docs/ablations.md](../docs/ablations.md)).

What a change of a key re-runs: [docs/workflow.md](../docs/workflow.md#what-re-runs).

# Keys

`<name>` is a name of your choice. Where "takes" is a link, the keys are those of the section it
leads to, with that section's defaults but for the ones given.
"""

CHECKS = """\
# What else is checked

Before anything runs:

- `experiments.<name>.generator` is a key of `generators`.
- `generators.<name>.paradigm` is a built-in one, or that of an installed package
  ([docs/generators.md](../docs/generators.md)), which checks the keys that it adds.
- `experiments.<name>.steps` is even for `dit` and `sit`, and the number of `scales` for `var`.
- A generator has `weights` together with a tokeniser of kind `vqgan` (`maskgit`) or with `latent`
  (`dit`, `sit`), or none of them. The `scales` of `var` grow.
- `training.trajectories` is a multiple of `training.group`, which is 2 at least for the baseline
  `group`; both of `training.sigma` are above 0, and `training.trackers` are all different.
- With `reward_features` of kind `dino`, `training.reward` is not of kind `gaussian` or `frechet`
  where a method is trained; with kind `tokens`, `training.trajectories` and `training.reward.batch`
  are multiples of 8, the images that its discriminator normalises together.
- A refinement with `k` above 1 finds an experiment whose generator is stochastic (`maskgit` or
  `var`), and names no other; what it names are keys of `experiments`. The rewards of the
  experiments that it refines are not of kind `frechet` for kind `repeated`, nor `frechet` or
  `classifier` for kind `resampled`. Names of refinements have no `.`.
- The method `faithful` comes with a section `dial`.
- Keys of `curves.steps` are experiments, none of a VAR; their `steps` are all different, and other
  than the experiment's own. Derived experiments are checked as others are.
- `evaluation.seeds`, `training_seeds` and `ablation.training_seeds` are at least one number, none
  twice.
- `ablation.experiment` is a key of `experiments`, `ablation.only` names studies, a study has a
  variant at least, and derived experiments have names of their own. A variant is checked as an
  experiment is.
- A method that only one family has needs an experiment of that family, in `methods` as in the
  `method` of a variant. With `interval`, `handmade.guidance` is above 0.
- `experiments.<name>.published` is an entry of `adagen/config/published.yaml`, of the data set and
  the number of steps of the experiment.
- An experiment with a `released_policy` leaves `policy.input` and `policy.step` alone.
- `evaluation.samples`, `sweep.samples` and `training.validate_samples` exceed the dimension of the
  features: a Fréchet distance of fewer images is refused. The dimension is 2048 for Inception, and
  for the protocol `embedded` twice `evaluation.networks.width`. There, `dataset.heldout` has to
  exceed it too, unless a `dataset.heldout_folder` is given.
- `evaluation.reference` is given for the protocols `authors` and `adm` only.
- `dataset.folder` is given, unless `dataset.name` is `digits`.
- The width of a transformer is a multiple of its `heads`, and for `dit` and `sit` of 4. DINO has
  the `blocks` that are named.
- Names consist of letters, digits, `_`, `-` and `.`; no generator is called `metrics`,
  `reward` or `preference`.
- An asset of `assets.catalogue` has a `url`, or says under `manual` how to get it, and a file of
  its own. Assets that are referred to exist.

By the first stage that reads the images: `dataset.heldout` is at most half of them, a `patch`
divides their sides, the resolutions of a tokeniser halve them evenly, and the last of a VAR's
`scales` is the side of what its tokeniser makes of them. Released files are compared with the
configuration, key by key.
"""


class Row(NamedTuple):
    """One key: its path, what it takes, its default and its meaning, as Markdown."""

    key: str
    takes: str
    default: str
    meaning: str


def page() -> str:
    """The whole of config/README.md."""
    return "\n".join([INTRODUCTION, *Schema(Config.model_json_schema()).sections(), CHECKS])


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
    options = [node, *node.get("oneOf", []), *node.get("anyOf", [])]
    return [str(option["$ref"]).rpartition("/")[2] for option in options if "$ref" in option]


def _entry(node: Node) -> Node:
    """The schema of the entries of a node, where it has entries by name."""
    entry = node.get("additionalProperties")
    return entry if isinstance(entry, Mapping) else {}


def _row(path: str, key: Node, default: Any) -> Row:
    if default is REQUIRED:
        value = "required"
    else:
        value = "empty" if default == "" else f"`{_value(default)}`"
    return Row(f"`{path}`", _takes(key), value, _line(key))


def _takes(key: Node) -> str:
    """The values that a key takes, in words: "integer > 0", "list of integers", "`a` or `b`"."""
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
