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
        title = _experiment(str(experiment), group.iloc[0])
        lines += [r"\midrule", rf"\multicolumn{{{len(header)}}}{{l}}{{{title}}} \\"]
        lowest = group["fid"].min()
        for _, row in group.iterrows():
            same = (table["experiment"] == experiment) & (table["method"] == row["method"])
            seeds = f" ({same.sum() - 1} seeds)" if row["training_seed"] == "mean" else ""
            method = METHOD_NAMES[row["method"]] + seeds
            lines.append(_line(method, *_numbers(row, bold=row["fid"] == lowest)))
    note = (
        r"$\pm$ is one standard error, over "
        r"sampling seeds or, where there are several, over training seeds. $\Delta$: paired "
        r"difference in FD, negative is better."
    )
    return _tabular("table", header, lines, note, table)


def comparison_latex(table: pd.DataFrame) -> str:
    """The comparisons by experiment, one row a pair of methods, with intervals.

    Args:
        table: what `adagen.paper.comparisons.comparison_table` returned.
    """
    header = ("Comparison", *COMPARED.values())
    lines: list[str] = []
    for experiment, group in table.groupby("experiment", sort=False):
        first = group.iloc[0]
        title = f"{_paradigm(first)}, $T = {first['steps']}$"
        span = rf"\multicolumn{{{len(header)}}}{{l}}"
        lines += [r"\midrule", rf"{span}{{\textit{{{escape(str(experiment))}}}: {title}}} \\"]
        for _, pair in group.groupby(["method", "against"], sort=False):
            lines.append(_compared(pair))
    note = (
        r"Differences, paired by sampling "
        r"seed, with 95\,\% Student intervals over training seeds where several are named, else "
        r"over sampling seeds; in brackets the share of the other's distance. Of distances, "
        r"negative is better."
    )
    return _tabular("compare", header, lines, note, table)


def _compared(pair: pd.DataFrame) -> str:
    """The line of two methods; `pair` has a row a score."""
    first = pair.iloc[0]
    several = first["over"] == "training seeds"
    seeds = f" ({first['training_seeds']} seeds)" if several else ""
    name = f"{METHOD_NAMES[first['method']]} $-$ {METHOD_NAMES[first['against']]}{seeds}"
    cells = {row["score"]: _with_interval(row) for _, row in pair.iterrows()}
    return _line(name, *(cells.get(score, "--") for score in COMPARED))


def _with_interval(row: pd.Series) -> str:
    """Difference, interval and share, as far as they are known."""
    text = f"{row['difference']:+.3f}"
    if not math.isnan(row["low"]):
        text += rf"\,[{row['low']:+.3f}, {row['high']:+.3f}]"
    share = "" if math.isnan(row["relative"]) else rf" (${100 * row['relative']:+.0f}\,\%$)"
    return f"${text}${share}"


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
        title = escape(str(study))
        lines += [
            r"\midrule",
            rf"\multicolumn{{{len(ABLATION_HEADER)}}}{{l}}{{\textit{{{title}}}}} \\",
        ]
        for _, row in group.iterrows():
            cells = [
                _with_error(row["fid"], row["fid_se"], row["fid"] == group["fid"].min()),
                _within(row["diff"], row["diff_low"], row["diff_high"]),
                _with_error(row["fid_label_free"], row["fid_label_free_se"]),
                _number(row["precision"], 3),
                _number(row["recall"], 3),
            ]
            lines.append(_line(escape(row["variant"]), str(row["steps"]), *cells))
    note = (
        r"$\pm$ is one standard error, over "
        r"training seeds or, where there is one run, over sampling seeds. $\Delta$: paired "
        r"difference in FD to the first variant of the study, negative is better."
    )
    return _tabular("ablation", ABLATION_HEADER, lines, note, table)


