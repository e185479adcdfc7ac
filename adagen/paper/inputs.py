"""The inputs of figures, checked: samples, training logs and search logs."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from adagen.config import LEARNED, SEARCHED
from adagen.paper.csv_files import read_csv
from adagen.runtime.documents import parse_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import read_text

if TYPE_CHECKING:  # logs and tables are drawn without torch, which takes two seconds to import
    import torch

    from adagen.data.samples import Samples


@dataclass(frozen=True)
class SampleRun:
    """The samples of a run, as figures show them: those of its first sampling seed.

    Attributes:
        samples: the folder, of which only the images that are shown are read.
        experiment, paradigm, method, training_seed: what generated the samples.
        fidelity: lambda of a blend of two policies; None for no blend.
        refined: whether they were chosen among candidates.
        action_names: names of the K actions.
    """

    samples: "Samples"
    experiment: str
    paradigm: str
    method: str
    training_seed: int | None
    fidelity: float | None
    refined: bool
    action_names: tuple[str, ...]

    def images(self, rows: Sequence[int]) -> "torch.Tensor":
        """(len(rows), C, H, W) the images in these rows, in [0, 1]."""
        return self.samples.images(self.samples.seeds[0], rows)


def read_samples(folder: Path) -> SampleRun:
    """Open a folder of samples.

    Raises:
        AdagenError: it is missing, damaged or something else.
    """
    from adagen.data.samples import Samples

    samples = Samples.open(folder)
    about = samples.about
    return SampleRun(
        samples,
        experiment=about["experiment"],
        paradigm=about["paradigm"],
        method=about["method"],
        training_seed=about["training_seed"],
        fidelity=about.get("fidelity"),
        refined="refinement" in about,
        action_names=tuple(about["action_names"]),
    )


def require_same_samples(runs: Sequence[SampleRun]) -> None:
    """Refuse runs whose images can't be shown beside each other.

    Raises:
        AdagenError: two differ in the size of images, in labels or in the file of the generator.
    """
    one = runs[0].samples
    for other in (run.samples for run in runs[1:]):
        generators = [samples.about["hashes"]["generator"] for samples in (one, other)]
        if generators[0] != generators[1]:
            raise AdagenError(
                f"{one.folder} and {other.folder} are of two generators, with SHA-256 "
                f"{generators[0][:12]}... and {generators[1][:12]}...: sample again from one."
            )
        if one.image_shape != other.image_shape or not one.labels.equal(other.labels):
            raise AdagenError(
                f"{one.folder} and {other.folder} don't hold the same samples (images of the "
                "same size, with the same labels). Sample both with the same config."
            )


def read_plain_samples(folders: Iterable[Path]) -> list[SampleRun]:
    """Open folders of samples, and leave out those of refined runs.

    Raises:
        AdagenError: one of them is missing, damaged or something else.
    """
    runs = [read_samples(folder) for folder in folders]
    return [run for run in runs if not run.refined]


@dataclass(frozen=True)
class TrainingLog:
    """The log of one policy's training: `table` has a row for each update."""

    experiment: str
    method: str
    training_seed: int
    table: pd.DataFrame


def read_training_log(path: Path) -> TrainingLog:
    """Read <experiment>/policy/<method>_seed<N>.jsonl.

    Raises:
        AdagenError: the file is missing, badly named, empty, or a line is not a JSON object.
    """
    name = re.fullmatch(rf"({'|'.join(LEARNED)})_seed(\d+)", path.stem)
    if name is None:
        raise AdagenError(
            f"{path} is not named after a training run: expected "
            f"<experiment>/policy/<method>_seed<N>.jsonl with method {' or '.join(LEARNED)}."
        )
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        raise AdagenError(f"{path} does not exist. Run `adagen train` first.") from None
    except UnicodeDecodeError:
        raise AdagenError(f"{path} is no text: check the path, or run `adagen train`.") from None
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            if not isinstance(row := parse_json(line), dict):
                raise ValueError("no object")
            rows.append(row)
        except ValueError:
            raise AdagenError(
                f"{path}, line {number}: expected a JSON object, the log of one update. Check the "
                "path, or run `adagen train` again."
            ) from None
    if not rows:
        raise AdagenError(f"{path} is empty: no update was logged. Run `adagen train` again.")
    return TrainingLog(experiment_of(path), name[1], int(name[2]), pd.DataFrame(rows))


@dataclass(frozen=True)
class SearchLog:
    """The log of one search: `table` has columns evaluation, fid, and one for each parameter.

    Its first row is the hand-made schedule, where every search begins.
    """

    experiment: str
    method: str
    table: pd.DataFrame


SEARCHED_COLUMNS = ("evaluation", "fid")


def read_search_log(path: Path) -> SearchLog:
    """Read <experiment>/policy/<method>.csv.

    Raises:
        AdagenError: the file is missing, badly named, or has no evaluation in it.
    """
    try:
        table = read_csv(path, numbers=SEARCHED_COLUMNS)
    except FileNotFoundError:
        raise AdagenError(f"{path} does not exist. Run `adagen sweep` first.") from None
    columns = [*SEARCHED_COLUMNS] if {*SEARCHED_COLUMNS} <= {*table.columns} else []
    if table.empty or not columns or table[columns].isna().any(axis=None):
        raise AdagenError(
            f"{path} is not a search log: expected columns evaluation, fid with a number in each "
            "row, and one row at least. Run `adagen sweep` again."
        )
    if path.stem not in SEARCHED:
        raise AdagenError(
            f"{path} is not named after a search: expected <experiment>/policy/<method>.csv with "
            f"method {' or '.join(SEARCHED)}."
        )
    return SearchLog(experiment_of(path), path.stem, table)


def experiment_of(path: Path) -> str:
    """The experiment that a file in its folder `policy` belongs to."""
    return path.absolute().parents[1].name


def only(paths: Sequence[Path], subject: str) -> Path:
    """The one table, of a subject such as "refinements", that a figure is drawn from.

    Raises:
        AdagenError: there are several.
    """
    if len(paths) > 1:
        raise AdagenError(f"{paths[1]}: one table of {subject} is drawn at a time.")
    return paths[0]
