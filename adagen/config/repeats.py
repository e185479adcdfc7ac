"""Repeats of experiments on generators that are fitted from other seeds."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from pydantic import TypeAdapter, ValidationError

from adagen.config.ablation import settings_of
from adagen.config.experiments import Experiment
from adagen.config.generators import FrozenGenerator
from adagen.config.paradigms import is_built_in
from adagen.config.values import Seeds

SEEDS = TypeAdapter(Seeds)


def repeated(name: str, *, seed: int) -> str:
    """Name of a generator that is fitted from another seed, and of what is repeated on it."""
    return f"{name}-seed-{seed}"


def with_repeats(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration as it stands in a file, with what `generator_seeds` adds to it.

    Every seed but the first adds a generator for each one that is fitted, and an experiment for
    each that has such a generator. A stored configuration has them already, and stays as it is.
    """
    generators, experiments = config.get("generators"), config["experiments"]
    try:
        seeds = SEEDS.validate_python(config.get("generator_seeds", (0,)))
    except ValidationError:  # the key's own validation says what is wrong with it
        return config
    if not isinstance(generators, Mapping):
        return config
    fitted, repeats = dict(generators), dict(experiments)
    for seed in seeds[1:]:
        for name, experiment in experiments.items():
            if not isinstance(experiment, Mapping) or experiment.get("repeats"):
                continue
            generator = str(experiment.get("generator"))
            settings = generators.get(generator)
            if not _is_fitted(settings):
                continue
            other = repeated(generator, seed=seed)
            fitted.setdefault(other, _from_seed(settings, seed))
            changed = {**experiment, "generator": other, "repeats": name}
            repeats.setdefault(repeated(name, seed=seed), changed)
    return {**config, "generators": fitted, "experiments": repeats}


def _is_fitted(generator: Any) -> TypeGuard[Mapping[str, Any]]:
    """True of a section of a built-in generator without released weights."""
    is_section = isinstance(generator, Mapping) and is_built_in(generator.get("paradigm"))
    return is_section and generator.get("weights") is None


def _from_seed(generator: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A generator's section with another seed of all that is fitted: network and tokeniser."""
    changed = {"pretrain": _changed(generator.get("pretrain", {}), seed=seed)}
    tokeniser = generator.get("tokeniser", {})
    if generator["paradigm"] == "maskgit":
        changed["tokeniser"] = _changed(tokeniser, seed=seed)
    if generator["paradigm"] == "var" and isinstance(tokeniser, Mapping):
        fit = _changed(tokeniser.get("fit", {}), seed=seed)
        changed["tokeniser"] = _changed(tokeniser, fit=fit)
    return {**generator, **changed}


def _changed(section: Any, **keys: Any) -> Any:
    """A section with other keys; anything else as it is, as its own validation refuses it."""
    return {**section, **keys} if isinstance(section, Mapping) else section


def check_repeats(
    seeds: Sequence[int], experiments: Mapping[str, Experiment], *, generators: Mapping[str, Any]
) -> None:
    """Raise unless experiments and what they repeat differ in the seed of a generator alone.

    Args:
        seeds: the key `generator_seeds`.
        experiments: all that stand in a file, or that the seeds add.
        generators: all generators, those of the experiments among them.

    Raises:
        ValueError: an experiment repeats none, or another one than it says, or the same fit twice;
            or no generator can be fitted from these seeds.
    """
    repeats = {name: one for name, one in experiments.items() if one.repeats}
    for name, one in repeats.items():
        base = experiments.get(one.repeats)
        if base is None or base.repeats:
            raise ValueError(
                f"experiments.{name}.repeats is {one.repeats!r}, which is none of the experiments "
                "that repeat no other: name one of these"
            )
        same = settings_of(one) == settings_of(base.model_copy(update={"generator": one.generator}))
        fits = [_without_seeds(generators[each.generator]) for each in (one, base)]
        if not same or fits[0] != fits[1] or one.generator == base.generator:
            raise ValueError(
                f"experiments.{name} repeats {one.repeats}, but differs from it in more or less "
                "than the seeds of its generator: make the two equal, or leave `repeats` out"
            )
    for name, base in experiments.items():
        for seed in seeds[1:] if not base.repeats and repeats else ():
            other = repeats.get(repeated(name, seed=seed))
            if repeated(name, seed=seed) in experiments and other is None:
                raise ValueError(
                    f"experiments has the name {repeated(name, seed=seed)!r}, which is that of "
                    f"{name} on a generator of generator_seeds: choose a different one"
                )
            fit = getattr(generators[base.generator], "pretrain", None)
            if other and fit and fit.seed == seed:
                raise ValueError(
                    f"generator_seeds has {seed}, but generators.{base.generator} is fitted from "
                    "it already, and counts as the first one: choose another seed"
                )
    fits_of: dict[str, list[dict[str, Any]]] = {}
    for name, one in experiments.items():
        known = fits_of.setdefault(one.repeats or name, [])
        settings = generators[one.generator].model_dump(mode="json")
        if settings in known:  # it would be counted twice
            raise ValueError(
                f"experiments.{name} repeats {one.repeats} on a generator whose seeds another one "
                "has already: give its generator other seeds, or leave the experiment out"
            )
        known.append(settings)
    if len(seeds) > 1 and not repeats:
        raise ValueError(
            f"generator_seeds is {[*seeds]}, but no experiment has a built-in generator that is "
            "fitted here: leave the key out"
        )


def _without_seeds(generator: Any) -> dict[str, Any]:
    """All settings of a generator but its seeds."""
    settings = generator.model_dump(mode="json")
    return _from_seed(settings, 0) if isinstance(generator, FrozenGenerator) else settings
