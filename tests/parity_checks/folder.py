"""A folder of golden files."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import recipe
from .report import Line, Tolerance, compare

SHARED_SEED = ("policy_*", "*_forward", "*_forward_teacher", "adanat_ppo")
"""Files whose weights are made with the folder's own seed; those of others have seeds apart."""
OWN_SEED = ("adanat_t2i_forward",)


class Golden:
    """One .npz file: arrays and meta.

    It remembers which arrays were read, so that none is passed over in silence.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        with np.load(path) as arrays:
            content = {key: arrays[key] for key in arrays.files}
        self.meta: dict[str, Any] = json.loads(str(content.pop("meta")))
        self._arrays = {key: torch.from_numpy(np.asarray(value)) for key, value in content.items()}
        self._read: set[str] = set()

    def __getitem__(self, key: str) -> torch.Tensor:
        """An array; integers as int64, whatever they are stored as."""
        self._read.add(key)
        array = self._arrays[key]
        return array if array.is_floating_point() else array.long()

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    @property
    def unread(self) -> list[str]:
        """Arrays that nobody looked at."""
        return [key for key in self._arrays if key not in self._read]

    def matching(self, pattern: str) -> Iterator[tuple[str, re.Match[str]]]:
        """Names of arrays that wholly match a regular expression, with the match."""
        for key in self._arrays:
            if match := re.fullmatch(pattern, key):
                yield key, match

    def compare(
        self, key: str, found: torch.Tensor, tolerance: Tolerance, note: str = ""
    ) -> Iterator[Line]:
        """The line of one array, if the file holds it; the note stands behind its name."""
        if key in self:
            yield compare(self.name, key + note, found.detach(), self[key], tolerance)


class Folder:
    """All files of a folder, each read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._metas: dict[str, dict[str, Any]] = {}
        self.names = sorted(file.stem for file in path.glob("*.npz"))
        self.weights = sorted(file.stem for file in path.glob("*.pth"))

    def golden(self, name: str) -> Golden:
        """A file by name; its arrays count as unread."""
        return Golden(self.path / f"{name}.npz")

    def meta(self, name: str) -> dict[str, Any]:
        """The meta of a file."""
        if name not in self._metas:
            with np.load(self.path / f"{name}.npz") as arrays:
                self._metas[name] = json.loads(str(arrays["meta"]))
        return self._metas[name]

    @cached_property
    def seed(self) -> int:
        """The seed of all inputs.

        Raises:
            ValueError: no file tells.
        """
        for pattern in SHARED_SEED:
            for name in self.names:
                if fnmatch(name, pattern) and name not in OWN_SEED:
                    return int(self.meta(name)["recipe"]["seed"])
        told = self.path / "FORMAT.md"
        if told.exists() and (found := re.search(r"Recipe seed \**(\d+)", told.read_text())):
            return int(found[1])
        raise ValueError(f"no file in {self.path} tells the seed of the inputs")

    def draw(
        self, golden: Golden, formula: str, shape: tuple[int | None, ...] = (), **symbols: int
    ) -> torch.Tensor:
        """The input that a formula of the file's meta describes (see recipe.evaluate)."""
        seed = golden.meta.get("seed_images", golden.meta.get("seed", self.seed))
        return recipe.evaluate(formula, int(seed), shape, **symbols)