REFINEMENT_HEADER = (
    "Method",
    "$N$",
    "$K$",
    r"FD $\downarrow$",
    r"label-free FD $\downarrow$",
    r"Prec.\ $\uparrow$",
    r"Rec.\ $\uparrow$",
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
        title = f"{PARADIGM_NAMES[first['paradigm']]}, $T = {first['steps']}$"
        span = rf"\multicolumn{{{len(REFINEMENT_HEADER)}}}{{l}}"
        lines += [r"\midrule", rf"{span}{{\textit{{{escape(str(experiment))}}}: {title}}} \\"]
        for _, row in group.iterrows():
            method, _, refinement = row["method"].partition("+")
            cells = [
                str(row["n"]),
                str(row["k"]),
                _with_error(row["fid"], row["fid_se"], row["fid"] == group["fid"].min()),
                _number(row["fid_label_free"], 3),
                _number(row["precision"], 3),
                _number(row["recall"], 3),
                f"{row['nfe']:g}",
                f"{row['gflops_per_image']:.3g}",
                escape(row["equal_compute"]),
            ]
            name = METHOD_NAMES[method] + (f" + {escape(refinement)}" if refinement else "")
            lines.append(_line(name, *cells))
    note = (
        r"$\pm$ is one standard error, over "
        r"training seeds or, where there is one run, over sampling seeds. NFE and GFLOPs are those "
        r"of an image that is kept, with all candidates; the last column names the experiment "
        r"whose plain rows take nearly as many evaluations."
    )
    return _tabular("refinement", REFINEMENT_HEADER, lines, note, table)


DIAL_HEADER = (
    r"FD $\downarrow$",
    r"label-free FD $\downarrow$",
    r"Prec.\ $\uparrow$",
    r"Rec.\ $\uparrow$",
    r"preference $\uparrow$",
    r"reward $\uparrow$",
)


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
        title = f"{_paradigm(first)}, $T = {first['steps']}$"
        span = rf"\multicolumn{{{len(header)}}}{{l}}"
        lines += [r"\midrule", rf"{span}{{\textit{{{escape(str(experiment))}}}: {title}}} \\"]
        for _, row in group.iterrows():
            cells = [
                _with_error(row["fid"], row["fid_se"], row["fid"] == group["fid"].min()),
                _number(row["fid_label_free"], 3),
                _number(row["precision"], 3),
                _number(row["recall"], 3),
                _number(row["preference"], 3),
                _number(row["reward"], 2),
            ]
            lines.append(_line(f"{row[command]:g}", *cells))
    note = (
        r"$\pm$ is one standard error, over "
        r"training seeds or, where there is one run, over sampling seeds. Preference: mean of the "
        r"pre-trained reward. Reward: mean score by the reward of the training."
    )
    return _tabular(command, header, lines, note, table)


def _tabular(
    command: str, header: Sequence[str], lines: Sequence[str], note: str, table: pd.DataFrame
) -> str:
    """What `command` of adagen sets: `lines` below a header, and a note below that."""
    protocols = "; ".join(escape(str(name)) for name in table["protocol"].unique())
    return "\n".join(
        [
            f"% Made by `adagen {command}`. Needs the booktabs package.",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            _line(*header),
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


def _experiment(name: str, row: pd.Series) -> str:
    dataset = escape(row["dataset"])
    return rf"\textit{{{escape(name)}}}: {_paradigm(row)}, {dataset}, $T = {row['steps']}$"


def _paradigm(row: pd.Series) -> str:
    return escape(PARADIGM_NAMES.get(row["paradigm"], row["paradigm"]))


def _numbers(row: pd.Series, bold: bool) -> list[str]:
    """The cells after the method's name."""
    return [
        _with_error(row["fid"], row["fid_se"], bold),
        _with_error(row["diff_handmade"], row["diff_handmade_se"]),
        _with_error(row["diff_tuned"], row["diff_tuned_se"]),
        _with_error(row["fid_label_free"], row["fid_label_free_se"]),
        *([_number(row["sfid"], 2)] if "sfid" in row else []),
        _number(row["inception_score"], 2),
        _number(row["precision"], 3),
        _number(row["recall"], 3),
        f"{row['nfe']:g}",
        f"{row['gflops_per_image']:.3g}",
    ]


def _with_error(value: float, error: float, bold: bool = False) -> str:
    if math.isnan(value):
        return "--"
    number = rf"\mathbf{{{value:.3f}}}" if bold else f"{value:.3f}"
    return f"${number}$" if math.isnan(error) else rf"${number} \pm {error:.3f}$"


def _within(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "--"
    return f"${value:+.3f}$" + ("" if math.isnan(low) else f" $[{low:+.3f}, {high:+.3f}]$")


def _number(value: float, places: int) -> str:
    return "--" if math.isnan(value) else f"{value:.{places}f}"


def _line(*cells: str) -> str:
    return " & ".join(cells) + r" \\"
