"""A frozen classifier as a pre-trained reward (docs/method.md, section 6).

Alone it gets hacked; added to another reward it trains the faithful policy of the dial.

It answers one question only, how certainly an image shows its label, and never learns from the
policy's images. It has the architecture of the classifier that measures, but other weights, another
seed and another size: a policy that exploits it gains nothing in the distance.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from adagen.config import AnyPreference, Dataset, Preference
from adagen.config.bindings import of_judge
from adagen.data.split import Images
from adagen.evaluation.embedded.losses import classification_loss
from adagen.evaluation.embedded.networks import Classifier
from adagen.networks.fitting import CPU, fit
from adagen.runtime.files import load_bound, save_tensors
from adagen.runtime.noise import seeded

KIND = "preference"


class LogConfidence:
    """The log-probability that a classifier gives to the label of an image, at most 0.

    Args:
        classifier: the classifier.
        device: where it computes.
        subjects: (N,) class of each label, where labels are captions; None where they are classes.
    """

    def __init__(
        self,
        classifier: Classifier,
        device: torch.device,
        subjects: torch.Tensor | None = None,
    ) -> None:
        self.classifier = classifier.to(device)
        self.subjects = None if subjects is None else subjects.to(device)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """log P(label | image): images (B, C, H, W) in [0, 1] and labels (B,) to (B,)."""
        if self.subjects is not None:
            labels = self.subjects[labels]
        log_probabilities = self.classifier(images).log_softmax(1)
        confidence: torch.Tensor = log_probabilities.gather(1, labels.unsqueeze(1)).squeeze(1)
        return confidence


def fit_preference(
    settings: Preference,
    train: Images,
    *,
    classes: int,
    checkpoint: Path | None,
    device: torch.device = CPU,
) -> Classifier:
    """Fit the classifier to images (N, C, H, W) of the train split."""
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
    path: Path,
    classifier: Classifier,
    *,
    settings: Preference,
    dataset: Dataset,
    class_names: Sequence[str] = (),
) -> None:
    """Write the classifier with the settings, the data set and the classes of its fit."""
    about = {"kind": KIND, **of_judge(settings, dataset), "class_names": list(class_names)}
    save_tensors(path, classifier.state_dict(), about=about)


def load_preference(
    path: Path, settings: Preference, *, dataset: Dataset, channels: int, classes: int
) -> Classifier:
    """Read a classifier that `save_preference` wrote.

    Args:
        path: the file.
        settings: of the classifier.
        dataset: the data set it was fitted to.
        channels: of the images.
        classes: number of classes.

    Raises:
        AdagenError: the file is missing, damaged, or was made with other settings.
    """
    tensors, _ = read_preference(path, settings, dataset=dataset)
    classifier = Classifier(channels, settings.width, num_classes=classes)
    classifier.load_state_dict(tensors)
    return classifier.eval().requires_grad_(False)


def read_preference(
    path: Path, settings: AnyPreference, *, dataset: Dataset
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and description of a preference file, of any kind, of these settings.

    Raises:
        AdagenError: the file is missing, damaged, or was made with other settings.
    """
    return load_bound(
        path,
        KIND,
        expected=of_judge(settings, dataset),
        remedy="Run `adagen pretrain preference` again, or restore the config's preference and "
        "dataset.",
    )
