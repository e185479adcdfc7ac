"""The tables as booktabs tabulars, from the same data frames as the CSVs."""

import math
import re
from collections.abc import Sequence

import pandas as pd

from adagen.paper.names import METHOD_NAMES, PARADIGM_NAMES

HEADER = (
    "Method",
    r"FD $\downarrow$",
    r"$\Delta$ hand-made",
    r"$\Delta$ tuned",
    r"label-free FD $\downarrow$",
    r"IS $\uparrow$",
    r"Prec.\ $\uparrow$",
    r"Rec.\ $\uparrow$",
    "NFE",
    "GFLOPs",
)
COMPARED = {
    "fid": r"$\Delta$ FD $\downarrow$",
    "fid_label_free": r"$\Delta$ label-free FD $\downarrow$",
    "precision": r"$\Delta$ Prec.\ $\uparrow$",
    "recall": r"$\Delta$ Rec.\ $\uparrow$",
}
SPATIAL = r"sFID $\downarrow$"
"""Before the IS, in tables that have it."""


def headline_rows(table: pd.DataFrame) -> pd.DataFrame:
    """One row a method: the mean over training seeds where there is one, else its only row.

    Single training seeds are left out beside their mean, so that nothing is ever picked as the
    luckiest of several seeds.
    """
    is_mean = table["training_seed"] == "mean"
    run = pd.MultiIndex.from_frame(table[["experiment", "method"]])
    return table[is_mean | ~run.isin(run[is_mean])]


def latex_table(table: pd.DataFrame) -> str:
    """The headline rows by experiment; in each, the lowest distance (before rounding) is bold.

    Args:
        table: what `adagen.paper.tables.fid_table` returned.
    """
    head, header = headline_rows(table), list(HEADER)
    if "sfid" in table:
        header.insert(header.index(r"IS $\uparrow$"), SPATIAL)
    lines: list[str] = []
    for experiment, group in head.groupby("experiment", sort=False):
        first = group.iloc[0]
        what = f"{paradigm(first)}, {escape(first['dataset'])}, $T = {first['steps']}$"
        lines += heading(experiment, what, header=header)
        lowest = group["fid"].min()
        for _, row in group.iterrows():
            same = (table["experiment"] == experiment) & (table["method"] == row["method"])
            seeds = f" ({same.sum() - 1} seeds)" if row["training_seed"] == "mean" else ""
            method = METHOD_NAMES[row["method"]] + seeds
            lines.append(line(method, *_numbers(row, bold=row["fid"] == lowest)))
    note = (
        r"$\pm$ is one standard error, over "
        r"sampling seeds or, where there are several, over training seeds. $\Delta$: paired "
        r"difference in FD, negative is better."
    )
    return tabular("table", header, lines=lines, note=note, table=table)


def comparison_latex(table: pd.DataFrame) -> str:
    """The comparisons by experiment, one row a pair of methods, with intervals.

    Args:
        table: what `adagen.paper.comparisons.comparison_table` returned.
    """
    header = ("Comparison", *COMPARED.values())
    lines: list[str] = []
    for experiment, group in table.groupby("experiment", sort=False):
        first = group.iloc[0]
        title = f"{paradigm(first)}, $T = {first['steps']}$"
        lines += heading(experiment, title, header=header)
        for _, pair in group.groupby(["method", "against"], sort=False):
            lines.append(_compared(pair))
    note = (
        r"Differences, paired by sampling "
        r"seed, with 95\,\% Student intervals over training seeds where several are named, else "
        r"over sampling seeds; in brackets the share of the other's distance. Of distances, "
        r"negative is better."
    )
    return tabular("compare", header, lines=lines, note=note, table=table)


def _compared(pair: pd.DataFrame) -> str:
    """The line of two methods; `pair` has a row a score."""
    first = pair.iloc[0]
    several = first["over"] == "training seeds"
    seeds = f" ({first['training_seeds']} seeds)" if several else ""
    name = f"{METHOD_NAMES[first['method']]} $-$ {METHOD_NAMES[first['against']]}{seeds}"
    cells = {row["score"]: _with_interval(row) for _, row in pair.iterrows()}
    return line(name, *(cells.get(score, "--") for score in COMPARED))


