"""Released weights: read without running code of the file, and compared with a network by key."""

import argparse
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import safetensors.torch
import torch
from torch import nn

from adagen.data import pins
from adagen.data.wrappers import LayoutError, Tensors, find_weights
from adagen.data.zips import list_zip
from adagen.runtime.documents import parse_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import read_text, require_regular
from adagen.runtime.memory import explain_memory

COUNTERS = ("ema_vocab_hit_SV", "num_batches_tracked")
"""Endings of keys whose values affect no result."""


@runtime_checkable
class Derivable(Protocol):
    """A network with stored tensors that follow from the arguments of its constructor."""

    def derived(self) -> Tensors:
        """The tensors that follow from the constructor's arguments, by key."""
        ...


def load_released(module: nn.Module, path: Path) -> None:
    """Load released weights into a network, on the CPU and in the types of the network.

    The network may be on the meta device: its tensors are replaced, so that no memory is used
    twice. DiT and SiT have the same keys, so that a mix-up of their files is not noticed here.

    Raises:
        AdagenError: the file cannot be read, or does not contain exactly this network.
    """
    derived = module.derived() if isinstance(module, Derivable) else {}
    wanted = [k for k in module.state_dict() if k not in derived and not k.endswith(COUNTERS)]
    adopt(module, read_released(path, wanted), path=path)


def adopt(module: nn.Module, tensors: Tensors, *, path: Path) -> None:
    """Load tensors that were read from `path` into a network.

    Tensors that the network can derive may be missing, and are checked if present. Tensors of
    `COUNTERS` may be missing or have another shape. All others must match.

    Raises:
        AdagenError: keys, shapes, or derivable values don't match.
    """
    expected = module.state_dict()
    counters = {
        key: torch.zeros(value.shape, dtype=value.dtype)
        for key, value in expected.items()
        if key.endswith(COUNTERS) and getattr(tensors.get(key), "shape", None) != value.shape
    }
    derived = module.derived() if isinstance(module, Derivable) else {}
    found = {**derived, **tensors, **counters}
    if mismatch := _mismatch(expected, found):
        raise AdagenError(
            f"{path} does not hold the expected {type(module).__name__}: {mismatch}. Check that it "
            "is the right file, and that the sizes in the config are those of its network."
        )
    for key, value in derived.items():
        _check_derived(path, key, found=found[key], derived=value)
    converted = {key: found[key].to(value.dtype) for key, value in expected.items()}
    module.load_state_dict(converted, assign=True)


def read_released(path: Path, wanted: Collection[str] = ()) -> Tensors:
    """Read the weights of a file by key, on the CPU.

    The file is one of safetensors, an index of several (`model.safetensors.index.json`), or one of
    `torch.save`. Of a training file the averaged weights are taken (`adagen.data.wrappers`), and
    read alone, without what wrappers put before their keys; the keys `position_ids` of old files
    are dropped. No code of a file is executed. A file with a pin must have the pinned SHA-256.

    Args:
        path: the file.
        wanted: keys of the network that is expected, which tell it from other networks in the file.

    Raises:
        AdagenError: the file is missing, incomplete, of another kind, or contains anything else
            than tensors; or it can't be told which of its weights are wanted.
    """
    with _opened(path) as content:
        try:
            found = find_weights(content, wanted)
        except LayoutError as error:
            raise AdagenError(
                f"{path} {error}: save the weights that you want, by key, as a file of their own."
            ) from None
        if not found:
            raise AdagenError(f"{path} holds no weights: expected tensors by key. {CHECK}")
        is_weight = {k: isinstance(k, str) and torch.is_tensor(v) for k, v in found.items()}
        if other := [key for key, fits in is_weight.items() if not fits]:
            raise AdagenError(
                f"{path} holds more than weights: {other[0]!r} is no tensor "
                f"({len(other)} of {len(found)} entries). {CHECK}"
            )
        return _in_memory({k: v for k, v in found.items() if "position_ids" not in k})


def _in_memory(tensors: Tensors) -> Tensors:
    """Copies of tensors that are mapped into memory: a file may be written to after its check."""
    return {key: value.detach().clone() for key, value in tensors.items()}


CHECK = "Check that it is the right file; one that was damaged has to be fetched again."
"""The end of a message about a file that cannot be used."""
DAMAGED = (
    "cannot be read as weights ({reason}): it is cut short or damaged, or neither a safetensors "
    f"file nor one of torch.save. {CHECK}"
)


