"""From settings to networks, from networks to files, from files to generators."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from adagen import config
from adagen.config import identity
from adagen.data.released import asset_path
from adagen.data.split import Images, Split
from adagen.data.weights import load_released
from adagen.generators.base import Backbone, FittedBackbone, Generator
from adagen.generators.diffusion import DiffusionBackbone
from adagen.generators.flow import FlowBackbone
from adagen.generators.installed import InstalledBackbone, installed_backbone
from adagen.generators.maskgit import MaskgitBackbone, MaskgitGenerator, Order
from adagen.generators.patches import PatchCodebook
from adagen.generators.solver import SolverBackbone, SolverGenerator
from adagen.generators.var import VarBackbone, VarGenerator
from adagen.networks.autoencoder_kl import AutoencoderKL
from adagen.networks.dit import DiT
from adagen.networks.fitting import fit
from adagen.networks.uvit import UViT
from adagen.networks.var import VAR
from adagen.networks.vqgan import VQGAN
from adagen.networks.vqvae import MultiScaleVQVAE
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import difference, file_hash, load_tensors, save_tensors
from adagen.runtime.noise import seeded

KIND = "generator"
CPU = torch.device("cpu")
ImageShape = tuple[int, int, int]


def build_backbone(
    settings: config.Generator, image_shape: ImageShape, num_classes: int
) -> Backbone:
    """The untrained networks of a generator, for images (C, H, W).

    Raises:
        AdagenError: patches or scales don't fit the images.
    """
    if isinstance(settings, config.InstalledGenerator):
        return installed_backbone(settings, image_shape, num_classes)
    return _build_fitted(settings, image_shape, num_classes)


def _build_fitted(
    settings: config.BuiltInGenerator, image_shape: ImageShape, num_classes: int
) -> FittedBackbone:
    if isinstance(settings, config.MaskgitGenerator):
        backbone: FittedBackbone = _build_maskgit(settings, image_shape, num_classes)
    elif isinstance(settings, config.VarGenerator):
        backbone = _build_var(settings, image_shape, num_classes)
    else:
        backbone = _build_solver(settings, image_shape, num_classes)
    backbone.precision, backbone.decode_batch = settings.precision, settings.decode_batch
    return backbone


def _build_maskgit(
    settings: config.MaskgitGenerator, image_shape: ImageShape, num_classes: int
) -> MaskgitBackbone:
    size, codes, (channels, side, _) = settings.network, settings.tokeniser, image_shape
    tokeniser: torch.nn.Module
    if isinstance(codes, config.VqganTokeniser):
        grid = _reduced(side, codes.multipliers, "tokeniser")
        tokeniser = VQGAN(
            codes.vocabulary,
            codes.channels,
            width=codes.width,
            multipliers=codes.multipliers,
            image_channels=channels,
        )
    else:
        tokeniser = PatchCodebook(codes, image_shape)
        grid = side // codes.patch
    uvit = UViT(
        grid**2,
        codes.vocabulary,
        classes=num_classes,
        width=size.width,
        depth=size.depth,
        heads=size.heads,
    )
    return MaskgitBackbone(
        uvit, tokeniser, num_classes=num_classes, dropout=settings.pretrain.label_dropout
    )


def _build_var(
    settings: config.VarGenerator, image_shape: ImageShape, num_classes: int
) -> VarBackbone:
    size, codes, (channels, side, _) = settings.network, settings.tokeniser, image_shape
    finest = _reduced(side, codes.multipliers, "tokeniser")
    if settings.scales[-1] != finest:
        raise AdagenError(
            f"the last of a generator's scales is {settings.scales[-1]}, but the map of its "
            f"tokeniser has side {finest} for images of {side}x{side}: end scales with {finest}."
        )
    tokeniser = MultiScaleVQVAE(
        settings.scales,
        codes.vocabulary,
        code_channels=codes.channels,
        width=codes.width,
        channel_multipliers=codes.multipliers,
        image_channels=channels,
    )
    network = VAR(
        settings.scales,
        codes.vocabulary,
        code_channels=codes.channels,
        classes=num_classes,
        width=size.width,
        depth=size.depth,
        heads=size.heads,
    )
    return VarBackbone(
        network, tokeniser, num_classes=num_classes, dropout=settings.pretrain.label_dropout
    )


def _build_solver(
    settings: config.DitGenerator | config.SitGenerator, image_shape: ImageShape, num_classes: int
) -> SolverBackbone:
    size, latent, (channels, side, _) = settings.network, settings.latent, image_shape
    autoencoder = None
    if latent:
        side = _reduced(side, latent.multipliers, "latent")
        autoencoder = AutoencoderKL(
            latent.channels, latent.width, multipliers=latent.multipliers, image_channels=channels
        )
        channels = latent.channels
    if side % settings.patch:
        raise AdagenError(
            f"the patch of a generator is {settings.patch}, which does not divide images (or "
            f"latents) of {side}x{side}: choose a divisor."
        )
    # The released networks, DiT's and SiT's alike, have a second set of output channels.
    learn_sigma = settings.weights is not None
    dit = DiT(
        side,
        settings.patch,
        channels=channels,
        classes=num_classes,
        width=size.width,
        depth=size.depth,
        heads=size.heads,
        learn_sigma=learn_sigma,
    )
    kind = FlowBackbone if isinstance(settings, config.SitGenerator) else DiffusionBackbone
    dropout = settings.pretrain.label_dropout
    return kind(dit, (channels, side, side), num_classes, dropout, autoencoder)


def _reduced(side: int, multipliers: Sequence[int], section: str) -> int:
    """Side of the map that a convolutional encoder makes of images: each level but one halves."""
    factor = 1 << (len(multipliers) - 1)
    if side % factor:
        raise AdagenError(
            f"{section}.multipliers has {len(multipliers)} entries, which reduce images by "
            f"{factor}, but they are {side}x{side}: give a side that {factor} divides."
        )
    return side // factor


def build_generator(
    backbone: Backbone, experiment: config.Experiment, *, method: str = "handmade"
) -> Generator[Any]:
    """A backbone at the step budget, hand-made schedule and policy input of an experiment.

    `method` matters where it changes the generator itself: `halton` does.
    """
    generator = _scheduled(backbone, experiment, method)
    generator.policy_input, generator.hash = experiment.policy.input, backbone.hash
    return generator


def _scheduled(backbone: Backbone, experiment: config.Experiment, method: str) -> Generator[Any]:
    steps, handmade, smoothing = experiment.steps, experiment.handmade, experiment.smoothing
    if isinstance(backbone, MaskgitBackbone):
        order: Order = "halton" if method == "halton" else "confidence"
        return MaskgitGenerator(
            backbone, steps, handmade=handmade, smoothing=smoothing, order=order
        )
    if isinstance(backbone, VarBackbone):
        return VarGenerator(backbone, handmade, smoothing=smoothing)
    if isinstance(backbone, InstalledBackbone):
        return backbone.generator(steps, handmade, smoothing=smoothing)
    assert isinstance(backbone, SolverBackbone)
    return SolverGenerator(backbone, steps, handmade=handmade, smoothing=smoothing)


def released_backbone(settings: config.Generator, assets: config.Assets) -> Backbone:
    """The released networks of a generator, from its assets.

    Raises:
        AdagenError: a file is missing, damaged, or doesn't hold the network that the settings
            describe.
    """
    weights = settings.weights
    assert weights is not None
    with torch.device("meta"):  # filling billions of numbers only to replace them takes minutes
        backbone = build_backbone(settings, (3, weights.image, weights.image), weights.classes)
    network, decoder = _parts(backbone)
    load_released(network, asset_path(assets, weights.network))
    load_released(decoder, asset_path(assets, weights.decoder))
    return backbone.eval().requires_grad_(False)


def _parts(backbone: Backbone) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The transformer of a released generator, and what turns its output into images."""
    if isinstance(backbone, SolverBackbone):
        assert backbone.autoencoder is not None
        return backbone.network, backbone.autoencoder
    assert isinstance(backbone, MaskgitBackbone | VarBackbone)
    return backbone.network, backbone.tokeniser


