"""The table of systems: what each costs and how good it is, beside what others published of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from adagen.config import Config, published_numbers
from adagen.paper.latex import headline_rows
from adagen.paper.names import PARADIGM_NAMES
from adagen.paper.tables import fid_table
from adagen.runtime.errors import AdagenError

COLUMNS = (
    "model",
    "experiment",
    "paradigm",
    "dataset",
    "steps",
    "method",
    "training_seeds",
    "gflops_per_image",
    "fid",
    "fid_se",
    "inception_score",
    "protocol",
    "paper_fid",
    "paper_is",
    "paper_tflops",
    "paper_source",
    "paper_meant",
)
NUMBERS = ["paper_fid", "paper_is", "paper_tflops"]
GIGA, TERA = "gflops_per_image", "tflops_per_image"
"""What an image costs; the column's name is its unit."""


def system_table(config: Config, metrics: Sequence[Path]) -> pd.DataFrame:
    """One row for each experiment and method.

    - `model` is the title of the generator.
    - `fid` and `inception_score` are means over sampling seeds and, where there are several, over
      training seeds (`training_seeds` of them; 0 where nothing is trained); `fid_se` is as in
      `adagen.paper.tables.fid_table`.
    - Cost is in GFLOPs, or in TFLOPs (column `TERA` instead of `GIGA`) where a row takes a
      thousand GFLOPs. A multiplication and an addition count as two.
    - `paper_*` hold what others published of the same system under the same method, empty (NaN, "")
      where nothing is known: numbers of `adagen.config.published`, of another protocol perhaps, and
      counted in another way. Nothing is computed from them.

    Args:
        config: names the experiments, their generators and what was published of them.
        metrics: metrics files; those of refined runs are left out.

    Returns:
        Columns as in `COLUMNS`; experiments in the order of their first file, methods in that of
        `METHODS`.

    Raises:
        AdagenError: as `fid_table`; or a file is of an experiment that the config hasn't.
    """
    table = fid_table(metrics)
    if unknown := [name for name in table["experiment"] if name not in config.experiments]:
        raise AdagenError(
            f"the metrics are of experiment {unknown[0]!r}, which the config doesn't have "
            f"({', '.join(config.experiments)}): give the config of this run."
        )
    seeds = (
        table[~table["training_seed"].isin(["", "mean"])].groupby(["experiment", "method"]).size()
    )
    rows = [
        {
            **row.to_dict(),
            "model": _title(config, row),
            "training_seeds": int(seeds.get((row["experiment"], row["method"]), 0)),
            **_published(config, row),
        }
        for _, row in headline_rows(table).iterrows()
    ]
    systems = pd.DataFrame(rows, columns=list(COLUMNS))
    systems[NUMBERS] = systems[NUMBERS].astype(float)  # None, and nothing at all, are NaN
    if systems[GIGA].max() < 1000:
        return systems
    return systems.assign(**{GIGA: systems[GIGA] / 1000}).rename(columns={GIGA: TERA})


def _title(config: Config, row: pd.Series) -> str:
    generator = config.generators[config.experiments[row["experiment"]].generator]
    return generator.title or PARADIGM_NAMES.get(row["paradigm"], row["paradigm"])


def _published(config: Config, row: pd.Series) -> dict[str, Any]:
    """The columns of a row that hold the numbers of others."""
    key = config.experiments[row["experiment"]].published
    if not key or (found := published_numbers()[key].beside(row["method"])) is None:
        return {"paper_source": "", "paper_meant": ""}
    return {
        "paper_fid": found.fid,
        "paper_is": found.inception_score,
        "paper_tflops": found.tflops,
        "paper_source": found.source,
        "paper_meant": published_numbers()[key].meant,
    }
