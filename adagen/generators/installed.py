"""Generators that others bring: what one has to provide (docs/generators.md)."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar, overload

import torch

from adagen.config import Handmade, InstalledGenerator, paradigms
from adagen.data.captions.table import CaptionTable
from adagen.data.split import Images
from adagen.generators.base import Backbone, Generator
from adagen.runtime.errors import AdagenError


class InstalledBackbone(Backbone, ABC):
    """The networks of a generator that a package or a notebook brings.

    A package registers its subclass under the name of its paradigm, as an entry point of the group
    `adagen.generators`; a notebook calls `register_generator`. Whatever is to be saved is a
    parameter or a persistent buffer.

    Attributes:
        settings: model of the generator's section of the configuration.
        section: that section, as this generator was built from it.
        image_shape: (C, H, W) of the images.
        captions: the captions of the data set, which labels are rows of, when `learn` is called;
            None for classes. `class_names` has the names of classes, or the captions, then.
    """

    settings: ClassVar[type[InstalledGenerator]] = InstalledGenerator
    section: Any
    image_shape: tuple[int, int, int]
    captions: CaptionTable | None = None

    @abstractmethod
    def __init__(
        self, settings: Any, image_shape: tuple[int, int, int], *, num_classes: int
    ) -> None:
        """Build untrained networks.

        Where a file is read, the constructor runs with parameters that have shapes and no values,
        and then gets the file's.

        Args:
            settings: the generator's section, an instance of the class's `settings`.
            image_shape: (C, H, W) of the images.
            num_classes: labels are 0 .. num_classes - 1.

        Raises:
            AdagenError: the settings don't fit the images.
        """
        super().__init__()
        self.section, self.image_shape, self.num_classes = settings, image_shape, num_classes

    @abstractmethod
    def learn(
        self, train: Images, name: str, *, checkpoint: Path | None, device: torch.device
    ) -> None:
        """Fit the networks to images, or read what somebody released.

        Most networks are fitted by `adagen.networks.fitting.fit`, which resumes after a kill.

        Args:
            train: images with labels; none that anything is measured with.
            name: the generator's name, for progress, errors and randomness.
            checkpoint: file for resumable state; None to keep none.
            device: where to compute.
        """

    @abstractmethod
    def generator(self, steps: int, handmade: Handmade, *, smoothing: float) -> Generator[Any]:
        """Return the generator of an experiment.

        Args:
            steps: T of the experiment.
            handmade: constants of its hand-made schedule, an instance of `settings.handmade`.
            smoothing: s of the actions.

        Raises:
            AdagenError: it can't take so many steps.
        """


K = TypeVar("K", bound=type[InstalledBackbone])


@overload
def register_generator(paradigm: str, *, version: str = ...) -> Callable[[K], K]: ...


@overload
def register_generator(paradigm: str, backbone: K, *, version: str = ...) -> K: ...


def register_generator(paradigm: str, backbone: Any = None, *, version: str = "1") -> Any:
    """Make a generator known in this process, as an entry point makes it known in every process.

    Configurations may then name its paradigm. Registering a name again replaces what it stood for,
    so that a cell of a notebook can be run twice. The commands and the workflow start processes of
    their own, where only entry points are found.

        adagen.register_generator("mixture", Mixture)

        @adagen.register_generator("mixture")
        class Mixture(adagen.InstalledBackbone): ...

    Args:
        paradigm: its name, of lower-case letters, digits and underscores; not one of the built-in
            or installed ones.
        backbone: the subclass of `InstalledBackbone`; None to use this function as a decorator.
        version: files of its generators are bound to it; change it when the same settings would
            give another generator.

    Returns:
        The class, or the decorator.

    Raises:
        AdagenError: the name is taken or malformed, or the class is no such subclass.
    """
    if not (isinstance(paradigm, str) and re.fullmatch(r"[a-z][a-z0-9_]*", paradigm)):
        raise AdagenError(
            f"a generator cannot be registered as {paradigm!r}: a name begins with a lower-case "
            'letter, and lower-case letters, digits and underscores follow, as in "my_flow".'
        )
    if backbone is None:
        return lambda decorated: register_generator(paradigm, decorated, version=version)
    if not (isinstance(backbone, type) and issubclass(backbone, InstalledBackbone)):
        raise AdagenError(
            f"{backbone!r} cannot be registered as {paradigm!r}: give a subclass of "
            "adagen.InstalledBackbone."
        )
    try:
        paradigms.register(paradigm, backbone, version=version)
    except ValueError as error:
        raise AdagenError(f"the generator {paradigm!r} cannot be registered: {error}.") from None
    return backbone


def installed_backbone(
    settings: InstalledGenerator, image_shape: tuple[int, int, int], *, num_classes: int
) -> InstalledBackbone:
    """Build the untrained networks of a generator, by the package that brings its paradigm."""
    kind: type[InstalledBackbone] = paradigms.registered(settings.paradigm)
    backbone = kind(settings, image_shape, num_classes=num_classes)
    backbone.precision = settings.precision
    return backbone