def pretrain(
    name: str,
    settings: config.Generator,
    *,
    split: Split,
    checkpoints: Path | None,
    device: torch.device = CPU,
) -> Backbone:
    """Fit a generator to the training images.

    Args:
        name: the generator's name.
        settings: what it is and how it is fitted.
        split: the data set.
        checkpoints: folder for resumable state; None to keep none.
        device: where it is fitted.

    Returns:
        The backbone, frozen, with averaged weights.
    """
    train, resume = split.train, checkpoints and checkpoints / f"{name}.ckpt"
    _, channels, height, width = train.images.shape
    shape = (channels, height, width)
    if isinstance(settings, config.InstalledGenerator):
        with seeded("backbone", name):
            installed = installed_backbone(settings, shape, split.num_classes)
        installed.learn(train, name, checkpoint=resume, device=device)
        return installed.eval().requires_grad_(False)
    with seeded("backbone", name, settings.pretrain.seed):
        backbone = _build_fitted(settings, shape, split.num_classes)
    backbone.precision = settings.pretrain.precision
    if isinstance(backbone, MaskgitBackbone):
        assert isinstance(backbone.tokeniser, PatchCodebook)
        backbone.tokeniser.learn(train.images)
    if isinstance(backbone, VarBackbone) and isinstance(settings, config.VarGenerator):
        own = checkpoints and checkpoints / f"{name}-tokeniser.ckpt"
        codes, label = settings.tokeniser.fit, f"{name} tokeniser"
        fit_tokeniser(
            backbone.tokeniser, train, settings=codes, name=label, resume=own, device=device
        )
        tokens = backbone.tokens
        train = train.encoded(lambda images: tokens(images.to(device)))
    fit(
        backbone,
        type(backbone).loss,
        data=train,
        settings=settings.pretrain,
        name=name,
        checkpoint=resume,
        device=device,
    )
    return backbone


