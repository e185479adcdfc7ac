"""`adagen.tune`: the best static schedule that a search finds for any generator, in one call."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

from adagen.config import PolicySettings, Sweep, Training
from adagen.config.loading import check_section
from adagen.generators.attributes import require_generator
from adagen.generators.base import Generator
from adagen.generators.stopping import Stopping
from adagen.runtime.allocator import keep_freed_memory
from adagen.runtime.arguments import require_count, require_seed
from adagen.runtime.checkpoints import claim_checkpoint
from adagen.runtime.errors import AdagenError
from adagen.runtime.locks import exclusive_folder
from adagen.runtime.progress import hidden_progress
from adagen.sampling.sampler import Sampler
from adagen.training.default_searches import (
    drawn_in_all,
    images_of_a_candidate,
    searched,
    with_searches,
)
from adagen.training.from_data import (
    Data,
    data_identity,
    heldout_validation,
    real_images,
    unmeasurable,
)
from adagen.training.origins import origins_of
from adagen.training.trained_sampler import trained_sampler

FIRST = 6
"""One candidate of so many moves offsets and slopes of the actions; the others, the whole table."""
FEWEST = 2
"""Candidates of a search, at least: the hand-made schedule and another."""


def tune(
    generator: Generator[Any],
    data: Data,
    *,
    images: int | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> Sampler:
    """Search for the best static schedule, and return a sampler that uses it.

    This is the baseline `tuned` for a generator of your own: what a policy has to beat. CMA-ES
    lowers the distance by which `adagen.train` chooses its policies, to the fifth of the images
    that nothing else sees. It moves offsets and slopes of the actions first, then every entry of
    the table (T, K).

    Args:
        generator: a generator with its hand-made schedule, where the search begins.
        data: real images like the generator's, as for `adagen.train`.
        images: images that the search may draw; by default as many as `adagen.train` draws with
            the same settings, searches included, so that the two can be compared.
        seed: of the search and its noise.
        checkpoint: folder of resumable state: the same call continues after a kill. It is bound to
            the arguments. Images of a folder of data are kept in it decoded.
        progress: whether progress bars are shown.
        **settings: keys of `Training`, such as `updates=40`: those of the training that the
            schedule is compared with. Without any, its defaults.

    Returns:
        A sampler; its `log` has a row for each schedule that was tried: its distance `fid`, and
        what was added to the raw outputs of the hand-made one, an offset and a slope of each action
        or, in the second phase, a number for each action and call.

    Raises:
        AdagenError: an argument is not as expected; no distance to the data can be measured; or
            `checkpoint` belongs to another search.
    """
    require_generator(generator, "adagen.tune")
    seed = require_seed(seed)
    if isinstance(generator, Stopping):
        raise AdagenError(
            "adagen.tune: samples that may stop are to save evaluations too, which no distance "
            "knows: give the generator that it was made of."
        )
    if not generator.actions.effective.any():
        raise AdagenError(
            "adagen.tune: there is nothing to search for, as actions.without_effect has all "
            "actions at all calls: take those out that change an image."
        )
    training = check_section(Training, settings, source="adagen.tune")
    training = with_searches(training, generator, method="adagen", given=settings)
    budget = drawn_in_all(training, generator, method="adagen")
    if images is not None:
        budget = require_count("images", images)
    sweep = _search_within(budget, conditions=len(generator.conditions), seed=seed)
    folder = None if checkpoint is None else Path(checkpoint)
    if generator.device.type == "cpu":
        keep_freed_memory()
    with nullcontext() if progress else hidden_progress(), exclusive_folder(folder):
        split = real_images(generator, data, kept=folder)
        if reason := unmeasurable(split):
            raise AdagenError(
                f"adagen.tune: there is no distance to search by, as {reason}. Where the sides of "
                "the generator's images are the reason, a configuration has other protocols "
                "(docs/evaluation.md); otherwise give more images."
            )
        name = f"tuned seed {seed}"
        if folder is not None:
            origins = origins_of(generator, "distance", data=data_identity(split))
            claim_checkpoint(folder, name, sweep, origins)
        validator = heldout_validation(generator, split, settings=training, folder=folder)
        assert validator is not None  # it can be measured
        schedule, trials = searched(
            generator,
            validator,
            sweep=sweep,
            name=name,
            checkpoint=folder and folder / "search.ckpt",
        )
    return trained_sampler(
        generator,
        schedule,
        method="tuned",
        seed=seed,
        network=PolicySettings(input=generator.policy_input),
        batch=training.batch,
        log=pd.DataFrame(trials),
    )


def _search_within(images: int, *, conditions: int, seed: int) -> Sweep:
    """The search that draws so many images, less those that are too few for another candidate."""
    each = images_of_a_candidate(conditions)
    count = images // each
    if count < FEWEST:
        raise AdagenError(
            f"adagen.tune: {images} images are too few, as each schedule is measured on {each} and "
            f"the hand-made one is the first: give images={FEWEST * each} or more."
        )
    first = -(-count // FIRST)
    phases = {"evaluations": first, "table": {"evaluations": count - first}}
    return check_section(Sweep, {**phases, "samples": each, "seed": seed}, source="adagen.tune")
