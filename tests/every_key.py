"""Configurations in which every section stands, and each of their keys changed in turn."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from adagen.config import Config, Model

Key = tuple[type[Model], str]
DEFAULTS = {(Config, "training"), (Config, "policy")}
"""Sections that stand in every experiment already, with what it changes of them."""


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
    "sweep": {"table": {"evaluations": 5}},
    "curves": {
        "steps": {"b": {"steps": [2]}},
        "stopping": {"b": {"prices": [0.1]}},
        "sweep": {"samples": 900},
        "fidelity": {"experiments": ["b"], "points": [0, 1]},
        "guidance": {"experiments": ["b"], "scales": [0, 2]},
    },
    "rivals": {
        "given": {
            "experiments": ["b"],
            "methods": ["handmade", "tuned"],
            "tunes": ["guidance"],
            "solver": "table",
            "coefficients": [[], [0.1], [0.1, 0.2], [0.1, 0.2, 0.3]],
            "guidance_rule": "apg",
            "schedule": {"guidance": [0, 1, 2, 3, 4]},
        },
        "sure": {"experiments": ["a"], "unmasking": "entropy", "unmasking_bound": 2.0},
    },
    "ablation": {
        "experiment": "b",
        "studies": {"reward": {kind: {"training": {"reward": {"kind": kind}}} for kind in KINDS}},
    },
}
WEIGHTS = {"network": "x", "decoder": "vqgan"}
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
    "rivals": None,
    "ablation": None,
    "refinements": None,
}
