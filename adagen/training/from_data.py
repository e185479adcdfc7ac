"""Inputs of a training beside the generator, made from images alone for `adagen.train`.

Frozen features, rewards and metric networks are fitted here with their default settings. They suit
small images: the features' patches grow with the images, so that there are about 64 tokens.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from adagen.config import (
    ClassifierSettings,
    ConvolutionSettings,
    Dataset,
    FrechetSettings,
    GaussianSettings,
    MetricNetworks,
    Preference,
    RewardFeatures,
    TokenSettings,
    Training,
)
from adagen.config.rewards import AnyReward
from adagen.data.folder import list_images
from adagen.data.seen import SEEN
from adagen.data.sources import ImageRows
from adagen.data.split import Images, Split, load_dataset
from adagen.data.stratified import stratified_indices
from adagen.evaluation.embedded.networks import SPACES, fit_metric_networks
from adagen.evaluation.embedded.networks import MetricNetworks as FittedNetworks
from adagen.evaluation.frechet import Moments, frechet_distance
from adagen.evaluation.meters import Measured, Meter
from adagen.generators.base import Generator
from adagen.generators.class_names import require_same_classes
from adagen.generators.conditions import Conditions
from adagen.policy.networks import HandMade
from adagen.rewards.base import Reward
from adagen.rewards.classifier import LogConfidence, fit_preference
from adagen.rewards.convolution import ConvolutionReward
from adagen.rewards.features import fit_reward_features
from adagen.rewards.frechet import FrechetReward
from adagen.rewards.gaussian import GaussianReward
from adagen.rewards.pretrained import CallableReward
from adagen.rewards.tokens import AutoencoderReward
from adagen.rewards.vector import FITTED
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout
from adagen.training.checks import require_image_shape
from adagen.training.default_searches import searches_of
from adagen.training.validation import Validator

Data = Images | tuple[torch.Tensor, Sequence[int] | torch.Tensor] | str | Path
HELDOUT_SHARE = 5
"""One image in so many is kept from the reward, to validate with."""


def one_image(generator: Generator[Any]) -> torch.Tensor:
    """An image (1, C, H, W) of the generator, on the CPU."""
    actions = HandMade(len(generator.actions.names))
    labels = torch.zeros(1, dtype=torch.int64, device=generator.device)
    noise = SampleNoise("shape", 0, [0], generator.device)
    return rollout(generator, actions, labels=labels, noise=noise).cpu()


def real_images(generator: Generator[Any], data: Data, *, kept: Path | None) -> Split:
    """The images in two parts, as `split_data` makes them, for a generator of such images.

    Args:
        generator: the generator.
        data: as `split_data` takes them.
        kept: folder in which decoded images are kept for the next start; None to keep none.

    Raises:
        AdagenError: there are no such images, or they don't suit the generator.
    """
    shape = one_image(generator).shape[1:]
    split = split_data(data, shape, classes=generator.num_classes, kept=kept)
    if isinstance(data, str | Path):
        require_same_classes(generator, split.class_names, source=f"data {str(data)!r}")
    require_image_shape(shape, split.train.images.shape[1:])
    return split


def split_data(data: Data, shape: torch.Size, *, classes: int, kept: Path | None) -> Split:
    """The images in two parts: four fifths to learn from, one fifth to validate with.

    Args:
        data: "digits", the folder of a data set (`<folder>/<class>/<file>`, or a zip of it), or
            images (N, C, H, W) in [0, 1] with labels (N,).
        shape: (C, H, W) of the generator's images; images in a folder are reduced to its side.
        classes: number of classes that the generator makes.
        kept: folder in which decoded images are kept for the next start; None to keep none.

    Raises:
        AdagenError: there are no such images, or they don't suit the generator.
    """
    if isinstance(data, str | Path):
        return load_dataset(_dataset(data, side=shape[-1]), seen=kept and kept / SEEN)
    if isinstance(data, Images):
        rows = data.images
        pixels = rows if isinstance(rows, ImageRows) else _checked_images(rows)
        labels = _checked_labels(data.labels, len(pixels), classes=classes)
        images = replace(data, images=pixels, labels=labels)
    elif isinstance(data, tuple) and len(data) == 2:
        pixels = _checked_images(data[0])
        images = Images(pixels, _checked_labels(data[1], len(pixels), classes=classes))
    else:
        raise AdagenError(
            f"data is a {type(data).__name__}: give (images, labels), the folder of a data set, or "
            '"digits".'
        )
    count = len(images) // HELDOUT_SHARE
    present = len(images.labels.unique())
    if count < present:
        raise AdagenError(
            f"data has {len(images)} images of {present} classes: give at least "
            f"{HELDOUT_SHARE * present}: a fifth is held out, and one of each class at least."
        )
    heldout = stratified_indices(images.labels, count, seed=0)
    train = torch.ones(len(images), dtype=torch.bool).index_fill(0, heldout, False).nonzero()[:, 0]
    return Split(
        Images(images.images[train], images.labels[train], images.flip),
        Images(images.images[heldout], images.labels[heldout]),
        classes,
        Dataset(),
        tuple(map(str, range(classes))),
        images.digest(),
    )


def data_identity(split: Split) -> str:
    """The hash of real images, and whether they are mirrored: what a checkpoint is bound to."""
    return f"{split.file_list_hash}{' mirrored' if split.train.flip == 'random' else ''}"


def build_reward(
    settings: AnyReward,
    split: Split,
    *,
    conditions: Conditions,
    device: torch.device,
    folder: Path | None,
) -> Reward:
    """A fresh reward, with the frozen network that it needs fitted to the train part.

    Args:
        settings: of the reward.
        split: real images; the held-out part is not used.
        conditions: what labels stand for.
        device: where the reward runs.
        folder: of resumable state; None to keep none.

    Raises:
        AdagenError: there are too few images for the reward's components.
    """
    train = split.train
    shape: Any = tuple(train.images.shape[1:])
    if isinstance(settings, ConvolutionSettings):
        return ConvolutionReward(shape, conditions, settings=settings, device=device)
    if isinstance(settings, ClassifierSettings):
        classifier = fit_preference(
            Preference(),
            split.classified.train,
            classes=split.classified.num_classes,
            checkpoint=folder and folder / "preference.ckpt",
            device=device,
        )
        return CallableReward(LogConfidence(classifier, device, split.subjects), device)
    if isinstance(settings, GaussianSettings | FrechetSettings):
        # Checked again with the features, which take a while to be fitted.
        used = min(len(train), FITTED)
        if settings.components >= used:
            raise AdagenError(
                f"reward {settings.kind!r} has components {settings.components}, but {used} images "
                f"to learn from have {used - 1} at most: lower it, as in "
                f'reward={{"kind": "{settings.kind}", "components": {max(1, used // 2)}}}, or give '
                "more images."
            )
    patch = max(2, min(shape[1:]) // 8)
    features = fit_reward_features(
        RewardFeatures(patch=patch),
        train,
        checkpoint=folder and folder / "reward_features.ckpt",
        device=device,
    )
    if isinstance(settings, TokenSettings):
        return AutoencoderReward(features, conditions, settings=settings, device=device)
    if isinstance(settings, GaussianSettings):
        return GaussianReward(features, settings, real=train, device=device)
    assert isinstance(settings, FrechetSettings)
    return FrechetReward(features, settings, real=train, device=device)


def heldout_validation(
    generator: Generator[Any], split: Split, *, settings: Training, folder: Path | None
) -> Validator | None:
    """Distances of a policy's samples to the held-out images.

    They are measured in the spaces of a classifier and of a denoising autoencoder, which are fitted
    to the train part and share no weights with any reward.

    Args:
        generator: the generator.
        split: real images.
        settings: numbers of samples, and batch size.
        folder: of resumable state; None to keep none.

    Returns:
        The validation; None, with a message, if there are too few held-out images or their sides
        are no multiples of 4, which the autoencoder needs.

    Raises:
        AdagenError: a distance would be of too few samples; or `polish` needs a validation, and
            there is none.
    """
    sizes = MetricNetworks()
    dimension = 2 * sizes.width
    if reason := unmeasurable(split):
        if searches := searches_of(settings):
            raise AdagenError(
                f"{searches[0]} is given, but {reason}: leave it out, or give more images of such "
                "sides."
            )
        print(
            f"adagen.train: no validation, and the last policy is kept: {reason}.", file=sys.stderr
        )
        return None
    counts = {"validate_samples": settings.validate_samples}
    if settings.polish:
        counts["polish.samples"] = settings.polish.samples
    for key, count in counts.items():
        if count <= dimension:
            raise AdagenError(
                f"{key} is {count}, but a distance over {dimension} features takes at least "
                f"{dimension + 1} samples: raise it."
            )
    networks = fit_metric_networks(sizes, split, checkpoints=folder, device=generator.device)
    return Validator(generator=generator, meter=_HeldoutMeter(networks, split), settings=settings)


def unmeasurable(split: Split) -> str:
    """Why no distance to the held-out images can be measured; empty where one can."""
    dimension, sides = 2 * MetricNetworks().width, tuple(split.heldout.images.shape[2:])
    if len(split.heldout) > dimension and not any(side % 4 for side in sides):
        return ""
    return (
        f"a distance takes more than {dimension} held-out images with sides that are multiples "
        f"of 4; there are {len(split.heldout)} of {sides} pixels"
    )


class _HeldoutMeter(Meter):
    """Measures distances to the held-out images, and nothing else."""

    protocol = "held-out images"

    def __init__(self, networks: FittedNetworks, split: Split) -> None:
        self.networks, self.count, self.hashes = networks, len(split.heldout), {}
        self.real = self.moments(split.heldout.batches())

    def moments(self, batches: Iterable[torch.Tensor]) -> tuple[Moments, ...]:
        """Moments in the primary and in the label-free space."""
        found = self.networks.features(batches)
        return tuple(Moments.of(found[space]) for space in SPACES)

    def distance_of(self, *moments: Moments) -> tuple[float, float | None]:
        """Frechet distances in both spaces."""
        primary, label_free = map(frechet_distance, moments, self.real)
        return primary, label_free

    def measure_with_moments(
        self, batches: Iterable[torch.Tensor]
    ) -> tuple[Measured, tuple[Moments, ...]]:
        """The distances, and the moments that they are of."""
        moments = self.moments(batches)
        primary, label_free = self.distance_of(*moments)
        return {"fid": primary, "fid_label_free": label_free, "recall": None}, moments


def _dataset(data: str | Path, *, side: int) -> Dataset:
    """The settings of a data set that is named by a string or path."""
    if str(data) == "digits":
        return Dataset()
    files = list_images(Path(data), "data")
    heldout = max(len(files.class_names), len(files) // HELDOUT_SHARE)
    return Dataset(name="images", folder=str(data), size=side, heldout=heldout)


def _checked_images(images: torch.Tensor) -> torch.Tensor:
    """Images (N, C, H, W) of a caller, as float32 on the CPU.

    Raises:
        AdagenError: they are something else than floats in [0, 1].
    """
    if not isinstance(images, torch.Tensor):
        raise AdagenError(
            f"data holds images as {type(images).__name__}: give a tensor of torch (N, C, H, W)."
        )
    if images.ndim != 4 or not images.numel():
        raise AdagenError(
            f"data holds images of shape {tuple(images.shape)}: give a tensor (N, C, H, W), none "
            "of which is 0."
        )
    floats = images.is_floating_point()
    if not floats or not (images.min() >= 0 and images.max() <= 1):
        has = f"from {images.min()} to {images.max()}" if floats else f"of {images.dtype}"
        raise AdagenError(
            f"data holds images {has}: give floats in [0, 1]; divide 8-bit images by 255."
        )
    return images.detach().cpu().float()


def _checked_labels(
    labels: Sequence[int] | torch.Tensor, count: int, *, classes: int
) -> torch.Tensor:
    """Labels (count,) of a caller, as int64 on the CPU.

    Raises:
        AdagenError: there are others than one for each image, or some that the generator lacks.
    """
    try:
        classes_of = torch.as_tensor(labels, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise AdagenError(
            f"data holds labels that torch can't take as integers ({error}): give one integer for "
            "each image."
        ) from None
    fractions = classes_of.is_floating_point() or classes_of.is_complex()
    if not count or classes_of.shape != (count,) or fractions:
        raise AdagenError(
            f"data holds labels of shape {tuple(classes_of.shape)} and {classes_of.dtype} for "
            f"{count} images: give one integer for each."
        )
    classes_of = classes_of.long()  # the least and the largest of unsigned ones torch can't tell
    if not (classes_of.min() >= 0 and classes_of.max() < classes):
        raise AdagenError(
            f"data holds labels from {classes_of.min()} to {classes_of.max()}, but the generator "
            f"has classes 0 to {classes - 1}: give the images that it was trained on."
        )
    return classes_of
