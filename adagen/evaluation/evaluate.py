"""Metrics of samples, or of any images, as the dictionaries that metrics files hold."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adagen.config import Config
from adagen.config.bindings import of_metrics
from adagen.data.bound import SETTINGS, open_configured
from adagen.data.samples import Samples
from adagen.evaluation.image_sets import ImageSets, open_images, suspected
from adagen.evaluation.meters import Measured, Meter
from adagen.runtime.errors import AdagenError
from adagen.runtime.progress import progress

if TYPE_CHECKING:
    from adagen.evaluation.clip_score import ClipScorer

DESCRIPTION = (
    "experiment",
    "paradigm",
    "dataset",
    "steps",
    "method",
    "refinement",
    "training_seed",
)
"""Keys that a metrics file copies from its samples. Runs without refinement lack that key."""


def evaluate(
    folder: Path, meter: Meter, *, config: Config, scorer: "ClipScorer | None" = None
) -> dict[str, Any]:
    """Measure a folder of samples.

    Args:
        folder: samples, as `adagen sample` writes them.
        meter: measures them.
        config: the configuration that they were made by, to which the metrics are bound.
        scorer: gives their CLIP score; None for none.

    Returns:
        The content of a metrics file: every metric per sampling seed, the mean over the seeds and
        its standard error.

    Raises:
        AdagenError: the samples are damaged, or were made with other settings.
    """
    samples = open_configured(folder, config)
    about = samples.about
    whole = config.evaluation.protocol == "authors" and not config.dataset.captions
    per_seed = _measure_sets(open_images(folder), meter, whole_classes=whole, scorer=scorer)
    return {
        **{key: about[key] for key in DESCRIPTION if key in about},
        "fidelity": about.get("fidelity"),
        **_described(meter, scorer),
        "samples": samples.count,
        "seeds": about["seeds"],
        "per_seed": [
            {"seed": seed, **row} for seed, row in zip(samples.seeds, per_seed, strict=True)
        ],
        "mean": _over_sets(per_seed, np.mean),
        "standard_error": _over_sets(per_seed, _standard_error),
        "cost": about["cost"],
        **({"stopped": _stopped(samples)} if about["method"] == "stopping" else {}),
        "hashes": {
            "reference": meter.hashes["reference"],
            **({"clip_score": scorer.hash} if scorer else {}),
            **about["hashes"],
        },
        # In a list, whose numbers `dvc metrics` doesn't take for metrics.
        SETTINGS: [of_metrics(config, samples.run)],
    }


def _stopped(samples: Samples) -> list[float]:
    """The share of the samples of the first seed whose last step is each of the T steps."""
    made = ~samples.actions.isnan().any(2)
    calls, steps = len(made), int(samples.about["steps"])
    # DiT and SiT have a call more than steps, which picks the first time.
    taken = made.sum(0) - (calls - steps)
    counts = taken.bincount(minlength=steps + 1)[1:]
    return [round(share, 6) for share in (counts.double() / len(taken)).tolist()]


def measure_images(
    source: ImageSets, meter: Meter, *, whole_classes: bool, scorer: "ClipScorer | None" = None
) -> dict[str, Any]:
    """Measure any images.

    Args:
        source: one or several sets of images.
        meter: measures them.
        whole_classes: whether sets in which classes differ in size are refused, as the authors'
            protocol refuses them.
        scorer: gives the CLIP score of images whose labels are known; None for none.

    Returns:
        "source", "kind" and "count" (images in a set); "protocol"; "sets", the metrics of each
        set by its name; their "mean"; "reference_count", the number of real images behind the
        reference (None where its file does not say); "hashes" of the images and of what measured
        them.

    Raises:
        AdagenError: the images are damaged, too few, or differ in size or channels.
    """
    measured = _measure_sets(source, meter, whole_classes=whole_classes, scorer=scorer)
    return {
        "source": str(source.path),
        "kind": source.kind,
        "count": source.count,
        **_described(meter, scorer),
        "sets": dict(zip(source.sets, measured, strict=True)),
        "mean": _over_sets(measured, np.mean),
        "reference_count": meter.count,
        "hashes": {
            "source": source.content(),
            **meter.hashes,
            **({"clip_score": scorer.hash} if scorer else {}),
        },
    }


def _described(meter: Meter, scorer: "ClipScorer | None") -> dict[str, Any]:
    """The protocol, whose name has all that the numbers depend on, and the CLIP of its score."""
    if scorer is None:
        return {"protocol": meter.protocol}
    return {"protocol": f"{meter.protocol}-{scorer.name}", "clip_score": scorer.described}


def _measure_sets(
    source: ImageSets, meter: Meter, *, whole_classes: bool, scorer: "ClipScorer | None"
) -> list[Measured]:
    """Measure each set of a source, in order."""
    if whole_classes and source.labels is not None:
        _require_whole_classes(source.path, source.labels)
    measured = []
    with progress(
        None, f"measuring {source.path.name}", total=source.count * len(source.sets)
    ) as bar:

        def watched(batches: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
            for batch in suspected(batches, str(source.path)):
                yield batch
                bar.update(len(batch))

        for name, batches in source.sets.items():
            try:
                found = meter.measure(watched(batches()))
                if scorer:
                    found = {**found, "clip_score": None}
                if scorer and source.labels is not None:
                    found |= scorer.score(batches(), source.labels)
                measured.append(found)
            except AdagenError as error:
                if str(source.path) in str(error):  # it names the very file
                    raise
                raise AdagenError(f"{source.path}, {name}: {error}") from None
    return measured


def _over_sets(rows: Sequence[Measured], statistic: Any) -> dict[str, float | None]:
    """Apply a statistic to every metric over the sets; None where a value is missing."""
    columns: dict[str, float | None] = {}
    for key in rows[0]:
        values = [row[key] for row in rows]
        known = None if None in values else statistic(np.array(values, dtype=np.float64))
        columns[key] = None if known is None or math.isnan(known) else float(known)
    return columns


def _standard_error(values: np.ndarray) -> float:
    """Standard error of the mean of n values; NaN for a single value."""
    if len(values) < 2:
        return math.nan
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _require_whole_classes(path: Path, labels: torch.Tensor) -> None:
    """Refuse sets in which classes differ in size: the authors measure equally many of each."""
    counts = labels.bincount()
    if (counts != counts[0]).any():
        classes = len(counts)
        raise AdagenError(
            f"{path} holds {len(labels)} images of {classes} classes, from {int(counts.min())} to "
            f"{int(counts.max())} of one, but protocol 'authors' takes equally many of each. Make "
            f"evaluation.samples a multiple of {classes}."
        )
