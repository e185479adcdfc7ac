"""The two networks of protocol `embedded`: a classifier and a label-free denoising autoencoder.

They only measure. Neither shares weights or features with a generator or a reward.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from adagen import config
from adagen.data.split import Images, Split
from adagen.evaluation.embedded.losses import classification_loss, denoising_loss
from adagen.evaluation.image_sets import one_layout
from adagen.evaluation.versions import require_this_version
from adagen.networks.fitting import CPU, Batch, fit
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_bound, require_bound, save_tensors
from adagen.runtime.hashing import reading
from adagen.runtime.noise import seeded, torch_generator
from adagen.runtime.processes import SINGLE_PROCESS, Processes

PRIMARY = "primary"
LABEL_FREE = "label_free"
SPACES = (PRIMARY, LABEL_FREE)
"""The feature spaces, in the order of reports."""

BATCH = 1000
"""Number of images that are measured at once."""


class Classifier(nn.Module):
    """Maps images (N, C, H, W) to class logits; the pooled last convolution is the primary space.

    The hidden layer between the two matters: features directly before the logits collapse onto
    the classes, and their distances then favour images that are too typical of their class.
    """

    def __init__(self, channels: int, width: int, *, num_classes: int):
        super().__init__()
        self.trunk = nn.Sequential(
            *_normalised_convolution(channels, width),
            *_normalised_convolution(width, width),
            *_normalised_convolution(width, 2 * width, stride=2),
            *_normalised_convolution(2 * width, 2 * width),
        )
        self.head = nn.Sequential(
            nn.Linear(2 * width, 4 * width), nn.GELU(), nn.Linear(4 * width, num_classes)
        )

    def pooled(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 2 * width) global average of the last convolution."""
        maps: torch.Tensor = self.trunk(images)  # (N, 2 * width, H / 2, W / 2)
        return maps.mean((2, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, classes) logits."""
        logits: torch.Tensor = self.head(self.pooled(images))
        return logits


class Autoencoder(nn.Module):
    """Maps noisy images (N, C, H, W) to clean ones; the pooled bottleneck is the label-free space.

    It has no normalisation, which would hide errors of contrast.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1),
            nn.GELU(),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(width, channels, 3, padding=1),
        )

    def pooled(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 2 * width) global average of the bottleneck."""
        maps: torch.Tensor = self.encoder(images)  # (N, 2 * width, H / 4, W / 4)
        return maps.mean((2, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) images without their noise."""
        clean: torch.Tensor = self.decoder(self.encoder(images))
        return clean


def _normalised_convolution(channels: int, out: int, stride: int = 1) -> list[nn.Module]:
    """Convolution, group normalisation and GELU."""
    return [
        nn.Conv2d(channels, out, 3, stride, padding=1),
        nn.GroupNorm(8, out),
        nn.GELU(),
    ]


