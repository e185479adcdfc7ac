"""Reading a shard of samples: a file of images, the actions that steered them, and their time."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import torch

from adagen.runtime.documents import parse_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import CHECKSUM, read_whole
from adagen.runtime.limits import require_regular

KIND = "samples shard"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a shard lazily; damage that is met while it is read is an error for the user."""
    again = (
        f"Move {path.parent} away and run `adagen sample` again, or repeat the workflow's command."
    )
    try:
        require_regular(path)
        with safetensors.safe_open(path, "pt") as shard:
            yield shard
    except FileNotFoundError:
        raise AdagenError(f"{path} is missing from the samples. {again}") from None
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise AdagenError(
            f"{path} cannot be read as a shard of samples ({error}): it is truncated, damaged or "
            f"something else. {again}"
        ) from None


def read_shard(path: Path) -> dict[str, torch.Tensor]:
    """Read images and actions of a shard, and verify their checksum.

    Raises:
        AdagenError: the file is missing, damaged or something else.
    """
    with _opened(path):
        tensors, about = read_whole(path)
        # Damage to the description can hide the checksum, which is a part of it, but not the kind.
        if about.get("kind") != KIND:
            raise ValueError("it doesn't say that it is one")
        return {key: tensors[key] for key in ("images", "actions")}


def read_image_shape(path: Path) -> tuple[int, ...]:
    """The shape of a shard's images, of which none is read."""
    with _opened(path) as shard:
        return tuple(shard.get_slice("images").get_shape())


def read_checksum(path: Path) -> str:
    """The checksum in the description of a file of samples, which reading it whole verifies."""
    with _opened(path) as shard:
        return str(parse_json(shard.metadata()["about"])[CHECKSUM])


def read_actions(path: Path) -> torch.Tensor:
    """(T, n, K) the actions of a shard."""
    with _opened(path) as shard:
        actions: torch.Tensor = shard.get_tensor("actions")
    return actions


def cost_of_image(
    cost: Mapping[str, float], shards: Iterable[Path], *, images: int
) -> dict[str, float]:
    """The mean cost of so many images in shards, with the speed at which they were made.

    Args:
        cost: of an image that takes all evaluations; where some take less, also
            `gflops_per_evaluation`.
        shards: files of the images.
        images: their number.
    """
    spent, mean = [_spent(path) for path in shards], dict(cost)
    if each := mean.pop("gflops_per_evaluation", None):
        evaluations = sum(one["evaluations"] for one in spent) / images
        mean["gflops_per_image"] -= each * (mean["nfe"] - evaluations)
        mean["nfe"] = evaluations
    return mean | {"images_per_second": images / sum(one["seconds"] for one in spent)}


def _spent(path: Path) -> dict[str, float]:
    """Seconds and evaluations that the images of a shard took together."""
    with _opened(path) as shard:
        about = parse_json(shard.metadata()["about"])
        return {key: float(about[key]) for key in ("seconds", "evaluations") if key in about}
