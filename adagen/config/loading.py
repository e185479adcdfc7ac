"""From config files to a checked configuration, or one clear error."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adagen.config.base import Model
from adagen.config.overlay import GONE, overlay
from adagen.config.run import Config
from adagen.config.stored import require_as_stored
from adagen.config.values import normal_path
from adagen.runtime.documents import decode_yaml
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import YAML_BYTES, read_bytes
from adagen.runtime.names import listed, near, nearest_first

M = TypeVar("M", bound=Model)

CHOSEN = {
    ("tokeniser", "patches"),
    ("tokeniser", "vqgan"),
    ("reward_features", "masked_autoencoder"),
    ("reward_features", "dino"),
    ("preference", "classifier"),
    ("preference", "clip"),
    ("preference", "aesthetic"),
    ("text", "words"),
    ("text", "clip"),
    ("reward", "gaussian"),
    ("reward", "tokens"),
    ("reward", "convolution"),
    ("reward", "frechet"),
    ("reward", "classifier"),
}
"""Sections that are one of several models, and the models' names."""

LONGEST_MESSAGE = 700
"""Most characters of an error: a name of the configuration may be long."""
SECTION_EXPECTED = ("model_type", "model_attributes_type", "dict_type")
"""Kinds of pydantic's errors where a section should be and something else is."""
DEEPEST = 20
"""Most files that extend one another."""
EXTENDS = "extends"
"""Key of a config file that names the file it is laid over, relative to its own folder."""


def load_config(paths: Iterable[Path]) -> Config:
    """Read config files, later ones laid over earlier ones, and check them.

    Raises:
        AdagenError: a file is missing or not YAML, or a key is unknown, missing or of wrong type.
    """
    return load_config_and_files(paths)[0]


def load_config_and_files(paths: Iterable[Path]) -> tuple[Config, list[Path]]:
    """The configuration of config files, and all files that were read, with what they extend.

    Raises:
        AdagenError: as `load_config`.
    """
    paths = list(paths)
    layers = _read_layers(paths)
    config = parse_config(_merged(layers), " + ".join(map(str, paths)))
    return config, [path for path, _ in layers]


def read_config(paths: Iterable[Path]) -> dict[str, Any]:
    """The merged content of config files and of what they extend; not checked yet.

    Each file is laid over those before it, and over what it extends. What several of them extend
    is laid once, below the first of them, or its settings would hide those of that file.

    Raises:
        AdagenError: a file is missing or not YAML, or extends itself.
    """
    return _merged(_read_layers(paths))


