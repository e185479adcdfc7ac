"""LaTeX of the tables behind curves: steps, and both dials."""

import pandas as pd

from adagen.paper.latex import (
    ERRORS,
    QUALITY_HEADER,
    heading,
    line,
    method,
    number,
    paradigm,
    quality,
    tabular,
    with_error,
)

STEPS_HEADER = (
    "Method",
    "$T$",
    r"FD $\downarrow$",
    r"label-free FD $\downarrow$",
    r"IS $\uparrow$",
    r"Prec.\ $\uparrow$",
    r"Rec.\ $\uparrow$",
    "NFE",
    "GFLOPs",
    "seconds",
)


def steps_latex(table: pd.DataFrame) -> str:
    """The steps curves by experiment, a block a number of steps; its lowest distance is bold.

    Args:
        table: what `adagen.paper.steps.steps_table` returned.
    """
    lines: list[str] = []
    for experiment, curve in table.groupby("experiment", sort=False):
        lines += heading(experiment, paradigm(curve.iloc[0]), header=STEPS_HEADER)
        for _, group in curve.groupby("steps", sort=False):
            for _, row in group.iterrows():
                cells = [
                    str(row["steps"]),
                    with_error(row["fid"], row["fid_se"], bold=row["fid"] == group["fid"].min()),
                    number(row["fid_label_free"], 3),
                    with_error(row["inception_score"], row["inception_score_se"]),
                    number(row["precision"], 3),
                    number(row["recall"], 3),
                    f"{row['nfe']:g}",
                    f"{row['gflops_per_image']:.3g}",
                    f"{row['seconds_per_image']:.2g}",
                ]
                lines.append(line(method(row["method"]), *cells))
    note = (
        rf"{ERRORS} NFE, GFLOPs and seconds "
        r"are those of an image that is kept; seconds are measured while sampling."
    )
    return tabular("steps", STEPS_HEADER, lines=lines, note=note, table=table)


DIAL_HEADER = (*QUALITY_HEADER, r"preference $\uparrow$", r"reward $\uparrow$")


def fidelity_latex(table: pd.DataFrame) -> str:
    """The points of the dial by experiment; in each, the lowest distance is bold.

    Args:
        table: what `adagen.paper.dial.fidelity_table` returned.
    """
    return _dial("fidelity", r"$\lambda$", table)


def guidance_latex(table: pd.DataFrame) -> str:
    """The guidance scales by experiment; in each, the lowest distance is bold.

    Args:
        table: what `adagen.paper.dial.guidance_table` returned.
    """
    return _dial("guidance", "$w$", table)


def _dial(command: str, symbol: str, table: pd.DataFrame) -> str:
    """A line a value of the column that is called like its command."""
    header = (symbol, *DIAL_HEADER)
    lines: list[str] = []
    for experiment, group in table.groupby("experiment", sort=False):
        first = group.iloc[0]
        lines += heading(experiment, f"{paradigm(first)}, $T = {first['steps']}$", header=header)
        for _, row in group.iterrows():
            cells = [
                *quality(row, group["fid"].min()),
                number(row["preference"], 3),
                number(row["reward"], 2),
            ]
            lines.append(line(f"{row[command]:g}", *cells))
    note = (
        rf"{ERRORS} Preference: mean of the "
        r"pre-trained reward. Reward: mean score by the reward of the training."
    )
    return tabular(command, header, lines=lines, note=note, table=table)
