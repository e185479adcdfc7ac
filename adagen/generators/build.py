"""Generators from settings, from files and from released weights; fitting and saving them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from adagen import config
from adagen.config import identity
from adagen.data.released import open_asset
from adagen.data.split import Images, Split
from adagen.data.weights import load_released
from adagen.generators.base import Backbone, FittedBackbone, Generator
from adagen.generators.conditions import ClassConditions, Conditions
from adagen.generators.described import (
    KIND,
    about_conditions,
    described_conditions,
    without_values,
)
from adagen.generators.families import ImageShape, built_in_backbone
from adagen.generators.installed import InstalledBackbone, installed_backbone
from adagen.generators.maskgit import MaskgitBackbone, MaskgitGenerator, Order
from adagen.generators.patches import PatchCodebook
from adagen.generators.reloading import build_empty, fill, require_reloadable, require_values
from adagen.generators.solver import SolverBackbone, SolverGenerator
from adagen.generators.stopping import Stopping
from adagen.generators.var import VarBackbone, VarGenerator
from adagen.networks.fitting import fit
from adagen.networks.vqvae import MultiScaleVQVAE
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_bound, save_tensors
from adagen.runtime.hashing import reading
from adagen.runtime.noise import seeded

CPU = torch.device("cpu")


def build_backbone(
    settings: config.Generator,
    image_shape: ImageShape,
    *,
    num_classes: int,
    conditions: Conditions | None = None,
) -> Backbone:
    """Build the untrained networks of a generator, for images (C, H, W).

    Args:
        settings: its section of the configuration.
        image_shape: (C, H, W) of its images.
        num_classes: number of classes, or of captions.
        conditions: what labels stand for; None for classes, or for captions without values.

    Raises:
        AdagenError: patches or scales don't fit the images.
    """
    if isinstance(settings, config.InstalledGenerator):
        return installed_backbone(settings, image_shape, num_classes=num_classes)
    if conditions is None:
        conditions = without_values(settings, num_classes)
    return built_in_backbone(settings, image_shape, conditions=conditions)


def build_generator(
    backbone: Backbone, experiment: config.Experiment, *, method: str = "handmade"
) -> Generator[Any]:
    """Build the generator of an experiment: a backbone at its steps and hand-made schedule.

    `method` matters only where it changes the generator itself, as "halton" and "stopping" do.

    Raises:
        AdagenError: the method ends samples early, and this generator's need all steps.
    """
    if isinstance(backbone, FittedBackbone):
        backbone.compile_blocks()
    generator = _scheduled(backbone, experiment, method)
    if experiment.schedule:
        generator.actions = generator.actions.given(experiment.schedule)
    generator.policy_input, generator.hash = experiment.policy.input, backbone.hash
    generator.class_names, generator.released = backbone.class_names, backbone.released
    generator.experiment = experiment
    return Stopping(generator) if method == "stopping" else generator


def _scheduled(backbone: Backbone, experiment: config.Experiment, method: str) -> Generator[Any]:
    steps, handmade, smoothing = experiment.steps, experiment.handmade, experiment.smoothing
    if isinstance(backbone, MaskgitBackbone):
        order: Order = "halton" if method == "halton" else "confidence"
        return MaskgitGenerator(
            backbone,
            steps,
            handmade=handmade,
            smoothing=smoothing,
            order=order,
            unmasking=experiment.unmasking,
            bound=experiment.unmasking_bound,
        )
    if isinstance(backbone, VarBackbone):
        return VarGenerator(backbone, handmade, smoothing=smoothing)
    if isinstance(backbone, InstalledBackbone):
        return _installed_generator(backbone, experiment)
    assert isinstance(backbone, SolverBackbone)
    generator = SolverGenerator(backbone, steps, handmade=handmade, smoothing=smoothing)
    generator.solver, generator.guidance_rule = experiment.solver, experiment.guidance_rule
    generator.coefficients = experiment.coefficients
    if experiment.times == "ordered":
        generator.actions = replace(generator.actions, ordered=("time",))
    return generator


def _installed_generator(
    backbone: InstalledBackbone, experiment: config.Experiment
) -> Generator[Any]:
    """Build the generator of a package, and check that it is as stochastic as its settings say."""
    generator = backbone.generator(
        experiment.steps, experiment.handmade, smoothing=experiment.smoothing
    )
    planned = type(backbone).settings.stochastic
    if generator.stochastic != planned:
        raise AdagenError(
            f"{type(generator).__name__}.stochastic is {generator.stochastic}, but its settings "
            f"{type(backbone).settings.__name__} have stochastic = {planned}, by which look-ahead "
            "is planned: give both the same value."
        )
    generator.sampler = identity.sampler(backbone.section)
    return generator


def released_backbone(
    settings: config.Generator, assets: config.Assets, *, conditions: Conditions | None = None
) -> Backbone:
    """Build a generator from its released files.

    Args:
        settings: its section of the configuration.
        assets: where the files are.
        conditions: what labels stand for; None for classes.

    Raises:
        AdagenError: a file is missing, damaged, or doesn't hold the network that the settings
            describe.
    """
    weights = settings.weights
    assert weights is not None
    shape = (3, weights.image, weights.image)
    backbone = build_empty(
        lambda: build_backbone(settings, shape, num_classes=weights.classes, conditions=conditions)
    )
    network, decoder = _parts(backbone)
    for module, name in ((network, weights.network), (decoder, weights.decoder)):
        with open_asset(assets, name) as path:
            load_released(module, path)
    require_values(backbone, source=f"{weights.network} with {weights.decoder}")
    return backbone.eval().requires_grad_(False)


def _parts(backbone: Backbone) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return the transformer of a released generator and the decoder of its output."""
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
    conditions: Conditions | None = None,
    device: torch.device = CPU,
) -> Backbone:
    """Fit a generator to the training images.

    Args:
        name: the generator's name.
        settings: its section of the configuration.
        split: the data set.
        checkpoints: folder for resumable state; None to keep none.
        conditions: what labels stand for; None for classes.
        device: where it is fitted.

    Returns:
        The frozen backbone with averaged weights.

    Raises:
        AdagenError: a package's generator could not be read from the file it would be saved in.
    """
    train, resume = split.train, checkpoints and checkpoints / f"{name}.ckpt"
    _, channels, height, width = train.images.shape
    shape = (channels, height, width)
    if isinstance(settings, config.InstalledGenerator):
        build = partial(installed_backbone, settings, shape, num_classes=split.num_classes)
        with seeded("backbone", name):
            installed = build()
        require_reloadable(name, installed, build=build)  # before the hours that `learn` may take
        installed.class_names, installed.captions = split.class_names, split.table
        installed.learn(train, name, checkpoint=resume, device=device)
        require_reloadable(name, installed, build=build)
        return installed.eval().requires_grad_(False)
    if conditions is None:
        conditions = ClassConditions(split.num_classes)
    with seeded("backbone", name, settings.pretrain.seed):
        backbone = built_in_backbone(settings, shape, conditions=conditions)
    backbone.precision = settings.pretrain.precision
    if isinstance(backbone, MaskgitBackbone):
        assert isinstance(backbone.tokeniser, PatchCodebook)
        backbone.tokeniser.learn(train.images)
    if isinstance(backbone, VarBackbone) and isinstance(settings, config.VarGenerator):
        tokeniser_file = checkpoints and checkpoints / f"{name}-tokeniser.ckpt"
        codes, label = settings.tokeniser.fit, f"{name} tokeniser"
        fit_tokeniser(
            backbone.tokeniser,
            train,
            settings=codes,
            name=label,
            resume=tokeniser_file,
            device=device,
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
    """Fit VAR's autoencoder to the squared error of the image plus the loss of its quantiser."""

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
    class_names: Sequence[str] = (),
) -> None:
    """Write a generator, with the settings that it was made from, for `load_backbone`.

    Args:
        path: the file to write.
        name: the generator's name.
        backbone: its networks.
        settings: its section of the configuration.
        dataset: the data set that it was fitted to.
        image_shape: (C, H, W) of its images.
        class_names: the classes that it was fitted to, in the order of their labels.
    """
    about = {
        "kind": KIND,
        **identity.generator_file(name, settings, dataset=dataset),
        "image_shape": list(image_shape),
        "num_classes": backbone.num_classes,
        "class_names": list(class_names),
        **about_conditions(backbone, path),
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
    with reading(path) as file:
        tensors, about = load_bound(
            path,
            KIND,
            expected=identity.generator_file(name, settings, dataset=dataset),
            remedy=f"Give the file of generator {name!r}, or run `adagen pretrain {name}` again.",
        )
    shape, classes = tuple(about["image_shape"]), about["num_classes"]
    backbone = build_empty(
        lambda: build_backbone(
            settings, shape, num_classes=classes, conditions=described_conditions(about, path)
        )
    )
    fill(backbone, tensors, source=str(path))
    backbone.hash = file.hash
    backbone.class_names = tuple(about.get("class_names", ()))  # older files have none
    backbone.released = settings.weights is not None
    return backbone.eval().requires_grad_(False)