@contextmanager
def _opened(path: Path, *, of_index: bool = False) -> Iterator[Any]:
    """Open a file by the kind that its first bytes show; one that an index names is no index.

    Tensors are mapped into memory, so that only those are read which the block copies.

    Raises:
        AdagenError: it is missing, no file of weights, not the one that was pinned, or changes in
            the block.
    """
    try:
        require_regular(path)
    except FileNotFoundError:
        raise AdagenError(
            f"{path} does not exist; expected a file of released weights. Fetch it first."
        ) from None
    with pins.verified(path):
        with path.open("rb") as stream:
            start = stream.read(512)
        if not start:
            raise AdagenError(f"{path} is empty. {CHECK}")
        # safetensors: 8 bytes with the length of the header, then the header
        length = int.from_bytes(start[:8], "little")
        if start[8:9] == b"{" and length < path.stat().st_size:
            yield _read_tensors(path, True, mapped=False)
            return
        if start.lstrip().startswith(b"<"):
            raise AdagenError(
                f"{path} is a web page, not weights: the server answered with an error or a "
                "login. Fetch it again, or by hand."
            )
        if start.lstrip().startswith(b"{") and not of_index:
            with ExitStack() as files:
                yield _open_shards(path, files)
            return
        yield _read_tensors(path, False, mapped=start.startswith(b"PK"))


def _read_tensors(path: Path, is_safetensors: bool, *, mapped: bool) -> Any:
    """Read a file of safetensors or of torch; old ones of torch are no zip files, not `mapped`.

    Raises:
        AdagenError: it is damaged or something else, or holds objects.
    """
    try:
        if is_safetensors:
            return safetensors.torch.load_file(path)
        if mapped and any(member.method for member in list_zip(path)[0].values()):
            # Mapped bytes are taken for tensors as they are, and a pickle may unpack to any size.
            raise zipfile.BadZipFile("compressed")
        # Training files contain their command line beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # the readers raise a dozen kinds of exception for damaged files
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            raise AdagenError(
                f"{path} was not read: it holds Python objects ({refused[1]}) beside tensors, and "
                f"restoring them would run code of the file. {CHECK}"
            ) from None
        # A damaged one may ask for any memory.
        reason = "too little memory" if explain_memory(error) else type(error).__name__
        raise AdagenError(f"{path} {DAMAGED.format(reason=reason)}") from None


def _open_shards(path: Path, opened: ExitStack) -> Tensors:
    """Open the files that an index names, which must lie beside it and hold what it says.

    Raises:
        AdagenError: it is no index; or a file of it is missing, elsewhere or not as it says.
    """
    try:
        places = parse_json(read_text(path))["weight_map"]
        expected: dict[str, set[str]] = {name: set() for name in places.values()}
        for key, name in places.items():
            expected[name].add(key)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdagenError(f"{path} {DAMAGED.format(reason=type(error).__name__)}") from None
    if outside := [
        n for n in expected if not isinstance(n, str) or Path(n).name != n or n in ("", "..")
    ]:
        raise AdagenError(
            f"{path} names the file {outside[0]!r}, which is none of its own folder: give an index "
            "whose files lie beside it."
        )
    files = {path.parent / name: keys for name, keys in expected.items()}
    if missing := [file.name for file in files if not file.is_file()]:
        raise AdagenError(
            f"{path} is an index of {len(files)} files, of which {len(missing)} are missing (first "
            f"{missing[0]}): put them beside it."
        )
    tensors: Tensors = {}
    for file, keys in files.items():
        found = opened.enter_context(_opened(file, of_index=True))
        if not isinstance(found, Mapping) or found.keys() != keys:
            raise AdagenError(
                f"{file} does not hold the tensors that {path.name} says: give the files that were "
                "published together."
            )
        tensors |= found
    return tensors


def _mismatch(expected: Tensors, found: Tensors) -> str:
    """Count the keys that are missing, unexpected or of another shape, with the first of each."""
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    shapes = [
        f"{key}: expected {tuple(value.shape)}, found {tuple(found[key].shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    return ", ".join(
        f"{len(keys)} of its keys {kind} (first {keys[0]})" for kind, keys in kinds.items() if keys
    )


def _check_derived(path: Path, key: str, *, found: torch.Tensor, derived: torch.Tensor) -> None:
    """Compare a stored tensor with the derived one, to the precision of its type.

    Raises:
        AdagenError: the values differ.
    """
    precision = torch.finfo(found.dtype).eps if found.is_floating_point() else 0.0
    if not torch.allclose(found.double(), derived.double(), rtol=0, atol=max(precision, 1e-5)):
        raise AdagenError(
            f"{path} holds another {key} than the network derives from its sizes: it belongs to a "
            f"differently built network. {CHECK}"
        )
