"""Generators of other packages: what one has to bring (docs/generators.md)."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch

from adagen.config import Handmade, InstalledGenerator, paradigms
from adagen.data.split import Images
from adagen.generators.base import Backbone, Generator


class InstalledBackbone(Backbone, ABC):
    """The networks of a generator that a package brings.

    A package registers its subclass under the name of its paradigm, as an entry point of the group
    `adagen.generators`. Whatever is to be saved is a parameter, or a persistent buffer.

    Attributes:
        settings: model of the generator's section of the configuration.
    """

    settings: ClassVar[type[InstalledGenerator]] = InstalledGenerator

    @abstractmethod
    def __init__(self, settings: Any, image_shape: tuple[int, int, int], num_classes: int) -> None:
        """Untrained networks. Files are read into them, without computing anything here again.

        Args:
            settings: the generator's section, an instance of the class's `settings`.
            image_shape: (C, H, W) of the images.
            num_classes: labels are 0 .. num_classes - 1.

        Raises:
            AdagenError: the settings don't fit the images.
        """
        super().__init__()

    @abstractmethod
    def learn(
        self, train: Images, name: str, *, checkpoint: Path | None, device: torch.device
    ) -> None:
        """Become the generator: be fitted to images, or read what somebody released.

        A network does the former with `adagen.networks.fitting.fit`, which takes the same
        arguments.

        Args:
            train: images with labels; none that anything is measured with.
            name: the generator's name, for progress, errors and randomness.
            checkpoint: file for resumable state; None to keep none.
            device: where to compute.
        """

    @abstractmethod
    def generator(self, steps: int, handmade: Handmade, *, smoothing: float) -> Generator[Any]:
        """The generator of an experiment.

        Args:
            steps: T of the experiment.
            handmade: constants of its hand-made schedule, of which a generator reads what it has.
            smoothing: s of the actions.

        Raises:
            AdagenError: it can't take so many steps.
        """


def installed_backbone(
    settings: InstalledGenerator, image_shape: tuple[int, int, int], num_classes: int
) -> InstalledBackbone:
    """The untrained networks of a generator, from the package that brings its paradigm."""
    kind: type[InstalledBackbone] = paradigms.registered(settings.paradigm)
    backbone = kind(settings, image_shape, num_classes)
    backbone.precision = settings.precision
    return backbone
