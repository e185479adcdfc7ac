"""Sizes that contradict each other, found before anything runs; later they would end a stage."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adagen.config.dataset import CAPTIONED, Dataset
from adagen.config.evaluation import Evaluation
from adagen.config.experiments import AnyRewardFeatures, DinoFeatures, Experiment
from adagen.config.generators import (
    FrozenGenerator,
    MaskgitGenerator,
    SolverSettings,
    VarGenerator,
    VqganTokeniser,
)
from adagen.config.search import Sweep


def check_sizes(
    dataset: Dataset,
    generators: Mapping[str, Any],
    *,
    places: Iterable[tuple[str, Experiment]],
    features: AnyRewardFeatures,
    evaluation: Evaluation,
) -> None:
    """Raise unless patches, maps, steps and numbers of images fit, as far as they are known.

    The side of images is known of embedded data sets, of `dataset.size` and of released weights.

    Args:
        dataset: the section `dataset`.
        generators: the section `generators`.
        places: every section that is an experiment, with its key.
        features: the section `reward_features`.
        evaluation: the section `evaluation`.

    Raises:
        ValueError: two don't fit; the message names the keys.
    """
    _check_numbers(dataset, evaluation)
    for name, generator in generators.items():
        _check_generator(f"generators.{name}", generator, dataset)
    for place, experiment in places:
        generator = generators.get(experiment.generator)
        tokens = _tokens(generator, dataset) if isinstance(generator, MaskgitGenerator) else None
        if tokens and experiment.steps > tokens:
            raise ValueError(
                f"{place}.steps is {experiment.steps}, but its generator makes an image of "
                f"{tokens} tokens, one a step at least: use {tokens} at most"
            )
    side, key = dataset.side, "reward_features.patch"
    if isinstance(features, DinoFeatures):
        _require_divisor(key, features.patch, side=features.image)
    elif side:
        _require_divisor(key, features.patch, side=side)


def check_counts(
    dataset: Dataset,
    evaluation: Evaluation,
    *,
    generators: Mapping[str, Any],
    sweep: Sweep,
    of_curve: Sweep | None,
    places: Iterable[tuple[str, Experiment]],
) -> None:
    """Raise unless every distance is taken of more images than its features have dimensions.

    The authors' protocol samples every class equally often, besides.

    Args:
        dataset: the section `dataset`.
        evaluation: the section `evaluation`.
        generators: the section `generators`.
        sweep: the section `sweep`.
        of_curve: the section `curves.sweep`.
        places: every section that is an experiment, with its key.

    Raises:
        ValueError: one is taken of too few, or of some classes more than of others; the message
            names the key.
    """
    dimension = evaluation.dimension
    counts = {"sweep.samples": sweep.samples, "evaluation.samples": evaluation.samples}
    if of_curve:
        counts["curves.sweep.samples"] = of_curve.samples
    if evaluation.protocol == "embedded" and not dataset.heldout_folder:
        counts["dataset.heldout"] = dataset.heldout
    for place, experiment in places:
        counts[f"{place}.training.validate_samples"] = experiment.training.validate_samples
        if polish := experiment.training.polish:
            counts[f"{place}.training.polish.samples"] = polish.samples
    for key, count in counts.items():
        if count <= dimension:
            raise ValueError(
                f"{key} is {count}, but a Frechet distance over the {dimension} features of "
                f"protocol {evaluation.protocol!r} takes at least {dimension + 1} images"
            )
    for name, generator in generators.items():
        if evaluation.protocol != "authors" or generator.weights is None:
            continue
        if dataset.captions:  # each is shown as often as it comes
            continue
        if evaluation.samples % generator.weights.classes:
            raise ValueError(
                f"evaluation.samples is {evaluation.samples}, but protocol 'authors' "
                f"takes as many of each of the {generator.weights.classes} classes of "
                f"generators.{name}: use a multiple of {generator.weights.classes}"
            )


def _check_numbers(dataset: Dataset, evaluation: Evaluation) -> None:
    """Refuse numbers of images that a data set doesn't have, or that leave no neighbours."""
    if dataset.captions and evaluation.protocol == "embedded":
        raise ValueError(
            "evaluation.protocol is 'embedded', whose classifier tells classes, but dataset has "
            "captions: choose 'authors', 'adm' or 'clean'"
        )
    if evaluation.alignment and (dataset.name not in CAPTIONED or dataset.size % 8):
        raise ValueError(
            f"evaluation.alignment is of {' and '.join(CAPTIONED)} in a size that 8 divides, but "
            f"dataset is {dataset.name!r} of size {dataset.size}"
        )
    counts = {"evaluation.samples": evaluation.samples}
    if known := dataset.embedded:
        if not known.classes <= dataset.heldout <= known.images // 2:
            raise ValueError(
                f"dataset.heldout is {dataset.heldout}, but of the {known.images} images of "
                f"{dataset.name} between {known.classes} (one a class) and {known.images // 2} "
                "(half) can be held out"
            )
        counts["dataset.heldout"] = dataset.heldout
    for key, count in counts.items():
        if count <= evaluation.neighbours:
            raise ValueError(
                f"evaluation.neighbours is {evaluation.neighbours}, but {key} is {count}: an image "
                "has fewer neighbours than there are images"
            )


