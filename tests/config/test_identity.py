"""What results depend on: no key is forgotten."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

from adagen.config import LEARNED, Config, Model, identity, parse_config
from adagen.config.identity import CHANGES_NO_RESULT
from adagen.config.overlay import overlay
from adagen.config.runs import ablation_runs, evaluations, runs_of

Key = tuple[type[Model], str]
DEFAULTS = {(Config, "training"), (Config, "policy")}
"""Sections that stand in every experiment already, with what it changes of them."""


def results(config: Config) -> Iterator[object]:
    """The identity of every job, file and run of a configuration."""
    yield [runs_of(config), ablation_runs(config), [*evaluations(config)]]
    for of_run in (
        identity.dataset,
        identity.metric_networks,
        identity.reward_features,
        identity.preference,
        identity.reference,
        identity.evaluate,
        identity.system,
        identity.steps,
        identity.ablation,
    ):
        yield of_run(config)
    for name in ("fidelity", "guidance"):
        yield getattr(config.curves, name) and identity.curve(config, name=name)
    for name, settings in config.generators.items():
        yield identity.pretrain(config, name)
        yield identity.generator_file(name, settings, dataset=config.dataset)
    for name, experiment in config.every_experiment.items():
        yield identity.policy_file(name, experiment, generator_hash="")
        for of_experiment in (identity.released, identity.sweep, identity.sample, identity.judge):
            yield of_experiment(config, name)
        yield [identity.train(config, name, method=method) for method in LEARNED]
        yield identity.fit_judges(config, name)
        yield [
            identity.refine(config, name, refinement=refinement)
            for refinement in config.refinements
        ]


def changed(part: Any, choices: tuple[Any, ...] = ()) -> Iterator[tuple[Key | None, Any]]:
    """A part of a configuration with one of its keys changed, for every key and its `choices`."""
    if isinstance(part, Model):
        for name, field in type(part).model_fields.items():
            if (type(part), name) in DEFAULTS:
                continue
            literals = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
            for key, other in changed(getattr(part, name), literals):
                yield key or defined(type(part), name), part.model_copy(update={name: other})
    elif isinstance(part, Mapping) and part:
        for name in part:
            for key, other in changed(part[name]):
                yield key, {**part, name: other}
    elif isinstance(part, str):
        yield from ((None, other) for other in (*choices, f"{part}-other") if other != part)
    elif isinstance(part, int | float):
        yield None, part + 1
    elif isinstance(part, tuple):
        yield None, part[1:] if part else ("other",)


def defined(kind: type[Model], name: str) -> Key:
    """A key, under the model that it is from: an ablation's variant has those of an experiment."""
    bases = (
        base for base in reversed(kind.__mro__) if name in vars(base).get("__annotations__", ())
    )
    return next(bases), name


KINDS = ("tokens", "convolution", "frechet", "classifier")
EVERY_SECTION = {
    "name": "toy",
    "results": "results",
    "resources": "resources",
    "assets": {"catalogue": {"x": {"file": "x", "url": "u", "licence": "x", "description": "x"}}},
    "generators": {
        "tokens": {"paradigm": "maskgit"},
        "scales": {"paradigm": "var"},
        "noise": {"paradigm": "dit"},
        "flow": {"paradigm": "sit"},
    },
    "experiments": {"a": {"generator": "tokens"}, "b": {"generator": "flow"}},
    "methods": ["handmade", "tuned", "adagen", "faithful"],
    "dial": {},
    "refinements": {
        "ahead": {"kind": "lookahead", "experiments": ["a"]},
        "best": {"kind": "repeated", "experiments": ["b"]},
        "chosen": {"kind": "resampled", "judge": "gaussian", "experiments": ["b"]},
    },
    "curves": {
        "steps": {"b": {"steps": [2]}},
        "sweep": {"samples": 900},
        "fidelity": {"experiments": ["b"], "points": [0, 1]},
        "guidance": {"experiments": ["b"], "scales": [0, 2]},
    },
    "ablation": {
        "experiment": "b",
        "studies": {"reward": {kind: {"training": {"reward": {"kind": kind}}} for kind in KINDS}},
    },
}
WEIGHTS = {"network": "vqgan", "decoder": "vqgan"}
RELEASED = {
    "dataset": {"name": "images", "folder": "images"},
    "generators": {
        "tokens": {"weights": WEIGHTS, "tokeniser": {"kind": "vqgan"}},
        "flow": {"weights": WEIGHTS, "latent": {}},
    },
    "reward_features": {"kind": "dino"},
    "preference": {"kind": "clip"},
    "evaluation": {"protocol": "authors", "reference": "x", "shard": 1000, "samples": 50000},
    "sweep": {"samples": 3000},
    "training": {"reward": {"kind": "tokens"}, "validate_samples": 3000},
    "curves": None,
    "ablation": None,
    "refinements": None,
}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_every_key_changes_a_result_or_is_said_not_to() -> None:
    """A key that is forgotten would run nothing again, and pass for what it isn't in files."""
    seen: set[Key] = set()
    effective: set[Key] = set()
    for content in (EVERY_SECTION, overlay(EVERY_SECTION, RELEASED)):
        config = parse_config(content, "test")
        before = [*results(config)]
        for key, other in changed(config):
            assert key is not None
            seen.add(key)
            if key not in effective and differs(other, before):
                effective.add(key)
    assert seen - effective == {
        (kind, name) for kind, names in CHANGES_NO_RESULT.items() for name in names
    }


def differs(config: Config, before: list[object]) -> bool:
    """Whether a result has another identity, or a part is named that isn't there."""
    try:
        return any(one != other for one, other in zip(results(config), before, strict=True))
    except ValidationError:  # a variant that can't be: its keys stand in experiments too
        return False
    except (KeyError, ValueError):
        return True
