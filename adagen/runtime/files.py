"""Files of JSON, and files of tensors that are read without unpickling."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from adagen.runtime.atomic import atomic_path
from adagen.runtime.documents import parse_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import require_regular

if TYPE_CHECKING:  # tables are made without torch, which takes two seconds to import
    import torch


def write_json(path: Path, content: object) -> None:
    """Write `content` as indented JSON. NaN and infinity are refused, as JSON has neither."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save_tensors(
    path: Path, tensors: "Mapping[str, torch.Tensor]", *, about: Mapping[str, Any]
) -> None:
    """Write tensors and a JSON description of them as one safetensors file.

    Raises:
        AdagenError: there is no room for it.
    """
    from safetensors.torch import save_file

    contiguous = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    about = parse_json(_as_text(about))  # as JSON will give it back
    # A single entry, as safetensors writes several in any order. Equal content is equal bytes.
    description = {"about": _as_text({**about, CHECKSUM: _checksum(contiguous, about)})}
    with atomic_path(path) as temporary:
        try:
            save_file(contiguous, temporary, description)
        except safetensors.SafetensorError as error:
            raise AdagenError(
                f"{path} cannot be written ({error}). Make room on the disk or give permission, "
                "and repeat the command; what was there before is untouched."
            ) from None


def first_difference(found: Any, expected: Any, *, key: str = "") -> tuple[str, Any, Any] | None:
    """The first key in which two JSON-like values differ, with both values; None if they agree."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for name in {**expected, **found}:
            path = f"{key}.{name}" if key else str(name)
            if differs := first_difference(found.get(name), expected.get(name), key=path):
                return differs
        return None
    return None if found == expected else (key, found, expected)


def difference(found: Any, expected: Any) -> str | None:
    """Describe the first key in which two JSON-like values differ; None if they are equal."""
    if differs := first_difference(found, expected):
        key, there, here = differs
        return f"{key} is {there!r} there and {here!r} here"
    return None


def load_tensors(path: Path, kind: str) -> "tuple[dict[str, torch.Tensor], dict[str, Any]]":
    """Read a file that `save_tensors` wrote, and check its kind.

    Returns:
        The tensors by key, and the description (whose "kind" equals `kind`).

    Raises:
        AdagenError: the file is missing, truncated, damaged, or holds something else.
    """
    with _reading(path, kind):
        tensors, about = read_whole(path)
    _require_kind(path, about, kind)
    return tensors, about


def load_bound(
    path: Path,
    kind: str,
    *,
    expected: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    remedy: str = "",
) -> "tuple[dict[str, torch.Tensor], dict[str, Any]]":
    """Read a `kind` file as `load_tensors` does, and check that it was made for this purpose.

    Args:
        path: the file.
        kind: what it holds.
        expected: what its description must say; keys that are not named may say anything.
        defaults: what a description means that lacks a key, as those of older files do.
        remedy: a sentence for the user of a file that was made for something else.

    Returns:
        The tensors by key, and the description with the defaults.

    Raises:
        AdagenError: as `load_tensors`; or the file was made for something else.
    """
    tensors, about = load_tensors(path, kind)
    about = {**(defaults or {}), **about}
    makes = MADE_BY.get(kind, "the stage that makes it")
    remedy = remedy or f"Give the file that belongs here, or run {makes} again."
    require_bound(path, about, expected=expected, remedy=remedy)
    return tensors, about


def require_bound(
    path: Path, found: Mapping[str, Any], *, expected: Mapping[str, Any], remedy: str
) -> None:
    """Refuse a file that was made for something else than what is expected of it.

    Args:
        path: the file.
        found: its description.
        expected: what the description must say; keys that are not named may say anything.
        remedy: a sentence that says what to do.

    Raises:
        AdagenError: the two differ; the message names the first key in which they do.
    """
    if words := difference({key: found.get(key) for key in expected}, expected):
        raise AdagenError(f"{path} was made for something else: {words}. {remedy}")


def load_metadata(path: Path, *kinds: str) -> dict[str, Any]:
    """Read only the description of a file that `save_tensors` wrote, of one of some kinds.

    The tensors are not read, so the checksum is not verified. Errors are those of `load_tensors`.
    """
    # As NumPy's, for torch takes a second to import.
    with _reading(path, kinds[0]), safetensors.safe_open(path, "np") as stream:
        about = _about(stream)
    _require_kind(path, about, *kinds)
    return about


@contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    """Turn the errors of reading a file of tensors into an `AdagenError`."""
    command = MADE_BY.get(kind, "the stage that makes it")
    try:
        require_regular(path)
    except FileNotFoundError:
        raise AdagenError(
            f"{path} does not exist; expected a {kind} file. Run {command} first."
        ) from None
    try:
        yield
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        if _is_ours(path):
            advice = "Move it away and run {command} again, or repeat the workflow's command."
        else:  # it may be a good file in the wrong place
            advice = "Check the path that was given, or run {command} again."
        raise AdagenError(
            f"{path} cannot be read as a {kind} file ({error}): it is truncated, damaged or "
            f"something else. {advice.format(command=command)}"
        ) from None


def _is_ours(path: Path) -> bool:
    """True if a file begins as those that `save_tensors` writes."""
    with suppress(OSError), path.open("rb") as stream:
        return stream.read(64).startswith(b'{"__metadata__":{"about":', 8)
    return False


def _about(stream: Any) -> dict[str, Any]:
    """The description in an open file of tensors.

    Raises:
        ValueError: it is no JSON object.
    """
    about = parse_json((stream.metadata() or {}).get("about", "{}"))
    if not isinstance(about, dict):
        raise ValueError("its description is no JSON object")
    return about


def _require_kind(path: Path, about: Mapping[str, Any], *kinds: str) -> None:
    """Refuse a file of another kind."""
    if about.get("kind") not in kinds:
        expected = " or ".join(f"a {kind} file" for kind in kinds)
        raise AdagenError(
            f"{path} holds a {about.get('kind', 'foreign')} file where {expected} was expected. "
            "Check the path that was given."
        )


def read_whole(path: Path) -> "tuple[dict[str, torch.Tensor], dict[str, Any]]":
    """Read tensors and description of a file that `save_tensors` wrote, and verify its checksum.

    A file without a checksum, of another origin or an older version, is accepted.

    Raises:
        ValueError: the content does not match the checksum.
        SafetensorError, OSError: the file cannot be read.
    """
    with safetensors.safe_open(path, "pt") as stream:
        about = _about(stream)
        tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    if CHECKSUM not in about and (misspelt := _misspelt_checksum(tensors, about)):
        raise ValueError(f"its description has {misspelt!r} in place of {CHECKSUM!r}")
    checksum = about.pop(CHECKSUM, None)
    if checksum not in (None, _checksum(tensors, about)):
        raise ValueError("its checksum is not that of its content")
    return tensors, about


def _misspelt_checksum(
    tensors: "Mapping[str, torch.Tensor]", about: Mapping[str, Any]
) -> str | None:
    """The key of the checksum, if damage to its name hides it; None if there is none."""
    for key, value in about.items():
        others = {name: other for name, other in about.items() if name != key}
        if isinstance(value, str) and len(value) == 64 and _checksum(tensors, others) == value:
            return key
    return None


CHECKSUM = "sha256"
"""Key of the checksum in the description of a file of tensors."""

MADE_BY = {
    "generator": "`adagen pretrain <generator>` (rule pretrain)",
    "metrics": "`adagen pretrain metrics` (rule metric_networks)",
    "reward features": "`adagen pretrain reward` (rule reward_features)",
    "preference": "`adagen pretrain preference` (rule preference)",
    "clip score": "`adagen pretrain clip_score` (rule clip_score)",
    "reference": "`adagen reference` (rule reference)",
    "policy": "`adagen train`, `sweep` or `adopt` (rules train, sweep, released)",
    "reward state": "`adagen train --reward-state` (rule train)",
    "fitted judges": "`adagen fit-judges` (rule fit_judges)",
    "samples steering": "`adagen sample` (rule sample)",
}
"""The command and the rule that make a file, by its kind."""


def _as_text(about: Mapping[str, Any]) -> str:
    """A description as JSON with sorted keys."""
    return json.dumps(about, allow_nan=False, sort_keys=True)


def _checksum(tensors: "Mapping[str, torch.Tensor]", about: Mapping[str, Any]) -> str:
    """Hash of the description, and of names, types, shapes and bytes of contiguous tensors."""
    import torch

    total = hashlib.sha256(_as_text(about).encode())
    for key in sorted(tensors):
        tensor = tensors[key]
        total.update(f"{key} {tensor.dtype} {list(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
