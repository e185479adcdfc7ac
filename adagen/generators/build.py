"""From settings to networks, from networks to files, from files to generators."""

from pathlib import Path
from typing import Any

import torch

from adagen import config
from adagen.data.split import Split
from adagen.errors import AdagenError
from adagen.files import difference, load_tensors, save_tensors
from adagen.fitting import fit
from adagen.generators.base import Backbone, Generator
from adagen.generators.diffusion import DiffusionBackbone
from adagen.generators.flow import FlowBackbone
from adagen.generators.maskgit import MaskgitBackbone, MaskgitGenerator
from adagen.generators.patches import PatchCodebook
from adagen.generators.solver import SolverBackbone, SolverGenerator
from adagen.generators.var import VarBackbone, VarGenerator
from adagen.networks.dit import DiT
from adagen.networks.uvit import UViT
from adagen.networks.var import VAR
from adagen.networks.vqvae import MultiScaleVQVAE
from adagen.noise import seeded

KIND = "generator"
ImageShape = tuple[int, int, int]


def build_backbone(
    settings: config.Generator, image_shape: ImageShape, num_classes: int
) -> Backbone:
    """The untrained networks of a generator, for images (C, H, W).

    Raises:
        AdagenError: patches or scales don't fit the images.
    """
    size, dropout = settings.network, settings.pretrain.label_dropout
    channels, side, _ = image_shape
    if isinstance(settings, config.MaskgitGenerator):
        codebook = PatchCodebook(settings.tokeniser, image_shape)
        positions = codebook.grid[0] * codebook.grid[1]
        vocabulary = settings.tokeniser.vocabulary
        uvit = UViT(positions, vocabulary, num_classes, size.width, size.depth, size.heads)
        return MaskgitBackbone(uvit, codebook, num_classes, dropout)
    if isinstance(settings, config.VarGenerator):
        if settings.scales[-1] != side:
            raise AdagenError(
                f"the last of a generator's scales is {settings.scales[-1]}, but its token map is "
                f"as large as the images, {side}: end scales with {side}."
            )
        codes = settings.tokeniser
        tokeniser = MultiScaleVQVAE(
            settings.scales, codes.vocabulary, codes.channels, codes.width, (1,), channels
        )
        network = VAR(
            settings.scales,
            codes.vocabulary,
            codes.channels,
            num_classes,
            size.width,
            size.depth,
            size.heads,
        )
        return VarBackbone(network, tokeniser, num_classes, dropout)
    if side % settings.patch:
        raise AdagenError(
            f"the patch of a generator is {settings.patch}, which does not divide images of "
            f"{side}x{side}: choose a divisor."
        )
    dit = DiT(
        side, settings.patch, channels, num_classes, size.width, size.depth, size.heads, False
    )
    kind = FlowBackbone if isinstance(settings, config.SitGenerator) else DiffusionBackbone
    return kind(dit, image_shape, num_classes, dropout)


def build_generator(backbone: Backbone, experiment: config.Experiment) -> Generator[Any]:
    """A backbone at the step budget and hand-made schedule of an experiment."""
    steps, handmade, smoothing = experiment.steps, experiment.handmade, experiment.smoothing
    if isinstance(backbone, MaskgitBackbone):
        return MaskgitGenerator(backbone, steps, handmade, smoothing)
    if isinstance(backbone, VarBackbone):
        return VarGenerator(backbone, handmade, smoothing)
    assert isinstance(backbone, SolverBackbone)
    return SolverGenerator(backbone, steps, handmade, smoothing)


def pretrain(
    name: str, settings: config.Generator, split: Split, checkpoints: Path | None
) -> Backbone:
    """Fit a generator to the training images.

    Args:
        name: the generator's name.
        settings: what it is and how it is fitted.
        split: the data set.
        checkpoints: folder for resumable state; None to keep none.

    Returns:
        The backbone, frozen, with averaged weights.
    """
    train = split.train
    shape = image_shape(train.images)
    with seeded("backbone", name, settings.pretrain.seed):
        backbone = build_backbone(settings, shape, split.num_classes)
    data = train.images
    if isinstance(backbone, MaskgitBackbone):
        backbone.codebook.learn(data)
    if isinstance(backbone, VarBackbone) and isinstance(settings, config.VarGenerator):
        resume = checkpoints and checkpoints / f"{name}-tokeniser.ckpt"
        fit_tokeniser(
            backbone.tokeniser, split, settings.tokeniser.fit, f"{name} tokeniser", resume
        )
        data = backbone.tokens(data)
    resume = checkpoints and checkpoints / f"{name}.ckpt"
    fit(backbone, type(backbone).loss, data, train.labels, settings.pretrain, name, resume)
    return backbone


def fit_tokeniser(
    tokeniser: MultiScaleVQVAE, split: Split, settings: config.Fit, name: str, resume: Path | None
) -> None:
    """Fit VAR's autoencoder: squared error of the image plus the quantiser's own loss."""

    def loss(module: torch.nn.Module, batch: Any) -> torch.Tensor:
        target = 2 * batch.images - 1
        image, quantiser_loss = module(target)
        total: torch.Tensor = (image - target).square().mean() + quantiser_loss
        return total

    fit(tokeniser, loss, split.train.images, split.train.labels, settings, name, resume)


def image_shape(images: torch.Tensor) -> ImageShape:
    """(C, H, W) of images (N, C, H, W)."""
    _, channels, height, width = images.shape
    return channels, height, width


def save_backbone(
    path: Path, name: str, backbone: Backbone, settings: config.Generator, split: Split
) -> None:
    """Write a pretrained generator with the settings it was made from."""
    about = {
        "kind": KIND,
        "name": name,
        "settings": settings.model_dump(mode="json"),
        "dataset": split.dataset.model_dump(mode="json"),
        "image_shape": list(image_shape(split.train.images)),
        "num_classes": split.num_classes,
    }
    save_tensors(path, backbone.state_dict(), about)


def load_backbone(
    path: Path, name: str, settings: config.Generator, dataset: config.Dataset
) -> Backbone:
    """Read a pretrained generator.

    Raises:
        AdagenError: it is another generator, or was made with other settings than the config's.
    """
    tensors, about = load_tensors(path, KIND)
    expected = {
        "name": name,
        "settings": settings.model_dump(mode="json"),
        "dataset": dataset.model_dump(mode="json"),
    }
    if told := difference({key: about[key] for key in expected}, expected):
        raise AdagenError(
            f"{path} is not the config's generator {name!r}: {told}. "
            f"Give the right file, or run `adagen pretrain {name}` again."
        )
    backbone = build_backbone(settings, tuple(about["image_shape"]), about["num_classes"])
    backbone.load_state_dict(tensors)
    return backbone.eval().requires_grad_(False)