def _merged(layers: Iterable[tuple[Path, Mapping[str, Any]]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for _, content in layers:
        merged = overlay(merged, content)
    return merged


def _read_layers(paths: Iterable[Path]) -> list[tuple[Path, Mapping[str, Any]]]:
    """Files and their contents, in the order in which they are laid over one another."""
    layers: list[tuple[Path, Mapping[str, Any]]] = []
    for path in paths:
        known = {file.resolve() for file, _ in layers}
        *extended, last = _read_extended(path, ())
        layers += [layer for layer in extended if layer[0].resolve() not in known]
        layers.append(last)
    return layers


def _read_extended(path: Path, above: tuple[Path, ...]) -> list[tuple[Path, Mapping[str, Any]]]:
    """A file and its content, after those of the file that it extends, if any."""
    if path.resolve() in above:
        raise AdagenError(f"{path} extends itself, by way of {above[-1]}: take one `extends` out")
    content = dict(_read_yaml(path))
    if EXTENDS not in content:
        return [(path, content)]
    if len(above) > DEEPEST:
        raise AdagenError(f"{path} extends a file that extends another, {DEEPEST} times: join some")
    below = path.parent / _extended_path(path, content.pop(EXTENDS))
    return [*_read_extended(below, (*above, path.resolve())), (path, content)]


def _extended_path(path: Path, written: Any) -> str:
    """The path of the file that one extends, without `~` and variables."""
    try:
        if not isinstance(written, str) or not written:
            raise ValueError(f"it is {_short(written)}")
        return normal_path(written)
    except ValueError as error:
        raise AdagenError(
            f"{path}: key {EXTENDS!r}: {error}. Expected: the path of one config file."
        ) from None


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        written = read_bytes(path, most=YAML_BYTES)
        require_as_stored(path, written)
        content = decode_yaml(path, written)
    except FileNotFoundError:
        raise AdagenError(
            f"{path} does not exist: give a config file, e.g. config/config.yaml"
        ) from None
    content = {} if content is None else content
    if not isinstance(content, Mapping):
        raise AdagenError(f"{path} holds {_short(content)}: `key: value` lines are expected")
    return content


def require_known_keys(content: Iterable[str], source: str) -> None:
    """Refuse a merged config with a key that stands nowhere; `source` names it in the error.

    Raises:
        AdagenError: there is one at the top.
    """
    for key in content:
        if key not in Config.model_fields:
            raise AdagenError(f"{source}: unknown key {_short(key)}. {_advice(key)}")


def parse_config(content: Any, source: str) -> Config:
    """Check a merged config; `source` names it in the error.

    Raises:
        AdagenError: the first problem, with its key, what was expected and what to do.
    """
    return check_section(Config, content, source=source)


def check_section(model: type[M], content: Any, *, source: str) -> M:
    """Check a part of a configuration, or all of it; `source` names it in the error.

    Raises:
        AdagenError: the first problem, with its key, what was expected and what to do.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise AdagenError(f"{source}: {_cut(_explain(error, content), LONGEST_MESSAGE)}") from None
    except RecursionError:
        raise AdagenError(f"{source}: too many sections stand inside one another.") from None


def _explain(error: ValidationError, content: Any) -> str:
    """One sentence or two on the first problem of a content, and how many others there are."""
    # A mistake in the shared training shows in every experiment too: the shortest key is its home.
    first, *others = sorted(_causes(error), key=lambda found: len(found["loc"]))
    place = _without_tags(first["loc"])
    if first["type"].startswith("union_tag"):
        place.append("paradigm" if place[0] == "generators" and len(place) == 2 else "kind")
    key, kind = ".".join(map(str, place)), first["type"]
    if kind == "extra_forbidden":
        text = f"unknown key {key!r}. {_advice(str(place[-1]))}"
    elif kind in ("missing", "union_tag_not_found"):
        text = f"key {key!r} is missing. See config/README.md for what it takes."
    elif kind == "union_tag_invalid":
        tag, known = first["ctx"]["tag"], first["ctx"]["expected_tags"]
        text = f"key {key!r} is {tag!r}, but must be one of {_nearest_first(tag, known)}."
    elif kind == "literal_error":
        known = _nearest_first(first["input"], first["ctx"]["expected"])
        text = f"key {key!r} is {_short(first['input'])}, but must be one of {known}."
    elif kind == "value_error":
        where = f"key {key!r}: " if key else ""
        text = f"{where}{first['ctx']['error']}."
    elif kind in SECTION_EXPECTED and first["input"] in GONE and _is_entry(place):
        text = _no_entry(place, content)
    elif kind in SECTION_EXPECTED:
        text = f"key {key!r} is {_short(first['input'])}, but a section with keys is expected."
    else:
        expected = f"{first['msg'][0].lower()}{first['msg'][1:]}"
        text = f"key {key!r} is {_short(first['input'])}, but {expected}."
    return text + (f" ({len(others)} more problems follow from the same files.)" if others else "")


def _causes(error: ValidationError) -> list[ErrorDetails]:
    """The problems, without a list that is too short because of what is wrong with its items."""
    found = error.errors(include_url=False)

    def within(place: tuple[int | str, ...]) -> bool:
        return any(each["loc"][: len(place)] == place != each["loc"] for each in found)

    return [each for each in found if each["type"] != "too_short" or not within(each["loc"])]


def _nearest_first(given: object, known: str) -> str:
    """Quoted names of pydantic, those first that were probably meant; a sentence as it is."""
    names = re.findall("'([^']*)'", known)
    if re.sub("'[^']*'|, | or ", "", known):
        return known
    return ", ".join(map(repr, nearest_first(given, names)))


def _is_entry(place: Sequence[int | str]) -> bool:
    """True of the key of an entry that has a name of the user's own, as experiments have."""
    return len(place) > 1 and place[-1] not in _every_key()


def _no_entry(place: Sequence[int | str], content: Any) -> str:
    """The problem of a null that takes out an entry where there is none of its name."""
    *sections, name = place
    for key in sections:
        content = content.get(key) if isinstance(content, Mapping) else None
    entries = content if isinstance(content, Mapping) else {}
    known = listed(name, [str(key) for key, value in entries.items() if value not in GONE])
    return (
        f"key {'.'.join(map(str, place))!r} is None, but a section with keys is expected: null "
        "takes out an entry of the files that this one lies over, and these have none of this "
        f"name. Entries there are: {known}. Correct the name, or give its keys."
    )


def _without_tags(place: tuple[int | str, ...]) -> list[int | str]:
    """A key as it stands in the file: pydantic names the chosen model after a choice."""
    keys = list(place)
    if keys[:1] == ["generators"]:
        del keys[2:3]
    return [
        key for above, key in zip(["", *keys], keys, strict=False) if (above, key) not in CHOSEN
    ]


def _short(value: object) -> str:
    """`value` as it was typed, cut to a length that fits an error message."""
    return _cut(repr(value), 60)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _advice(key: str) -> str:
    """Advice on a key that is unknown where it stands."""
    known = _known_keys(key)
    if known == key:
        return "It belongs to another section: see config/README.md for every key."
    return f"Did you mean {known!r}?" if known else "See config/README.md for every key."


def _known_keys(key: str) -> str | None:
    """The known key nearest in spelling to `key`, anywhere in the config."""
    return next(iter(near(key, sorted(_every_key()))), None)


def _every_key() -> set[str]:
    return {field for model in _all_models(Model) for field in model.model_fields}


def _all_models(model: type[Model]) -> list[type[Model]]:
    return [model, *(found for child in model.__subclasses__() for found in _all_models(child))]
