"""Alignment: the share of images that show what their caption says.

As in GenEval (Ghosh et al., 2023), a network that is trained for that alone says what an image
shows, and the caption's grammar says whether that is right. Here it tells what stands where in a
scene of OpenMoji. It shares no weights with a generator, a reward or another metric.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import Fit
from adagen.data.openmoji.glyphs import COLOURED, COLOURS, NAMES
from adagen.data.openmoji.grammar import (
    LAYOUTS,
    Kind,
    Scene,
    Seen,
    Thing,
    read_caption,
    readings,
)
from adagen.data.openmoji.scenes import (
    CaptionList,
    SceneImages,
    heldout_captions,
    training_captions,
)
from adagen.data.split import Images
from adagen.networks.fitting import CPU, Batch, fit
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_bound, save_tensors
from adagen.runtime.hashing import reading
from adagen.runtime.noise import seeded

KIND = "alignment network"
SCENES = 60_000
"""Scenes that the network is fitted to."""
CHECKED = 2000
"""Real scenes on which its accuracy is measured, of either list of captions."""
BATCH = 500
TASKS: dict[Kind, str] = {
    "one": "one",
    "two": "two",
    "and": "pair",
    "left of": "position",
    "right of": "position",
    "above": "position",
    "below": "position",
}
"""The task that a caption of a kind belongs to."""
GLYPHS = tuple(NAMES)


WIDTH = 32
"""Channels of its first convolution."""


class SceneNetwork(nn.Module):
    """Tells layout, glyphs and colours of a scene.

    The features are pooled over the whole image, and over its left, right, upper and lower half.
    One classifier of glyphs and colours looks at each of these.

    Args:
        width: channels of the first convolution; the last have four times as many.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.width = width
        self.trunk = nn.Sequential(
            nn.Conv2d(3, width, 4, 2, padding=1),
            *_normalised(width),
            nn.Conv2d(width, 2 * width, 3, 2, padding=1),
            *_normalised(2 * width),
            nn.Conv2d(2 * width, 4 * width, 3, padding=1),
            *_normalised(4 * width),
        )
        self.hidden = nn.Sequential(nn.Linear(8 * width, 8 * width), nn.GELU())
        self.layout = nn.Linear(5 * 8 * width, len(LAYOUTS))
        self.glyph = nn.Linear(8 * width, len(GLYPHS))
        self.colour = nn.Linear(8 * width, len(COLOURS))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits of images (B, 3, H, W), whose side is a multiple of 8.

        Returns:
            Those of the layout (B, 3); of the glyph (B, 5, G) and of the colour (B, 5, 8) in the
            whole image, its left, right, upper and lower half.
        """
        maps = self.trunk(images)  # (B, 4 width, H / 4, W / 4)
        half = maps.shape[2] // 2
        regions = (
            maps,
            maps[..., :half],
            maps[..., half:],
            maps[:, :, :half],
            maps[:, :, half:],
        )
        pooled = [torch.cat([r.mean((2, 3)), r.amax((2, 3))], 1) for r in regions]
        hidden = self.hidden(torch.stack(pooled, 1))  # (B, 5, 8 width)
        return self.layout(torch.cat(pooled, 1)), self.glyph(hidden), self.colour(hidden)


REGIONS = {"alone": (0,), "side by side": (1, 2), "stacked": (3, 4)}
"""The regions of `SceneNetwork` in which the things of a layout lie."""


def scene_loss(network: SceneNetwork, batch: Batch) -> torch.Tensor:
    """Cross-entropies of layout, and of glyph and colour in the regions where things lie.

    The labels of the batch are rows of `targets_of`.
    """
    layout, glyph, colour = network(batch.images)
    kind, glyphs, colours = batch.labels[:, 0], batch.labels[:, 1:6], batch.labels[:, 6:]
    loss = F.cross_entropy(layout, kind)
    for logits, target in ((glyph, glyphs), (colour, colours)):
        total = F.cross_entropy(
            logits.flatten(0, 1), target.flatten(), ignore_index=-1, reduction="sum"
        )
        # A batch may have no coloured glyph.
        loss = loss + total / (target >= 0).sum().clamp(min=1)
    return loss


def targets_of(content: Sequence[Seen]) -> torch.Tensor:
    """(N, 11) int64: layout, glyph in each region, colour in each; -1 where there is none."""
    out = torch.full((len(content), 11), -1)
    for row, seen in zip(out, content, strict=True):
        row[0] = LAYOUTS.index(seen.layout)
        for region, thing in zip(REGIONS[seen.layout], seen.things, strict=True):
            row[1 + region] = GLYPHS.index(thing.name)
            if thing.colour:
                row[6 + region] = COLOURS.index(thing.colour)
    return out


@dataclass(frozen=True)
class Alignment:
    """Shares of images that agree with their captions.

    Attributes:
        right: those that show what the caption says, in all respects.
        names: those with the right glyphs, in any colours and places.
        tasks: `right` among the captions of each task: "one", "two", "pair" (and), "position".
        count: number of images.
    """

    right: float
    names: float
    tasks: dict[str, float]
    count: int


@dataclass(frozen=True)
class AlignmentNetwork:
    """A fitted network, with its accuracy on real scenes.

    Attributes:
        network: the network.
        size: side of the images.
        settings: settings of the fit.
        accuracy: share of fresh real scenes that it finds right, of training captions and of
            held-out ones. No score of generated images can be expected above it.
        hash: SHA-256 of the file it was read from; empty before it was written.
    """

    network: SceneNetwork
    size: int
    settings: Fit
    accuracy: dict[str, float]
    hash: str = ""

    @torch.no_grad()
    def seen(self, images: torch.Tensor) -> list[Seen]:
        """The content of images (B, 3, H, W) in [0, 1], as the network sees it.

        Raises:
            AdagenError: they have another shape than those that it was fitted to.
        """
        if images.shape[1:] != (3, self.size, self.size):
            raise AdagenError(
                f"images have shape {tuple(images.shape[1:])}, but the alignment network was "
                f"fitted to (3, {self.size}, {self.size}): fit one to images of that size."
            )
        device = next(self.network.parameters()).device
        layouts, glyphs, colours = (x.argmax(-1).tolist() for x in self.network(images.to(device)))
        found = []
        for layout, names, tones in zip(layouts, glyphs, colours, strict=True):
            regions = REGIONS[LAYOUTS[layout]]
            things = (_thing(names[region], tones[region]) for region in regions)
            found.append(Seen(LAYOUTS[layout], tuple(things)))
        return found

    def score(self, batches: Iterable[torch.Tensor], captions: Sequence[str]) -> Alignment:
        """Score batches of images (b, 3, H, W) against a caption for each.

        Raises:
            AdagenError: a caption is none of the grammar, there are as many others as images, or
                images have another shape.
        """
        scenes = [read_caption(text) for text in captions]
        found = [seen for images in batches for seen in self.seen(images)]
        if len(found) != len(scenes) or not scenes:
            raise AdagenError(
                f"there are {len(found)} images and {len(scenes)} captions: give one caption for "
                "each image."
            )
        return alignment(found, scenes)

    def save(self, path: Path) -> None:
        """Write the network."""
        about: dict[str, Any] = {
            "kind": KIND,
            "glyphs": list(GLYPHS),
            "colours": list(COLOURS),
            "size": self.size,
            "width": self.network.width,
            "settings": self.settings.model_dump(),
            "accuracy": self.accuracy,
        }
        save_tensors(path, self.network.state_dict(), about=about)

    @classmethod
    def load(cls, path: Path, settings: Fit | None = None) -> Self:
        """Read a network that `save` wrote.

        Args:
            path: the file.
            settings: how it must have been fitted; None for any.

        Raises:
            AdagenError: the file is missing, damaged, of another kind, knows other glyphs, or was
                fitted otherwise.
        """
        expected = {"settings": settings.model_dump(mode="json")} if settings else {}
        remedy = "Run `adagen pretrain alignment` again, or restore the keys of the fit."
        with reading(path) as file:
            tensors, about = load_bound(path, KIND, expected=expected, remedy=remedy)
        if (about["glyphs"], about["colours"]) != (list(GLYPHS), list(COLOURS)):
            raise AdagenError(f"{path} knows other glyphs or colours: fit the network again.")
        network = SceneNetwork(about["width"])
        network.load_state_dict(tensors)
        return cls(
            network=network.eval().requires_grad_(False),
            size=about["size"],
            settings=Fit.model_validate(about["settings"]),
            accuracy=about["accuracy"],
            hash=file.hash,
        )


def alignment(found: Sequence[Seen], scenes: Sequence[Scene]) -> Alignment:
    """Compare the content of images with what their captions say."""
    right = [seen in readings(scene) for seen, scene in zip(found, scenes, strict=True)]
    names = [
        _names(seen.things) == _expected(scene) for seen, scene in zip(found, scenes, strict=True)
    ]
    tasks: dict[str, list[bool]] = {}
    for scene, agrees in zip(scenes, right, strict=True):
        tasks.setdefault(TASKS[scene.kind], []).append(agrees)
    return Alignment(
        right=sum(right) / len(right),
        names=sum(names) / len(names),
        tasks={task: sum(part) / len(part) for task, part in sorted(tasks.items())},
        count=len(right),
    )


def fit_alignment(
    settings: Fit,
    size: int,
    *,
    width: int = WIDTH,
    scenes: int = SCENES,
    checkpoint: Path | None = None,
    device: torch.device = CPU,
) -> AlignmentNetwork:
    """Fit a network to real scenes of all captions, and measure its accuracy on others.

    It sees the combinations of held-out captions too, as it must not take them for others that a
    generator knows better.

    Args:
        settings: settings of the fit.
        size: side of the images, a multiple of 8.
        width: channels of the first convolution, a multiple of 8.
        scenes: number of scenes that it is fitted to.
        checkpoint: file of the resumable state; None to keep none.
        device: where it is fitted, and stays.

    Raises:
        AdagenError: the size is no multiple of 8, or the font is not installed.
    """
    if size % 8:
        raise AdagenError(f"the size is {size}, but the alignment network takes multiples of 8.")
    train, heldout = training_captions(), heldout_captions()
    known = CaptionList.of([*train.scenes, *heldout.scenes])
    images = SceneImages(known, count=scenes, size=size, purpose="alignment", seed=settings.seed)
    targets = targets_of(images.seen(torch.arange(scenes)))
    with seeded(KIND, settings.seed):
        network = SceneNetwork(width)
    fit(
        network,
        scene_loss,
        data=Images(images, targets),
        settings=settings,
        name=KIND,
        checkpoint=checkpoint,
        device=device,
    )
    fitted = AlignmentNetwork(network, size, settings, accuracy={})
    for name, captions in (("train", train), ("heldout", heldout)):
        fresh = SceneImages(captions, count=CHECKED, size=size, purpose="alignment check")
        texts = [captions.texts[label] for label in fresh.labels.tolist()]
        batches = (fresh[rows] for rows in torch.arange(CHECKED).split(BATCH))
        fitted.accuracy[name] = fitted.score(batches, texts).right
    return fitted


def _thing(glyph: int, colour: int) -> Thing:
    """The thing of an index of glyphs and one of colours, which only some glyphs have."""
    name = GLYPHS[glyph]
    return Thing(name, COLOURS[colour] if name in COLOURED else "")


def _names(things: Iterable[Thing]) -> list[str]:
    return sorted(thing.name for thing in things)


def _expected(scene: Scene) -> list[str]:
    """The names that a caption speaks of, as often as it does."""
    return _names(scene.things * 2 if scene.kind == "two" else scene.things)


def _normalised(channels: int) -> list[nn.Module]:
    """Group normalisation and GELU."""
    return [nn.GroupNorm(8, channels), nn.GELU()]
