"""Alignment of samples with their captions, as rows of a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from adagen.config import Config
from adagen.data.openmoji.captioned import captioned, captions_of
from adagen.data.openmoji.grammar import is_held_out, read_caption
from adagen.data.samples import Samples
from adagen.evaluation.alignment import AlignmentNetwork, alignment

REAL = 1000
"""Real images that the network is asked about too."""


def aligned_rows(
    samples: Sequence[Samples], network: AlignmentNetwork, *, config: Config
) -> list[dict[str, Any]]:
    """Score samples of prompts, apart for combinations that are in training captions or not.

    Args:
        samples: of prompts, as `adagen.data.bound.open_prompted` opens them.
        network: says what images show.
        config: the configuration, for its data set.

    Returns:
        A row for real images, as no generator can be expected above it; then, for each run and each
        of "seen" and "unseen" captions, "experiment", "method", "training_seed", "captions",
        "images", and the shares "right" and "names" with their standard errors over the sampling
        seeds.

    Raises:
        AdagenError: samples are damaged, or a prompt is no caption of OpenMoji's scenes.
    """
    return [_real(network, config), *(row for run in samples for row in _rows(run, network))]


def _real(network: AlignmentNetwork, config: Config) -> dict[str, Any]:
    """The row of held-out real images."""
    dataset = config.dataset
    _, images, _ = captioned(dataset.name, dataset.size, train=1, heldout=REAL)
    texts = captions_of(dataset.name).texts
    captions = [texts[label] for label in images.labels.tolist()]
    batches = (images[rows] for rows in torch.arange(REAL).split(250))
    score = network.score(batches, captions)
    return {
        "experiment": "real images",
        "method": "",
        "training_seed": None,
        "captions": "seen",
        "images": REAL,
        "right": score.right,
        "right_error": None,
        "names": score.names,
        "names_error": None,
    }


def _rows(samples: Samples, network: AlignmentNetwork) -> list[dict[str, Any]]:
    """One row for seen and one for unseen captions of the samples of a run."""
    prompts = samples.about["settings"]["prompts"]["texts"]
    scenes = [read_caption(prompts[label]) for label in samples.labels.tolist()]
    found = {
        seed: [seen for batch in samples.batches(seed) for seen in network.seen(batch)]
        for seed in samples.seeds
    }
    about, rows = samples.about, []
    for name, wanted in (("seen", False), ("unseen", True)):
        chosen = [i for i, scene in enumerate(scenes) if is_held_out(scene) == wanted]
        if not chosen:
            continue
        scores = [
            alignment([seen[i] for i in chosen], [scenes[i] for i in chosen])
            for seen in found.values()
        ]
        row = {key: about[key] for key in ("experiment", "method", "training_seed")}
        row |= {"captions": name, "images": len(chosen) * len(scores)}
        for key in ("right", "names"):
            values = np.array([getattr(score, key) for score in scores])
            row[key] = float(values.mean())
            error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else None
            row[f"{key}_error"] = None if error is None else float(error)
        rows.append(row)
    return rows
