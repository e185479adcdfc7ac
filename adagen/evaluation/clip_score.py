"""CLIP score: how well generated images match their captions, or the names of their classes.

100 max(cos, 0) of the vectors of image and text, and its mean over the images (Hessel et al.,
2021), by a network of open_clip. Model and weights belong to the name of the protocol: the scores
of two networks can't be compared.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from adagen import config
from adagen.config.bindings import of_judge
from adagen.evaluation.image_sets import rebatch
from adagen.evaluation.meters import Measured
from adagen.networks.clip import ClipSimilarity
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_bound
from adagen.runtime.hashing import reading
from adagen.runtime.processes import SINGLE_PROCESS, Processes

KIND = "clip score"
BATCH = 64
"""Number of images that are scored at once."""


@dataclass(frozen=True)
class ClipScorer:
    """A CLIP that knows the texts of all labels.

    Attributes:
        network: the network, on its device.
        settings: model, asset of the weights, texts.
        weights_hash: SHA-256 of the released file.
        hash: SHA-256 of the file it was read from.
        processes: share the images.
    """

    network: ClipSimilarity
    settings: config.ClipScore
    weights_hash: str
    hash: str
    processes: Processes = SINGLE_PROCESS

    @classmethod
    def load(
        cls,
        path: Path,
        settings: config.ClipScore,
        *,
        dataset: config.Dataset,
        device: torch.device,
        processes: Processes = SINGLE_PROCESS,
    ) -> Self:
        """Read a file that `adopt_clip` wrote.

        Raises:
            AdagenError: the file is missing, damaged, or was made with other settings.
        """
        with reading(path) as file:
            tensors, about = load_bound(path, KIND, expected=of_judge(settings, dataset))
        network = ClipSimilarity.of(settings, tensors)
        return cls(network.to(device), settings, about["weights_hash"], file.hash, processes)

    @property
    def name(self) -> str:
        """Part of a protocol's name: model, first digits of the hash of its weights, wording."""
        settings = self.settings
        worded = f".{settings.prompt.replace('{}', '_')}" if settings.prompt != "{}" else ""
        return f"clip.{Path(settings.model).stem}.{self.weights_hash[:8]}{worded}"

    @property
    def described(self) -> dict[str, Any]:
        """Model and weights, as metrics files name them."""
        return {
            "model": self.settings.model,
            "weights": self.settings.weights,
            "weights_hash": self.weights_hash,
            "prompt": self.settings.prompt,
        }

    def score(self, batches: Iterable[torch.Tensor], labels: torch.Tensor) -> Measured:
        """The metric `clip_score` of a set of images, which every process gets.

        Images are rounded to the 256 levels of an image file.

        Args:
            batches: (b, C, H, W) in [0, 1]. Their sizes b change memory and no result.
            labels: (N,) rows of the texts, one for each image.

        Raises:
            AdagenError: there are more labels than images, or the reverse; or images hold NaN,
                leave [0, 1] or differ in shape.
        """
        pairs = _paired(rebatch(batches, BATCH), labels, texts=len(self.network.prompts))
        cosines = [found for (found,) in self.processes.map_in_order(pairs, self._cosines)]
        return {"clip_score": 100 * float(torch.cat(cosines).double().clamp(min=0).mean())}

    def _cosines(self, batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor]:
        """The cosine of each image of a batch with its text."""
        images, labels = batch
        device = self.network.prompts.device
        found = self.network((images * 255).round().to(device) / 255, labels.to(device))
        return (found.cpu(),)


def _paired(
    batches: Iterable[torch.Tensor], labels: torch.Tensor, texts: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield each batch of images with its labels (b,).

    Raises:
        AdagenError: there are more or fewer images than labels, or a label has no text.
    """
    if len(labels) and int(labels.max()) >= texts:
        raise AdagenError(
            f"label {int(labels.max())} is none of the {texts} texts of the CLIP score: run "
            "`adagen pretrain clip_score` again, for the data set of these samples."
        )
    count = 0
    for images in batches:
        chosen = labels[count : count + len(images)]
        count += len(images)
        if len(chosen) == len(images):
            yield images, chosen
    if count != len(labels):
        raise AdagenError(
            f"there are {count} images and {len(labels)} texts to compare them with: give one for "
            "each image."
        )
