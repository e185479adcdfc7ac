"""Released weights: read without running code of the file, and compared with a network by key."""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import safetensors.torch
import torch
from torch import nn

from adagen.runtime.errors import AdagenError

WRAPPERS = ("ema", "model_ema", "ema_state_dict", "state_dict", "model", "module", "network", "net")
"""Keys under which files keep their weights. Of several the first in this list is taken."""
COUNTERS = ("ema_vocab_hit_SV", "num_batches_tracked")
"""Endings of keys whose values affect no result."""

Tensors = dict[str, torch.Tensor]


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
    adopt(module, read_released(path), path=path)


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


def read_released(path: Path) -> Tensors:
    """Read the tensors of a safetensors file, or of a `torch.save` file, by key, on the CPU.

    Large files are mapped into memory. Of a training file the averaged weights are taken. The
    prefix `module.` and the keys `position_ids` of old files are dropped. No code of the file is
    executed.

    Raises:
        AdagenError: the file is missing, incomplete, of another kind, or contains anything else
            than tensors.
    """
    content: Any = _read(path)
    while isinstance(content, Mapping):
        inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping) or not content:
        raise AdagenError(f"{path} holds no weights: expected tensors by key. {CHECK}")
    is_weight = {k: isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items()}
    if other := [key for key, fits in is_weight.items() if not fits]:
        raise AdagenError(
            f"{path} holds more than weights: {other[0]!r} is no tensor "
            f"({len(other)} of {len(content)} entries). {CHECK}"
        )
    prefix = "module." if all(key.startswith("module.") for key in content) else ""
    return {
        key.removeprefix(prefix): value.detach()
        for key, value in content.items()
        if "position_ids" not in key
    }


CHECK = "Check that it is the right file; delete it and fetch it again if it was damaged."
"""The end of a message about a file that cannot be used."""


def _read(path: Path) -> Any:
    """Read a file by the kind that its first bytes show."""
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise AdagenError(f"{path} {found}; expected a file of released weights. Fetch it first.")
    with path.open("rb") as stream:
        start = stream.read(512)
    if not start:
        raise AdagenError(f"{path} is empty. {CHECK}")
    if start.lstrip().startswith(b"<"):
        raise AdagenError(
            f"{path} is a web page, not weights: the server answered with an error or a login. "
            "Delete it, and fetch it again or by hand."
        )
    try:
        if (
            start[8:9] == b"{"
        ):  # safetensors: 8 bytes with the length of the header, then the header
            return safetensors.torch.load_file(path)
        # Files of old versions of torch are not zip files and cannot be mapped.
        mapped = start.startswith(b"PK")
        # Training files contain their command line beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # the readers raise a dozen kinds of exception for damaged files
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            raise AdagenError(
                f"{path} was not read: it holds Python objects ({refused[1]}) beside tensors, and "
                f"restoring them would run code of the file. {CHECK}"
            ) from None
        raise AdagenError(
            f"{path} cannot be read as weights ({type(error).__name__}): it is cut short or "
            f"damaged, or neither a safetensors file nor one of torch.save. {CHECK}"
        ) from None


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