def _with_interval(row: pd.Series) -> str:
    """Difference, interval and share, as far as they are known."""
    text = f"{row['difference']:+.3f}"
    if not math.isnan(row["low"]):
        text += rf"\,[{row['low']:+.3f}, {row['high']:+.3f}]"
    share = "" if math.isnan(row["relative"]) else rf" (${100 * row['relative']:+.0f}\,\%$)"
    return f"${text}${share}"


ERRORS = (
    r"$\pm$ is one standard error, over "
    r"training seeds or, where there is one run, over sampling seeds."
)
ABLATION_HEADER = (
    "Variant",
    "$T$",
    r"FD $\downarrow$",
    r"$\Delta$ (95 \%)",
    r"label-free FD $\downarrow$",
    r"Prec.\ $\uparrow$",
    r"Rec.\ $\uparrow$",
)


def ablation_latex(table: pd.DataFrame) -> str:
    """The ablation by study; in each, the lowest distance (before rounding) is bold.

    Args:
        table: what `adagen.paper.ablation.ablation_table` returned.
    """
    lines: list[str] = []
    for study, group in table.groupby("study", sort=False):
        lines += heading(study, "", header=ABLATION_HEADER)
        for _, row in group.iterrows():
            cells = [
                with_error(row["fid"], row["fid_se"], bold=row["fid"] == group["fid"].min()),
                _within(row["diff"], row["diff_low"], row["diff_high"]),
                with_error(row["fid_label_free"], row["fid_label_free_se"]),
                number(row["precision"], 3),
                number(row["recall"], 3),
            ]
            lines.append(line(escape(row["variant"]), str(row["steps"]), *cells))
    note = (
        rf"{ERRORS} $\Delta$: paired "
        r"difference in FD to the first variant of the study, negative is better."
    )
    return tabular("ablation", ABLATION_HEADER, lines=lines, note=note, table=table)


QUALITY_HEADER = (
    r"FD $\downarrow$",
    r"label-free FD $\downarrow$",
    r"Prec.\ $\uparrow$",
    r"Rec.\ $\uparrow$",
)
REFINEMENT_HEADER = (
    "Method",
    "$N$",
    "$K$",
    *QUALITY_HEADER,
    "NFE",
    "GFLOPs",
    "equal compute",
)


def refinement_latex(table: pd.DataFrame) -> str:
    """The refinements by experiment; in each, the lowest distance (before rounding) is bold.

    Args:
        table: what `adagen.paper.refinement.refinement_table` returned.
    """
    lines: list[str] = []
    for experiment, group in table.groupby("experiment", sort=False):
        first = group.iloc[0]
        title = f"{paradigm(first)}, $T = {first['steps']}$"
        lines += heading(experiment, title, header=REFINEMENT_HEADER)
        for _, row in group.iterrows():
            cells = [
                str(row["n"]),
                str(row["k"]),
                *quality(row, group["fid"].min()),
                f"{row['nfe']:g}",
                f"{row['gflops_per_image']:.3g}",
                escape(row["equal_compute"]),
            ]
            lines.append(line(method(row["method"]), *cells))
    note = (
        rf"{ERRORS} NFE and GFLOPs are those "
        r"of an image that is kept, with all candidates; the last column names the experiment "
        r"whose plain rows take nearly as many evaluations."
    )
    return tabular("refinement", REFINEMENT_HEADER, lines=lines, note=note, table=table)


def method(name: str) -> str:
    """What a method is called, with its refinement if it has one."""
    method, _, refinement = name.partition("+")
    return METHOD_NAMES[method] + (f" + {escape(refinement)}" if refinement else "")


PUBLISHED = {"paper_fid": "FID", "paper_is": "IS", "paper_tflops": "TFLOPs"}


