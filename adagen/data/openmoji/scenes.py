"""Scenes as images. Each is a function of seed and row, so there are as many as one asks for."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from adagen.data.captions.pairs import list_hash
from adagen.data.openmoji.drawing import font_path, sprite
from adagen.data.openmoji.grammar import (
    RELATIONS,
    Layout,
    Scene,
    Seen,
    caption_of,
    is_held_out,
    readings,
    singles,
    things,
)
from adagen.data.sources import ImageRows
from adagen.runtime.errors import AdagenError
from adagen.runtime.hashing import file_hash
from adagen.runtime.noise import SampleNoise

VERSION = 1
"""Changes whenever the same row would get other pixels."""
SHARES = {"one": 0.4, "two": 0.2, "pair": 0.4}
"""Shares of images with one thing, with a thing twice, and with two things."""
DRAWS = 9
SMALLEST, LARGEST = 16, 128
"""Sides of images that can be drawn."""


@dataclass(frozen=True)
class CaptionList:
    """Scenes with their captions, and how often each is drawn.

    Attributes:
        scenes: the scenes; row i is label i.
        weights: (N,) their shares, which sum to 1.
    """

    scenes: tuple[Scene, ...]
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.scenes)

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> "CaptionList":
        """Weigh scenes by `SHARES`, and within a kind all glyphs alike, whatever their colours."""
        kinds = [scene.kind if scene.kind in ("one", "two") else "pair" for scene in scenes]
        names = [
            (kind, *(thing.name for thing in s.things))
            for kind, s in zip(kinds, scenes, strict=True)
        ]
        counts = Counter(names)
        different = Counter(kind for kind, *_ in counts)
        weights = np.array(
            [SHARES[k] / different[k] / counts[key] for k, key in zip(kinds, names, strict=True)]
        )
        return cls(tuple(scenes), weights / weights.sum())

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The captions."""
        return tuple(map(caption_of, self.scenes))

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the captions in their order."""
        return list_hash(self.texts)

    def drawn(self, uniform: np.ndarray) -> np.ndarray:
        """(n,) int64 labels from numbers (n,) in [0, 1)."""
        cumulative = self.weights.cumsum()
        labels: np.ndarray = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
        return labels.clip(max=len(self) - 1)


def training_captions(*, pairs: int = 3000, seed: int = 0) -> CaptionList:
    """Captions for training: of all things, alone and twice, and of random pairs.

    Args:
        pairs: number of captions of two things.
        seed: seed of the pairs.
    """
    return _captions(heldout=False, pairs=pairs, seed=seed)


def heldout_captions(*, pairs: int = 300, seed: int = 0) -> CaptionList:
    """Captions of combinations that are in no training caption; arguments as above."""
    return _captions(heldout=True, pairs=pairs, seed=seed)


def _captions(*, heldout: bool, pairs: int, seed: int) -> CaptionList:
    chosen = [s for kind in ("one", "two") for s in singles(kind) if is_held_out(s) == heldout]
    random, known = np.random.RandomState(seed), list(things())
    by_name = {thing.name: [t for t in known if t.name == thing.name] for thing in known}
    names, found = list(by_name), dict[Scene, None]()
    while len(found) < pairs:
        first, second = (
            by_name[name][random.randint(len(by_name[name]))]
            for name in (names[random.randint(len(names))] for _ in range(2))
        )
        scene = Scene(RELATIONS[random.randint(len(RELATIONS))], (first, second))
        if first != second and is_held_out(scene) == heldout:
            found[scene] = None
    return CaptionList.of([*chosen, *found])


class SceneImages(ImageRows):
    """Scenes that are drawn whenever they are read.

    Args:
        captions: what is drawn.
        count: number of rows, N. A row doesn't depend on it.
        size: side of the images.
        purpose: what they are for ("train", "heldout", ...); different ones share no scene.
        seed: seed within the purpose.

    Attributes:
        labels: (N,) int64 caption of each row.

    Raises:
        AdagenError: the size is too small or too large, or the font is not installed.
    """

    def __init__(
        self, captions: CaptionList, *, count: int, size: int, purpose: str, seed: int = 0
    ) -> None:
        if not SMALLEST <= size <= LARGEST:
            raise AdagenError(
                f"scenes of {size} pixels can't be drawn: choose {SMALLEST} to {LARGEST}."
            )
        font_path()
        self.captions, self.size, self.purpose, self.seed = captions, size, purpose, seed
        self.shape = torch.Size((count, 3, size, size))
        choice = SampleNoise(f"openmoji {purpose}", seed, range(count)).uniform("caption")
        self.labels = torch.from_numpy(captions.drawn(choice.double().numpy()))
        self._readings = [sorted(readings(scene)) for scene in captions.scenes]

    def seen(self, rows: torch.Tensor) -> list[Seen]:
        """The content of some rows."""
        return [seen for seen, _ in self._drawn(rows)]

    def pixels(self, rows: torch.Tensor) -> torch.Tensor:
        """Draw the rows."""
        out = np.stack([draw(seen, uniform, size=self.size) for seen, uniform in self._drawn(rows)])
        return torch.from_numpy(out.transpose(0, 3, 1, 2).copy())

    def digest(self) -> str:
        """SHA-256 over what the rows follow from, and the first of them as they are drawn here."""
        about = (VERSION, self.captions.hash, self.purpose, self.seed, *self.shape)
        digest = hashlib.sha256(f"{about} {file_hash(font_path())}".encode())
        digest.update(self.captions.weights.tobytes())
        digest.update(self.pixels(torch.arange(min(64, len(self)))).numpy().tobytes())
        return digest.hexdigest()

    def _drawn(self, rows: torch.Tensor) -> list[tuple[Seen, np.ndarray]]:
        """The content of rows, with the numbers in [0, 1) that place it."""
        noise = SampleNoise(f"openmoji {self.purpose}", self.seed, rows.tolist())
        numbers = noise.uniform("scene", DRAWS).numpy()
        found = []
        for label, uniform in zip(self.labels[rows].tolist(), numbers, strict=True):
            choices = self._readings[label]
            found.append((choices[int(uniform[0] * len(choices))], uniform[1:]))
        return found


def draw(seen: Seen, uniform: np.ndarray, *, size: int) -> np.ndarray:
    """Draw things on white, (size, size, 3) bytes.

    Args:
        seen: the things and their layout.
        uniform: (8,) numbers in [0, 1) that place them.
        size: side of the image.
    """
    image = np.full((size, size, 3), 255, np.uint8)
    for thing, (left, top, side) in zip(
        seen.things, places(seen.layout, uniform, size=size), strict=True
    ):
        glyph = sprite(thing, side)
        part = image[top : top + side, left : left + side]
        behind = part.astype(np.uint16) * (255 - glyph[..., 3:])
        part[:] = glyph[..., :3] + ((behind + 127) // 255).astype(np.uint8)
    return image


def places(layout: Layout, uniform: np.ndarray, *, size: int) -> list[tuple[int, int, int]]:
    """The (left, top, side) of each thing: one anywhere; two in their halves, nearly in line.

    Two things lie further apart along the line than across it, so that their layout is clear.
    """
    if layout == "alone":
        side = round(size * (0.5 + 0.4 * uniform[0]))
        left, top = ((size - side + 1) * uniform[1:3]).astype(int)
        return [(left, top, side)]
    half = size // 2
    sides = [round(size * (0.36 + 0.12 * u)) for u in uniform[:2]]
    along = [
        int((half - side + 1) * u) + i * half
        for i, (side, u) in enumerate(zip(sides, uniform[2:4], strict=True))
    ]
    middle = sides[0] / 2 + (size - max(sides)) * uniform[4]
    across = [
        int(np.clip(middle + 0.2 * size * (u - 0.5) - side / 2, 0, size - side))
        for side, u in zip(sides, uniform[5:7], strict=True)
    ]
    if layout == "stacked":
        along, across = across, along
    return list(zip(along, across, sides, strict=True))
