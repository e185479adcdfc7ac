"""Tables as data frames and CSV files, by their columns."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from adagen.config import Config
from adagen.paper.catalogue import TableSpec, load
from adagen.paper.columns import Column, names
from adagen.paper.csv_files import read_csv
from adagen.paper.latex import latex_table
from adagen.runtime.atomic import atomic_path
from adagen.runtime.errors import AdagenError


def build_table(
    spec: TableSpec, metrics: Sequence[Path], *, config: Config, judged: Sequence[Path] = ()
) -> pd.DataFrame:
    """Gather metrics in a table of the catalogue.

    Args:
        spec: which table.
        metrics: metrics files.
        config: the configuration whose table it is.
        judged: files of `adagen judge`, for tables of a dial.

    Raises:
        AdagenError: the files are not what this table is made from.
    """
    known = {
        "config": config,
        "budgets": config.budgets,
        "cells": config.cells,
        "rivals": config.rival_cells,
        "judged": judged,
    }
    table: pd.DataFrame = load(spec.builder)(metrics, **{name: known[name] for name in spec.takes})
    return table


def frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> pd.DataFrame:
    """Rows as a table with these columns, less optional ones that no row has a value of."""
    table = pd.DataFrame(list(rows), columns=[column.name for column in columns])
    empty = [column.name for column in columns if column.optional]
    return table.drop(columns=[name for name in empty if table[name].isna().all()])


def write_table(spec: TableSpec, table: pd.DataFrame, *, csv: Path, latex: Path) -> None:
    """Write a table as CSV, with every row, and as LaTeX.

    Numbers are rounded by fixed rules, so the same numbers give the same bytes.
    """
    text = table.copy()
    for column in spec.columns:
        if column.name in table and (column.decimals or column.digits):
            text[column.name] = [_rounded(value, column) for value in table[column.name]]
    with atomic_path(csv) as temporary:
        text.to_csv(temporary, index=False, lineterminator="\n")
    with atomic_path(latex) as temporary:
        temporary.write_text(latex_table(spec, table), encoding="utf-8")


def _rounded(value: float, column: Column) -> str:
    if math.isnan(value):
        return ""
    if column.digits:
        return f"{float(f'{value:.{column.digits}g}'):.12g}"
    assert column.decimals
    # Adding 0.0 turns -0.0 into 0.0: a rounded difference has no sign of its own.
    return f"{round(value, column.decimals) + 0.0:.{column.decimals}f}"


def read_table(path: Path, *specs: TableSpec, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read the CSV file of a table.

    Args:
        path: the file.
        specs: the tables that it may be.
        text: columns that are text even where they look like a number, or are empty.

    Raises:
        AdagenError: the file is missing, or is none of these tables, or a number in it is none.
    """
    commands = " or ".join(f"`adagen table {spec.name}`" for spec in specs)
    numbers = {column.name for spec in specs for column in spec.columns if column.is_number}
    try:
        table = read_csv(path, numbers=numbers - {*text}, text=text)
    except FileNotFoundError:
        raise AdagenError(f"{path} does not exist. Run {commands} first.") from None
    if table.empty or list(table.columns) not in [names(spec.columns) for spec in specs]:
        raise AdagenError(
            f"{path} is not a table of {commands}: its columns are other ones. Give the CSV file "
            "that this command wrote."
        )
    return table.fillna(dict.fromkeys(text, ""))
