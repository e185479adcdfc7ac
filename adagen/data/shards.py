"""Reading a shard of samples: a file of images, the actions that steered them, and their time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors
import torch

from adagen.runtime.errors import AdagenError
from adagen.runtime.files import read_whole

KIND = "samples shard"


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Damage that is met while a shard is read is an error for the user."""
    again = f"Delete {path.parent} and run `adagen sample` again, or repeat the workflow's command."
    try:
        yield
    except FileNotFoundError:
        raise AdagenError(f"{path} is missing from the samples. {again}") from None
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise AdagenError(
            f"{path} cannot be read as a shard of samples ({error}): it is truncated, damaged or "
            f"something else. {again}"
        ) from None


def read_shard(path: Path) -> dict[str, torch.Tensor]:
    """Images and actions, compared with their checksum."""
    with _reading(path):
        tensors, about = read_whole(path)
        # A description that is damaged so that it isn't found takes its checksum along.
        if about.get("kind") != KIND:
            raise ValueError("it doesn't say that it is one")
        return {key: tensors[key] for key in ("images", "actions")}


def shape_of(path: Path) -> tuple[int, ...]:
    """That of the images, of which none is read."""
    with _reading(path), safetensors.safe_open(path, "pt") as shard:
        return tuple(shard.get_slice("images").get_shape())


def actions_of(path: Path) -> torch.Tensor:
    """(T, n, K) what its images were steered by."""
    with _reading(path), safetensors.safe_open(path, "pt") as shard:
        actions: torch.Tensor = shard.get_tensor("actions")
    return actions


def seconds_of(path: Path) -> float:
    """How long its images took."""
    with _reading(path), safetensors.safe_open(path, "pt") as shard:
        return float(json.loads(shard.metadata()["about"])["seconds"])
