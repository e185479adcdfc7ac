"""The table of alignment with prompts, as it stands in a paper."""

from pathlib import Path

import pandas as pd

from adagen.config.runs import Run
from adagen.paper.latex import heading, line, tabular
from adagen.paper.names import escape, run_in_print
from adagen.runtime.atomic import atomic_path

HEADER = ("", "prompts", "images", r"right [\%]", r"names [\%]")
NOTE = (
    r"Share of images that show what their prompt says: in all respects (right), and with the "
    r"right glyphs in any colours and places (names). Unseen prompts are combinations that no "
    r"training caption has. $\pm$ is one standard error over sampling seeds."
)


def write_alignment(table: pd.DataFrame, *, csv: Path, latex: Path) -> None:
    """Write the rows of `adagen.evaluation.aligned.aligned_rows` as CSV and as LaTeX."""
    with atomic_path(csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f", lineterminator="\n")
    with atomic_path(latex) as temporary:
        temporary.write_text(alignment_latex(table), encoding="utf-8")


def alignment_latex(table: pd.DataFrame) -> str:
    """The table in LaTeX, with the runs of an experiment below its name."""
    lines: list[str] = []
    for name, rows in table.groupby("experiment", sort=False):
        lines.append(r"\midrule")
        lines.append(heading(str(name), rows.iloc[0], says=(), over=len(HEADER)))
        for _, row in rows.iterrows():
            shares = (_percent(row[key], row[f"{key}_error"]) for key in ("right", "names"))
            lines.append(line(_label(row), str(row["captions"]), f"{row['images']:,}", *shares))
    return tabular("adagen align", HEADER, lines=lines, note=NOTE)


def _label(row: pd.Series) -> str:
    """The method of a row; real images have none."""
    if not row["method"]:
        return "real"
    seed = None if pd.isna(row["training_seed"]) else int(row["training_seed"])
    return escape(run_in_print(Run(row["experiment"], row["method"], seed)))


def _percent(share: float, error: float | None) -> str:
    """A share of images in percent, with its standard error where that is known."""
    if pd.isna(error):
        return f"${100 * share:.1f}$"
    return rf"${100 * share:.1f} \pm {100 * error:.1f}$"