def fit_tokeniser(
    tokeniser: MultiScaleVQVAE,
    train: Images,
    *,
    settings: config.Fit,
    name: str,
    resume: Path | None,
    device: torch.device,
) -> None:
    """Fit VAR's autoencoder: squared error of the image plus the quantiser's own loss."""

    def loss(module: torch.nn.Module, batch: Any) -> torch.Tensor:
        target = 2 * batch.images - 1
        image, quantiser_loss = module(target)
        total: torch.Tensor = (image - target).square().mean() + quantiser_loss
        return total

    fit(tokeniser, loss, data=train, settings=settings, name=name, checkpoint=resume, device=device)


def save_backbone(
    path: Path,
    name: str,
    *,
    backbone: Backbone,
    settings: config.Generator,
    dataset: config.Dataset,
    image_shape: ImageShape,
) -> None:
    """Write a generator with the settings it was made from; see `load_backbone`."""
    about = {
        "kind": KIND,
        **identity.generator_file(name, settings, dataset=dataset),
        "image_shape": list(image_shape),
        "num_classes": backbone.num_classes,
    }
    save_tensors(path, backbone.state_dict(), about=about)


def load_backbone(
    path: Path, name: str, *, settings: config.Generator, dataset: config.Dataset
) -> Backbone:
    """Read a generator that `adagen pretrain` wrote: fitted, or taken over from released weights.

    Its `hash` is that of the file, which policies and samples are bound to.

    Raises:
        AdagenError: it is another generator, or was made with other settings than the config's.
    """
    tensors, about = load_tensors(path, KIND)
    expected = identity.generator_file(name, settings, dataset=dataset)
    if told := difference({key: about.get(key) for key in expected}, expected):
        raise AdagenError(
            f"{path} is not the config's generator {name!r}: {told}. "
            f"Give the right file, or run `adagen pretrain {name}` again."
        )
    with torch.device("meta"):
        backbone = build_backbone(settings, tuple(about["image_shape"]), about["num_classes"])
    backbone.load_state_dict(tensors, assign=True)
    backbone.hash = file_hash(path)
    return backbone.eval().requires_grad_(False)