def _check_generator(key: str, generator: Any, dataset: Dataset) -> None:
    """Refuse patches, scales and vocabularies that don't fit the images."""
    if not isinstance(generator, FrozenGenerator):
        return
    _check_text(key, generator, dataset)
    side = generator.weights.image if generator.weights else dataset.side
    if not side:
        return
    if isinstance(generator, MaskgitGenerator):
        tokens, codes = _tokens(generator, dataset), generator.tokeniser
        if isinstance(codes, VqganTokeniser):
            _reduced(f"{key}.tokeniser.multipliers", codes.multipliers, side=side)
            return
        _require_divisor(f"{key}.tokeniser.patch", codes.patch, side=side)
        if dataset.embedded and tokens:
            patches = (dataset.embedded.images - dataset.heldout) * tokens
            if codes.vocabulary > patches:
                raise ValueError(
                    f"{key}.tokeniser.vocabulary is {codes.vocabulary}, but the training images "
                    f"have {patches} patches: use fewer"
                )
    elif isinstance(generator, VarGenerator):
        finest = _reduced(
            f"{key}.tokeniser.multipliers", generator.tokeniser.multipliers, side=side
        )
        if generator.scales[-1] != finest:
            raise ValueError(
                f"{key}.scales ends with {generator.scales[-1]}, but the map of its tokeniser has "
                f"side {finest} for images of {side}x{side}: end it with {finest}"
            )
    elif isinstance(generator, SolverSettings):
        if generator.latent:
            side = _reduced(f"{key}.latent.multipliers", generator.latent.multipliers, side=side)
        _require_divisor(f"{key}.patch", generator.patch, side=side)


def _check_text(key: str, generator: FrozenGenerator, dataset: Dataset) -> None:
    """Refuse a generator of captions where there are classes, and the reverse."""
    has = generator.text.kind if generator.text else ""
    takes = "clip" if dataset.captions else "words" if dataset.captioned else ""
    if has == takes:
        return
    conditions = "captions" if takes else "classes"
    needs = f"a section `text` of kind {takes!r}" if takes else "no section `text`"
    raise ValueError(
        f"{key} needs {needs}, since the conditions of {dataset.name!r} are {conditions}: change "
        "one of the two"
    )


def _tokens(generator: MaskgitGenerator, dataset: Dataset) -> int | None:
    """Number of tokens of an image; None if it is not known."""
    side = generator.weights.image if generator.weights else dataset.side
    codes = generator.tokeniser
    if isinstance(codes, VqganTokeniser):
        return int((side >> (len(codes.multipliers) - 1)) ** 2) or None
    return int((side // codes.patch) ** 2) or None


def _reduced(key: str, multipliers: Sequence[int], *, side: int) -> int:
    """The side of a convolutional encoder's map: each level but the last halves it."""
    factor = 1 << (len(multipliers) - 1)
    if side % factor:
        raise ValueError(
            f"{key} has {len(multipliers)} entries, which reduce images by {factor}, but they are "
            f"{side}x{side}: use fewer entries, or a side that {factor} divides"
        )
    return side // factor


def _require_divisor(key: str, patch: int, *, side: int) -> None:
    """Refuse a patch that does not divide images."""
    if side % patch:
        raise ValueError(
            f"{key} is {patch}, which does not divide images (or latents) of {side}x{side}: choose "
            "a divisor"
        )