def system_latex(table: pd.DataFrame) -> str:
    """A line a system; of each experiment's, the lowest distance (before rounding) is bold.

    Published numbers have columns of their own, in tables that have any, and never a bold face.

    Args:
        table: what `adagen.paper.system.system_table` returned.
    """
    unit = next(name for name in map(str, table) if name.endswith("flops_per_image"))
    cost = unit[0].upper() + "FLOPs"
    header = ["System", "$T$", cost, r"FD $\downarrow$", r"IS $\uparrow$"]
    sources = dict.fromkeys(name for name in table["paper_source"] if name)
    columns = PUBLISHED if sources else {}
    header += [rf"\textit{{published}} {name}" for name in columns.values()]
    lines: list[str] = []
    for _, group in table.groupby("experiment", sort=False):
        lines.append(r"\midrule")
        for _, row in group.iterrows():
            cells = [
                str(row["steps"]),
                f"{row[unit]:.3g}",
                with_error(row["fid"], row["fid_se"], bold=row["fid"] == group["fid"].min()),
                number(row["inception_score"], 2),
                *("--" if math.isnan(row[name]) else f"{row[name]:g}" for name in columns),
            ]
            lines.append(line(f"{escape(row['model'])}, {METHOD_NAMES[row['method']]}", *cells))
    note = (
        r"$\pm$ is one standard error, over "
        rf"sampling seeds or, where there are several, over training seeds. {cost} are those of an "
        r"image; a multiplication and an addition count as two."
    )
    if sources:
        note += (
            r" Columns \textit{published} are the numbers of others, under their own protocol and "
            rf"count of operations: {'; '.join(map(escape, sources))}."
        )
    return tabular("system", header, lines=lines, note=note, table=table)


def heading(name: object, what: str, *, header: Sequence[str]) -> list[str]:
    """The lines above a group of rows, which has a name and, after it, what it is."""
    text = rf"\textit{{{escape(str(name))}}}" + (f": {what}" if what else "")
    return [r"\midrule", rf"\multicolumn{{{len(header)}}}{{l}}{{{text}}} \\"]


def tabular(
    command: str, header: Sequence[str], *, lines: Sequence[str], note: str, table: pd.DataFrame
) -> str:
    """What `command` of adagen sets: `lines` below a header, and a note below that."""
    protocols = "; ".join(escape(str(name)) for name in table["protocol"].unique())
    return "\n".join(
        [
            f"% Made by `adagen {command}`. Needs the booktabs package.",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            line(*header),
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\par\smallskip{{\footnotesize Protocol: {protocols}. {note}}}",
            "",
        ]
    )


def escape(text: str) -> str:
    """`text` with LaTeX's special characters made harmless."""
    text = re.sub(r"([_&%#${}])", r"\\\1", text)
    return text.replace("~", r"\textasciitilde{}").replace("^", r"\textasciicircum{}")


def paradigm(row: pd.Series) -> str:
    """The family of a row, in print."""
    return escape(PARADIGM_NAMES.get(row["paradigm"], row["paradigm"]))


def _numbers(row: pd.Series, bold: bool) -> list[str]:
    """The cells after the method's name."""
    return [
        with_error(row["fid"], row["fid_se"], bold=bold),
        with_error(row["diff_handmade"], row["diff_handmade_se"]),
        with_error(row["diff_tuned"], row["diff_tuned_se"]),
        with_error(row["fid_label_free"], row["fid_label_free_se"]),
        *([number(row["sfid"], 2)] if "sfid" in row else []),
        number(row["inception_score"], 2),
        number(row["precision"], 3),
        number(row["recall"], 3),
        f"{row['nfe']:g}",
        f"{row['gflops_per_image']:.3g}",
    ]


def with_error(value: float, error: float, *, bold: bool = False) -> str:
    """A cell of three decimals with its standard error, as far as they are known."""
    if math.isnan(value):
        return "--"
    shown = rf"\mathbf{{{value:.3f}}}" if bold else f"{value:.3f}"
    return f"${shown}$" if math.isnan(error) else rf"${shown} \pm {error:.3f}$"


def quality(row: pd.Series, best: float) -> list[str]:
    """The cells of `QUALITY_HEADER`; the distance is bold where it is the best one."""
    return [
        with_error(row["fid"], row["fid_se"], bold=row["fid"] == best),
        *(number(row[name], 3) for name in ("fid_label_free", "precision", "recall")),
    ]


def _within(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "--"
    return f"${value:+.3f}$" + ("" if math.isnan(low) else f" $[{low:+.3f}, {high:+.3f}]$")


def number(value: float, places: int) -> str:
    """A cell with so many decimals."""
    return "--" if math.isnan(value) else f"{value:.{places}f}"


def line(*cells: str) -> str:
    """One line of a table."""
    return " & ".join(cells) + r" \\"
