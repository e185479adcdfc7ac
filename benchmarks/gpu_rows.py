"""The rows of `gpu.csv`."""

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from adagen.runtime.atomic import atomic_path


@dataclass(frozen=True, kw_only=True)
class Row:
    """One generator at one precision and batch, or one number of a training.

    Attributes:
        what: "sampling", "launches" or "training".
        generator: its name in the configuration.
        precision: of its matrix products.
        batch: images that are made at once.
        compiled: whether its network is compiled.
        joined: whether the passes with and without the class are one batch.
        images_per_second: median of all rounds, decoding included.
        low: lower quartile.
        high: upper quartile.
        over_forwards: time of a rollout over that of its network's evaluations.
        share_of_peak: operations a second over those of a large matrix product.
        over_graphs: time of a rollout's evaluations over that of the same as one CUDA graph.
        waits: times that a rollout waited for the device before its images were asked for.
        memory_gb: of tensors at most, in 1e9 bytes.
        seconds: of a training's update.
        rollout: share of an update in which images are made.
        ppo: share of it in which the policy learns.
        reward: share of it in which the reward scores and learns.
        note: what else there is to say, such as that it didn't fit.
    """

    what: str = "sampling"
    generator: str
    precision: str
    batch: int
    compiled: bool = False
    joined: bool = True
    images_per_second: float | None = None
    low: float | None = None
    high: float | None = None
    over_forwards: float | None = None
    share_of_peak: float | None = None
    over_graphs: float | None = None
    waits: int | None = None
    memory_gb: float | None = None
    seconds: float | None = None
    rollout: float | None = None
    ppo: float | None = None
    reward: float | None = None
    note: str = ""

    def __str__(self) -> str:
        """One line for the terminal."""
        values = {key: value for key, value in asdict(self).items() if value not in (None, "")}
        texts = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in values.values())
        return ", ".join(f"{key} {text}" for key, text in zip(values, texts, strict=True))


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write all rows so far; the file appears whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = asdict(row).items()
        writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in values})
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue())