@dataclass(frozen=True)
class MetricNetworks:
    """Both networks, fitted and frozen, with their accuracy.

    Attributes:
        classifier: gives the primary space and the class probabilities of the Inception Score.
        autoencoder: gives the label-free space.
        settings: sizes, and settings of the fits.
        dataset: the split they were fitted on.
        channels: channels of the images.
        side: height and width of the images; None where an older file does not say.
        num_classes: classes of the classifier.
        heldout_accuracy: share of held-out images that are classified correctly.
        heldout_denoising_error: mean squared error over held-out images.
        hash: SHA-256 of the file they were read from; None before they were written.
    """

    classifier: Classifier
    autoencoder: Autoencoder
    settings: config.MetricNetworks
    dataset: config.Dataset
    channels: int
    side: int | None
    num_classes: int
    heldout_accuracy: float
    heldout_denoising_error: float
    hash: str | None = None

    @property
    def device(self) -> torch.device:
        """The device of both networks."""
        return next(self.classifier.parameters()).device

    def to(self, device: torch.device) -> Self:
        """Move both networks to a device, and return self."""
        self._modules().to(device)
        return self

    @torch.no_grad()
    def features(
        self, batches: Iterable[torch.Tensor], processes: Processes = SINGLE_PROCESS
    ) -> dict[str, torch.Tensor]:
        """Compute the features of batches of images, (b, C, H, W) in [0, 1].

        Several processes share the batches, and every one gets all features.

        Returns:
            "primary" and "label_free", (N, 2 * width), and "logits", (N, classes): float32, on
            the CPU.

        Raises:
            AdagenError: images of another number of channels, or of another size, than those that
                they were fitted to.
        """
        seen = processes.map_in_order(batches, self._features)
        whole = [torch.cat(parts) for parts in zip(*seen, strict=True)]
        return dict(zip((PRIMARY, LABEL_FREE, "logits"), whole, strict=True))

    def _features(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Primary and label-free features and logits of a batch, on the CPU."""
        self._require_shape(images)
        images = one_layout(images).to(self.device)
        primary = self.classifier.pooled(images)
        label_free, logits = self.autoencoder.pooled(images), self.classifier.head(primary)
        return primary.cpu(), label_free.cpu(), logits.cpu()

    def _require_shape(self, images: torch.Tensor) -> None:
        """Refuse images of other channels or another size than those of the fit."""
        if images.shape[1] != self.channels:
            raise AdagenError(
                f"images have {images.shape[1]} channels, but the metric networks were fitted to "
                f"images of {self.channels}."
            )
        if self.side is not None and images.shape[2:] != (self.side, self.side):
            height, width = images.shape[2:]
            raise AdagenError(
                f"images are {height}x{width} (height x width), but the metric networks and the "
                f"reference were computed from images of {self.side}x{self.side}: measure images "
                "of that size, or fit networks and compute a reference for yours."
            )

    def save(self, path: Path) -> None:
        """Write the networks; `load` them again before computing a reference for the file."""
        about: dict[str, Any] = {
            "kind": "metrics",
            "settings": self.settings.model_dump(),
            "dataset": self.dataset.model_dump(),
            "channels": self.channels,
            "side": self.side,
            "num_classes": self.num_classes,
            "heldout_accuracy": self.heldout_accuracy,
            "heldout_denoising_error": self.heldout_denoising_error,
        }
        save_tensors(path, self._modules().state_dict(), about=about)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read networks that `save` wrote.

        Raises:
            AdagenError: the file is missing, damaged, or of another kind or version.
        """
        with reading(path) as file:
            tensors, about = load_bound(
                path,
                "metrics",
                expected={"protocol": "embedded"},
                defaults={"protocol": "embedded"},  # files of other protocols alone have the key
                remedy="Run `adagen pretrain metrics` again with this config.",
            )
        with require_this_version(path, "metrics"):
            settings = config.MetricNetworks.model_validate(about["settings"])
            dataset = config.Dataset.model_validate(about["dataset"])
            networks = cls(
                classifier=Classifier(
                    about["channels"], settings.width, num_classes=about["num_classes"]
                ),
                autoencoder=Autoencoder(about["channels"], settings.width),
                settings=settings,
                dataset=dataset,
                channels=about["channels"],
                side=about.get("side") or dataset.size or None,  # older files lack the key
                num_classes=about["num_classes"],
                heldout_accuracy=about["heldout_accuracy"],
                heldout_denoising_error=about["heldout_denoising_error"],
                hash=file.hash,
            )
            networks._modules().eval().requires_grad_(False).load_state_dict(tensors)
        return networks

    def _modules(self) -> nn.ModuleDict:
        """Both networks as one module."""
        return nn.ModuleDict({"classifier": self.classifier, "autoencoder": self.autoencoder})


def open_networks(
    path: Path, evaluation: config.Evaluation, *, dataset: config.Dataset
) -> MetricNetworks:
    """Load the metric networks of a configuration.

    Raises:
        AdagenError: the file holds no metric networks, or was made with other settings.
    """
    networks = MetricNetworks.load(path)
    require_bound(
        path,
        {"settings": networks.settings.model_dump(), "dataset": networks.dataset.model_dump()},
        expected={"settings": evaluation.networks.model_dump(), "dataset": dataset.model_dump()},
        remedy="Run `adagen pretrain metrics` again, or restore the config's evaluation.networks "
        "and dataset.",
    )
    return networks


def fit_metric_networks(
    settings: config.MetricNetworks,
    split: Split,
    *,
    checkpoints: Path | None = None,
    device: torch.device = CPU,
) -> MetricNetworks:
    """Fit both networks on the train part, and evaluate them on the held-out part.

    Args:
        settings: sizes, and settings of the fits.
        split: the data set.
        checkpoints: folder of resumable states; None to keep none.
        device: where they are fitted, and stay.
    """
    split = split.classified
    channels, side = split.train.images.shape[1:3]
    with seeded("metrics classifier", settings.classifier.seed):
        classifier = Classifier(channels, settings.width, num_classes=split.num_classes)
    with seeded("metrics autoencoder", settings.autoencoder.seed):
        autoencoder = Autoencoder(channels, settings.width)
    for name, module, loss, fit_settings in (
        ("classifier", classifier, classification_loss, settings.classifier),
        ("autoencoder", autoencoder, denoising_loss, settings.autoencoder),
    ):
        fit(
            module,
            loss,
            data=split.train,
            settings=fit_settings,
            name=f"metrics {name}",
            checkpoint=checkpoints / f"{name}.ckpt" if checkpoints else None,
            device=device,
        )
    return MetricNetworks(
        classifier=classifier,
        autoencoder=autoencoder,
        settings=settings,
        dataset=split.dataset,
        channels=channels,
        side=side,
        num_classes=split.num_classes,
        heldout_accuracy=_accuracy(classifier, split.heldout),
        heldout_denoising_error=_denoising_error(autoencoder, split.heldout),
    )


@torch.no_grad()
def _accuracy(classifier: nn.Module, heldout: Images) -> float:
    """Share of images that are classified correctly."""
    device = next(classifier.parameters()).device
    chosen = [classifier(batch.to(device)).argmax(-1).cpu() for batch in heldout.batches(BATCH)]
    return (torch.cat(chosen) == heldout.labels).double().mean().item()


@torch.no_grad()
def _denoising_error(autoencoder: nn.Module, heldout: Images) -> float:
    """Mean denoising loss over all images, always with the same noise."""
    generator, total = torch_generator("metrics", "heldout"), 0.0
    device = next(autoencoder.parameters()).device
    for images in heldout.batches(BATCH):
        batch = Batch(images.to(device), heldout.labels, generator)
        total += len(images) * denoising_loss(autoencoder, batch).item()
    return total / len(heldout)
