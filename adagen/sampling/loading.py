"""From files to a sampler: a generator's and a policy's file say all that is needed.

sampler = load("adagen_seed0.safetensors", "sit.safetensors")
plain = load(None, "sit.safetensors", steps=8)
mine = load("mine.safetensors", generator)  # a generator object that has no file
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import TypeAdapter, ValidationError

from adagen import config
from adagen.config import identity
from adagen.config.handmade import TAKEN, with_package_handmade
from adagen.config.paradigms import is_built_in, settings_of
from adagen.generators.base import Backbone, Generator
from adagen.generators.build import build_generator, load_backbone
from adagen.generators.described import KIND as GENERATOR
from adagen.generators.stopping import Stopping
from adagen.policy.files import KIND as POLICY
from adagen.policy.files import load_policy, open_policy, steered, with_inputs
from adagen.policy.networks import HandMade, Policy
from adagen.policy.pretrained import POLICY as FILE
from adagen.runtime.arguments import require_count, require_path
from adagen.runtime.devices import choose_device
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_metadata
from adagen.runtime.hashing import file_hash
from adagen.runtime.names import listed, near, unknown_key
from adagen.sampling.sampler import Sampler

KEYS = "config/README.md has all keys, with their meaning"


def load(
    policy: str | Path | None,
    generator: str | Path | Generator[Any],
    *,
    device: str | torch.device = "auto",
    batch: int | None = None,
    steps: int | None = None,
    handmade: Mapping[str, float] | None = None,
    smoothing: float | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Sampler:
    """The sampler of a policy and the generator that it was made for.

    Args:
        policy: file written by `adagen train`, `sweep` or `adopt`, or a folder that
            `save_pretrained` wrote; or None for the hand-made schedule; or "halton" or
            "logsnr_time", which need no file either.
        generator: file written by `adagen pretrain`; or a generator, which fixes everything but
            the policy and the batch.
        device: "cpu", "cuda" or "auto", which takes a GPU if there is one.
        batch: images made at once; by default what is usual for the generator. It changes memory
            and speed, and no image beyond rounding (4e-7).
        steps: generation steps T without a policy; a policy knows them.
        handmade: constants of the hand-made schedule without a policy, for instance
            {"guidance": 1.5}; the others keep their defaults, which need not be an experiment's
            (`Sampler.handmade` has those of a policy's).
        smoothing: constant s of the moving average over actions without a policy.
        settings: keys of the generator that its file leaves open, for instance
            {"precision": "bfloat16", "compile": "blocks"} on a GPU.

    Raises:
        AdagenError: a file is missing, damaged or of another kind; the policy was made for
            another generator; the generator's package is missing; or an argument is wrong.
    """
    method = policy if policy in config.WITHOUT_POLICY else None
    policy_file = None
    if policy is not None and method is None:
        policy_file = require_path(
            "policy", policy, content="a policy's file or folder, or None for hand-made"
        )
        _require_method_or_file(policy_file)
        policy_file = policy_file / FILE if policy_file.is_dir() else policy_file
    batch = None if batch is None else require_count("batch", batch)
    if isinstance(generator, Generator):
        given = {"steps": steps, "handmade": handmade, "smoothing": smoothing, "settings": settings}
        _require_nothing(given, str(device), generator=generator)
        return _load_onto(generator, policy_file or policy, batch=batch)
    chosen_device = choose_device(str(device))
    generator_file = require_path(
        "generator", generator, content="the file that `adagen pretrain` wrote"
    )
    if policy_file is not None:
        _require_order(policy_file)
    described = load_metadata(generator_file, GENERATOR)
    metadata = with_inputs(load_metadata(policy_file, POLICY)) if policy_file else {}
    # A policy knows what its generator's file leaves open.
    changes = {**metadata.get("sampler", {}), **(settings or {})}
    section = _settings_of(described, generator_file, changes=changes, given=settings or {})
    given = {"steps": steps, "handmade": handmade, "smoothing": smoothing}
    given = {key: value for key, value in given.items() if value is not None}
    if policy_file is None:
        method, expected = method or "handmade", {}
        _require_constants(handmade or {}, section.paradigm)
        if isinstance(section, config.VarGenerator):
            given = {"steps": len(section.scales), **given}
        experiment = _experiment(given, section, path=generator_file)
        _require_suited(method, experiment, settings=section)
    else:
        expected = {
            "generator": _matching_hash(metadata, policy_file, generator_file=generator_file),
            **({"sampler": sampler} if (sampler := identity.sampler(section)) else {}),
        }
        experiment = _experiment(
            _fixed_by(metadata, policy_file, given=given), section, path=policy_file
        )
        method = metadata["method"]
    backbone = _backbone(described, generator_file, settings=section).to(chosen_device)
    if "generator" in expected:
        expected["generator"] = backbone.hash  # of the bytes that were read
    built = build_generator(backbone, experiment, method=method)
    chosen, file = open_policy(built, method=method, path=policy_file, expected=expected)
    return Sampler(
        built,
        chosen,
        batch=batch or section.batch,
        policy_file=file,
        generator_file=generator_file,
    )


def _require_nothing(given: Mapping[str, Any], device: str, *, generator: Generator[Any]) -> None:
    """Refuse what a generator object has decided already."""
    fixed = [key for key, value in given.items() if value is not None]
    if device not in ("auto", str(generator.device), generator.device.type):
        fixed.append("device")
    if fixed:
        raise AdagenError(
            f"{fixed[0]} was given, but the generator is an object, which has it already: leave "
            f"{fixed[0]} out, or build the generator with it."
        )


def _load_onto(
    generator: Generator[Any], policy: str | Path | None, *, batch: int | None
) -> Sampler:
    """The sampler of a generator object, under a policy's file or the hand-made schedule."""
    size = batch or Sampler.batch
    if policy is None:
        return Sampler(generator, HandMade(len(generator.actions.names)), batch=size)
    if policy in config.WITHOUT_POLICY:
        raise AdagenError(
            f"policy is {policy!r}, which takes a generator file: give a policy file, or None for "
            "the hand-made schedule."
        )
    path = Path(policy)
    _require_order(path)
    metadata = load_metadata(path, POLICY)
    if metadata["method"] == "stopping" and not isinstance(generator, Stopping):
        generator = Stopping(generator)
    # Files of a generator are recognised by their hash, other generators by what is steered.
    expected = {"generator": generator.hash, "steers": steered(generator)}
    if "steers" not in metadata:
        if not generator.hash:
            raise AdagenError(
                f"{path} was made for a generator that was read from a file, but this "
                f"{type(generator).__name__} was not: give the generator's file."
            )
        del expected["steers"]
    # The policy's answers are relative to the hand-made schedule of its experiment.
    if generator.experiment is not None:
        expected["settings"] = identity.schedule(generator.experiment)
    if generator.sampler:
        expected["sampler"] = dict(generator.sampler)
    loaded, file = load_policy(path, generator, expected=expected)
    return Sampler(
        generator, cast(Policy, loaded.to(generator.device)), policy_file=file, batch=size
    )


def _require_order(policy_file: Path) -> None:
    """Name the mistake of giving the generator's file first."""
    if load_metadata(policy_file, POLICY, GENERATOR)["kind"] == GENERATOR:
        raise AdagenError(
            f"{policy_file} is a generator file, but stands where a policy file is expected: call "
            f"adagen.load(policy, generator), or adagen.load(None, {str(policy_file)!r}) for the "
            "hand-made schedule."
        )


def _settings_of(
    described: Mapping[str, Any], path: Path, *, changes: Mapping[str, Any], given: Iterable[str]
) -> config.Generator:
    """The settings of a generator's file, with those that it leaves open.

    Args:
        described: the description in the file.
        path: the file.
        changes: the settings that it leaves open, from a policy or the caller.
        given: keys of the caller's.

    Raises:
        AdagenError: a key is fixed or unknown, a value is wrong, or nobody brings the paradigm.
    """
    saved = described["settings"]
    if fixed := [key for key in changes if key in saved]:
        raise AdagenError(
            f"settings has {fixed[0]!r}, but that key is fixed by {path}: it was pretrained with "
            f"{saved[fixed[0]]!r}. Leave it out."
        )
    adapter: TypeAdapter[config.Generator] = TypeAdapter(config.Generator)
    try:
        return adapter.validate_python({**saved, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "union_tag_invalid":
            package = described.get("package", {})
            brings = " ".join(package.values()) or "one that is not known"
            raise AdagenError(
                f"{path} is a generator of paradigm {saved.get('paradigm')!r}, which is not "
                f"registered: it was made by the package {brings}. Install that package, or "
                "register the generator first (docs/generators.md)."
            ) from None
        key = ".".join(str(part) for part in first["loc"][1:])
        if first["type"] == "extra_forbidden" and key in given:
            without = {name: value for name, value in changes.items() if name != key}
            fields = type(adapter.validate_python({**saved, **without})).model_fields
            open_keys = [field for field in fields if field not in saved]
            raise AdagenError(unknown_key("settings", key, known=open_keys, see=KEYS)) from None
        raise AdagenError(
            f"{path} with the given settings is no generator that can be built: {key}: "
            f"{first['msg']}. Correct the settings; without any, the file was written by another "
            "version of adagen or of the generator's package."
        ) from None


def _experiment(
    values: Mapping[str, Any], settings: config.Generator, *, path: Path
) -> config.Experiment:
    """An experiment of the values that a caller gave, or that a policy's file at `path` holds."""
    name = "loaded"
    section = with_package_handmade(
        {**values, "generator": name}, {name: {"paradigm": settings.paradigm}}
    )
    try:
        return config.Experiment.model_validate(section)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise AdagenError(
            f"{path} can't be scheduled so: {key}: {first['msg']}. Correct the value; if none was "
            "given, the file was written by another version of adagen: make it again."
        ) from None


def _require_method_or_file(policy: Path) -> None:
    """Refuse what looks like the name of a method, misspelt."""
    if near(str(policy), config.METHODS) and not policy.exists():
        raise AdagenError(
            f"policy is {str(policy)!r}, which is no file, and no method that needs none: these "
            f"are {listed(str(policy), config.WITHOUT_POLICY)}. Other methods take the file of a "
            "policy."
        )


def _require_constants(handmade: Mapping[str, Any], paradigm: str) -> None:
    """Refuse hand-made constants that the generator doesn't have.

    Raises:
        AdagenError: one is unknown, or of another family.
    """
    model = config.Handmade
    if not is_built_in(paradigm):
        model = getattr(settings_of(paradigm), "handmade", model)
    known = TAKEN.get(paradigm, tuple(model.model_fields))
    if config.Handmade.model_fields.keys() <= handmade.keys():
        return  # those of an experiment, which has the constants of all families
    if unknown := [key for key in handmade if key not in known]:
        subject = f"handmade of a generator of paradigm {paradigm!r}"
        raise AdagenError(unknown_key(subject, unknown[0], known=known, see=KEYS))


def _require_suited(
    method: str, experiment: config.Experiment, *, settings: config.Generator
) -> None:
    """Raise unless a generator's family has the method, and can take that many steps."""
    paradigm = settings.paradigm
    if paradigm not in (families := config.FAMILIES.get(method, (paradigm,))):
        raise AdagenError(
            f"method {method!r} is one of {' and '.join(families)} alone, but the generator is of "
            f"paradigm {paradigm!r}: choose another of the two."
        )
    single_step = paradigm in ("dit", "sit") and experiment.solver == "2s"
    if single_step and experiment.steps % 2:
        raise AdagenError(
            f"steps is {experiment.steps}, but the second-order solver of dit and sit takes two "
            "evaluations an update: use an even number."
        )
    if isinstance(settings, config.VarGenerator) and experiment.steps != len(settings.scales):
        raise AdagenError(
            f"steps is {experiment.steps}, but the generator has {len(settings.scales)} scales, "
            "one a step: leave steps out."
        )


def _matching_hash(metadata: Mapping[str, Any], policy_file: Path, *, generator_file: Path) -> str:
    """The hash of the generator's file, if the policy was made for that file."""
    found = file_hash(generator_file)
    if not metadata["generator"]:
        raise AdagenError(
            f"{policy_file} was made for a generator without a file, a "
            f"{metadata.get('steers', {}).get('class', 'Generator')}: give that generator itself, "
            "adagen.load(policy, generator)."
        )
    if metadata["generator"] != found:
        raise AdagenError(
            f"{policy_file} was made for another generator: it names the file with SHA-256 "
            f"{metadata['generator'][:12]}..., but {generator_file} has {found[:12]}.... Give the "
            "generator that the policy was trained with, or train a policy for this one."
        )
    return found


def _fixed_by(
    metadata: Mapping[str, Any], path: Path, *, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of an experiment that a policy's file holds."""
    if given:
        raise AdagenError(
            f"{next(iter(given))} was given, but {path} fixes it: a policy steers the steps and "
            "the hand-made schedule that it was trained with. Leave it out, or give None as "
            "policy."
        )
    return {**metadata["settings"], "policy": {**metadata["size"], **metadata["policy"]}}


def _backbone(described: Mapping[str, Any], path: Path, *, settings: config.Generator) -> Backbone:
    """The networks in a generator's file, with the data set that the file names."""
    saved = described["dataset"]
    dataset = config.Dataset.model_validate(saved) if saved else config.Dataset()
    return load_backbone(path, described["name"], settings=settings, dataset=dataset)
