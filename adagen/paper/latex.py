"""The tables as booktabs tabulars, from the same data frames as the CSV files."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from adagen.paper.catalogue import Layout, TableSpec, load
from adagen.paper.columns import Column
from adagen.paper.names import PARADIGM_NAMES, escape


def latex_table(spec: TableSpec, table: pd.DataFrame) -> str:
    """A table in LaTeX.

    Args:
        spec: which table it is.
        table: its data frame, before rounding.
    """
    if isinstance(spec.layout, str):
        return str(load(spec.layout)(table))
    return grouped(spec.name, spec.columns, layout=spec.layout, table=table)


def grouped(name: str, columns: Sequence[Column], *, layout: Layout, table: pd.DataFrame) -> str:
    """Rows in groups; in each, the lowest distance (before rounding) is bold.

    Args:
        name: name of the table.
        columns: its columns; those that have a heading and are in `table` are shown.
        layout: how rows are grouped, and what stands above a group.
        table: all rows.
    """
    rows = load(layout.rows)(table) if layout.rows else table
    shown = sorted(
        (column for column in columns if column.latex and column.name in table),
        key=lambda column: column.text is None,
    )
    lowest = rows.groupby([*layout.best_of] or layout.group)["fid"].transform("min")
    rows = rows.assign(is_best=rows["fid"] == lowest)
    lines: list[str] = []
    for group, members in rows.groupby(layout.group, sort=False):
        lines.append(r"\midrule")
        if layout.heading is not None:
            lines.append(heading(str(group), members.iloc[0], says=layout.heading, over=len(shown)))
        for _, row in members.iterrows():
            lines.append(line(*(_cell(row, column) for column in shown)))
    header = [column.latex for column in shown]
    note = f"{protocols_of(table)} {layout.note}"
    return tabular(f"adagen table {name}", header, lines=lines, note=note)


def heading(name: str, row: pd.Series, *, says: Sequence[str], over: int) -> str:
    """The line above a group of rows.

    Args:
        name: name of the group.
        row: any row of it.
        says: columns whose values, which all of its rows share, say what the group is.
        over: columns that the line goes over.
    """
    written: dict[str, Callable[[Any], str]] = {
        "paradigm": lambda name: escape(PARADIGM_NAMES.get(name, name)),
        "dataset": escape,
        "steps": lambda count: f"$T = {count}$",
    }
    title = ", ".join(written[column](row[column]) for column in says)
    text = rf"\textit{{{escape(name)}}}" + (f": {title}" if title else "")
    return rf"\multicolumn{{{over}}}{{l}}{{{text}}} \\"


def _cell(row: pd.Series, column: Column) -> str:
    """One value, with its standard error or interval where the table has one."""
    value: Any = row[column.name]
    if column.text:
        return column.text(row)
    if not column.spec:
        return escape(str(value))
    if math.isnan(value):
        return "--"
    if f"{column.name}_se" in row:
        bold = column.name == "fid" and row["is_best"]
        return _with_error(value, row[f"{column.name}_se"], bold=bold)
    if f"{column.name}_low" in row:
        low, high = row[f"{column.name}_low"], row[f"{column.name}_high"]
        interval = "" if math.isnan(low) else f" $[{low:+.3f}, {high:+.3f}]$"
        return f"${value:{column.spec}}${interval}"
    return f"{value:{column.spec}}"


def _with_error(value: float, error: float, *, bold: bool) -> str:
    """A number of three decimals with its standard error, where that is known."""
    shown = rf"\mathbf{{{value:.3f}}}" if bold else f"{value:.3f}"
    return f"${shown}$" if math.isnan(error) else rf"${shown} \pm {error:.3f}$"


def protocols_of(table: pd.DataFrame) -> str:
    """The part of a table's note that names its protocols."""
    return f"Protocol: {'; '.join(escape(str(name)) for name in table['protocol'].unique())}."


def tabular(command: str, header: Sequence[str], *, lines: Sequence[str], note: str) -> str:
    """A tabular of lines below a header, a note below that, and the command that makes it."""
    return "\n".join(
        [
            f"% Made by `{command}`. Needs the booktabs package.",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            line(*header),
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\par\smallskip{{\footnotesize {note}}}",
            "",
        ]
    )


def line(*cells: str) -> str:
    """One line of a tabular."""
    return " & ".join(cells) + r" \\"
