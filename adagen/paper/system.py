"""The table of systems: cost and quality of each, beside the numbers that others published."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from adagen.config import Config, published_numbers
from adagen.paper.catalogue import OVER_SAMPLINGS, Layout
from adagen.paper.columns import SYSTEM_COLUMNS
from adagen.paper.fid import fid_table, headline_rows
from adagen.paper.latex import grouped
from adagen.paper.names import PARADIGM_NAMES, escape
from adagen.paper.tables import frame

NUMBERS = ["paper_fid", "paper_is", "paper_tflops"]
GIGA, TERA = "gflops_per_image", "tflops_per_image"
"""Columns of the cost of an image; a column's name is its unit."""


def system_table(metrics: Sequence[Path], config: Config) -> pd.DataFrame:
    """One row for each experiment and method.

    - `model` is the title of the generator.
    - `fid` and `inception_score` are means over sampling seeds and, where there are several, over
      training seeds (`training_seeds` of them; 0 where nothing is trained); `fid_se` is as in
      `adagen.paper.fid.fid_table`.
    - Cost is in GFLOPs, or in TFLOPs (column `TERA` instead of `GIGA`) where a row takes a
      thousand GFLOPs. A multiplication and an addition count as two.
    - `paper_*` hold the numbers that others published of the same system under the same method
      (`adagen.config.published`), perhaps by another protocol and with another count of operations;
      empty (NaN, "") where there are none. Nothing is computed from them.

    Args:
        metrics: metrics files; those of refined runs are left out.
        config: names the experiments, their generators and what was published of them.

    Returns:
        Columns as in `SYSTEM_COLUMNS`; experiments in the order of their first file, methods in
        the order of `METHODS`.

    Raises:
        AdagenError: as `fid_table`.
    """
    table = fid_table(metrics)
    rows = [
        {
            **row.to_dict(),
            "model": _title(config, row),
            "training_seeds": row["seeds"] or int(row["training_seed"] != ""),
            **_published(config, row),
        }
        for _, row in headline_rows(table).iterrows()
    ]
    systems = frame(rows, SYSTEM_COLUMNS)
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


def system_latex(table: pd.DataFrame) -> str:
    """A line a system; of each experiment's, the lowest distance (before rounding) is bold.

    Published numbers have columns of their own, in tables that have any, and are never bold.

    Args:
        table: what `system_table` returned.
    """
    unit = "TFLOPs" if TERA in table else "GFLOPs"
    note = (
        rf"{OVER_SAMPLINGS} {unit} are those of an image; a multiplication and an addition count "
        "as two."
    )
    sources = [source for source in table["paper_source"].unique() if source]
    if sources:
        note += (
            r" Columns \textit{published} are the numbers of others, under their own protocol and "
            rf"count of operations: {'; '.join(map(escape, sources))}."
        )
    else:
        table = table.drop(columns=NUMBERS)
    layout = Layout(heading=None, note=note)
    return grouped("system", SYSTEM_COLUMNS, layout=layout, table=table)
