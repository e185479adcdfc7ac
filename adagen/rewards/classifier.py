"""A frozen classifier as a reward: alone, what gets hacked (docs/method.md, section 6).

Beside another reward it makes the faithful policy of the dial.

It is asked one thing only, how surely an image shows its label, and is never shown what the policy
makes of that. It shares its kind of network with the classifier that measures, but neither weights
nor seed nor size: a policy that pleases it has no hold on the distance.
"""

from pathlib import Path
from typing import Any

import torch

from adagen.config import AnyPreference, Dataset, Preference
from adagen.data.split import Images
from adagen.evaluation.embedded.networks import Classifier, classification_loss
from adagen.networks.fitting import CPU, fit
from adagen.rewards.base import Reward
from adagen.rewards.pools import Pool, StreamedPool
from adagen.rewards.pretrained import PretrainedReward
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_tensors, save_tensors
from adagen.runtime.noise import SampleNoise, seeded, torch_generator

KIND = "preference"


class LogConfidence:
    """The log-probability that a classifier gives to the label of an image, at most 0."""

    def __init__(self, classifier: Classifier, device: torch.device) -> None:
        self.classifier = classifier.to(device)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) in [0, 1] and classes (B,) to (B,)."""
        chances = self.classifier(images).log_softmax(1)
        confidence: torch.Tensor = chances.gather(1, labels.unsqueeze(1)).squeeze(1)
        return confidence


class ClassifierReward(Reward):
    """Scores are what a classifier, or another pre-trained reward, says of each image alone."""

    discriminates = False
    warmup = steps = 0

    def __init__(self, pretrained: PretrainedReward, device: torch.device) -> None:
        self.pretrained, self.device = pretrained, device

    def pool(self, images: Images, *source: object, views: int = 1) -> Pool:
        """The images as they are."""
        return StreamedPool(images, lambda batch, _: batch, device=self.device)

    def score_pool(self, pool: Pool, rows: torch.Tensor, *source: object) -> torch.Tensor:
        """(n,) how well each of the images `rows` (n,) shows its label."""
        generator = torch_generator(*source)
        scores = [
            self.pretrained(pool.features(chunk, generator), pool.labels[chunk])
            for chunk in rows.split(self.batch)
        ]
        return torch.cat(scores)

    @torch.no_grad()
    def score(self, images: torch.Tensor, labels: torch.Tensor, noise: SampleNoise) -> torch.Tensor:
        """(B,) how well new images show their labels; nothing is drawn."""
        return self.pretrained(images.to(self.device), labels.to(self.device))

    def state_dict(self) -> dict[str, Any]:
        """Nothing: it never learns."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore nothing."""


def fit_preference(
    settings: Preference,
    train: Images,
    *,
    classes: int,
    checkpoint: Path | None,
    device: torch.device = CPU,
) -> Classifier:
    """Fit the classifier to images of the train split."""
    with seeded("preference", settings.fit.seed):
        classifier = Classifier(train.images.shape[1], settings.width, num_classes=classes)
    return fit(
        classifier,
        classification_loss,
        data=train,
        settings=settings.fit,
        name="preference",
        checkpoint=checkpoint,
        device=device,
    )


def save_preference(
    path: Path, classifier: Classifier, *, settings: Preference, dataset: Dataset
) -> None:
    """Write the classifier with what it was made from."""
    save_tensors(path, classifier.state_dict(), about={"kind": KIND, **origin(settings, dataset)})


def load_preference(
    path: Path, settings: Preference, dataset: Dataset, channels: int, classes: int
) -> Classifier:
    """Read what `save_preference` wrote, for images of so many channels and classes.

    Raises:
        AdagenError: the file is missing, damaged, or was made with other settings.
    """
    tensors = read_preference(path, settings, dataset=dataset)
    classifier = Classifier(channels, settings.width, num_classes=classes)
    classifier.load_state_dict(tensors)
    return classifier.eval().requires_grad_(False)


def read_preference(
    path: Path, settings: AnyPreference, *, dataset: Dataset
) -> dict[str, torch.Tensor]:
    """The tensors of a preference file of any kind, made with these settings.

    Raises:
        AdagenError: the file is missing, damaged, or was made with other settings.
    """
    tensors, about = load_tensors(path, KIND)
    if {key: about.get(key) for key in ("settings", "dataset")} != origin(settings, dataset):
        raise AdagenError(
            f"{path} was made with other settings than the config's preference and dataset. "
            "Run `adagen pretrain preference` again, or restore the settings."
        )
    return tensors


def origin(settings: AnyPreference, dataset: Dataset) -> dict[str, object]:
    """What a preference file says that it was made from."""
    parts = {"settings": settings, "dataset": dataset}
    return {key: part.model_dump(mode="json") for key, part in parts.items()}
