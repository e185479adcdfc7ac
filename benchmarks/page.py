"""The tables of docs/performance.md, from the newest figures that are kept.

python -m benchmarks.page
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.cases import ROOT
from benchmarks.figures import FAMILIES, Figure, number, read_figures

PAGE = ROOT / "docs" / "performance.md"
KEPT = ROOT / "docs" / "results" / "performance"
"""Figures of real runs, each in a folder `<date>-<processor>`."""
BEGIN, END = "<!-- figures: python -m benchmarks.page -->\n", "<!-- end of figures -->\n"
TITLES = {
    "sampling": "Sampling",
    "steps": "Steps",
    "training": "Training",
    "evaluation": "Measuring",
    "scaling": "Growth",
    "dag": "The default run",
}
"""Headings, by benchmark, in the order of the page."""


def main() -> None:
    """Put the newest tables in the page."""
    PAGE.write_text(with_tables(PAGE.read_text()))


def with_tables(page: str) -> str:
    """The text of the page with the newest tables between its two marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{tables(newest())}\n{END}{rest.split(END)[1]}"


def newest() -> Path:
    """The folder of the newest figures of a processor."""
    return max(path.parent for path in KEPT.glob("*/figures.csv"))


def tables(folder: Path) -> str:
    """All tables of a folder, with a sentence on where they were measured."""
    about = json.loads((folder / "manifest.json").read_text())
    figures = read_figures(folder / "figures.csv")
    commits = ", ".join(sorted({commit[:7] for commit in about["commits"].values()}))
    parts = [
        f"{about['date']}, {about['processor']}, one thread, torch {about['versions']['torch']}, "
        f"commit {commits}. Each number is the median of its rounds; in brackets stand the "
        "quartiles, where there was more than one round: three or more, or two of what takes long."
    ]
    for benchmark, title in TITLES.items():
        if found := [figure for figure in figures if figure.benchmark == benchmark]:
            parts.append(f"### {title}\n\n" + "\n".join(table(found)))
    if (folder / "scaling.png").exists():
        plot = (folder / "scaling.png").relative_to(PAGE.parent)
        parts.append(f"![Time and memory over batch, steps, samples, and more]({plot})")
    return "\n\n".join(parts) + "\n"


def table(figures: Sequence[Figure]) -> Iterator[str]:
    """A table in Markdown: a row for each name and case, a column for each family."""
    families = [name for name in FAMILIES if any(f.family == name for f in figures)] or [""]
    aims = any(figure.aim for figure in figures)
    names = [FAMILIES.get(family, "value") for family in families]
    header = ["figure", "at", *names, *(["aim"] if aims else [])]
    yield row(header)
    yield "|---" * len(header) + "|"
    for name, case in dict.fromkeys((f.name, f.case) for f in figures):
        same = {f.family: f for f in figures if (f.name, f.case) == (name, case)}
        cells = [cell(same[family]) if family in same else "" for family in families]
        yield row([name, case, *cells, *([aim(same)] if aims else [])])


def row(cells: Iterable[str]) -> str:
    """A row of a table."""
    return "| " + " | ".join(cells) + " |"


def cell(figure: Figure) -> str:
    """Value and quartiles."""
    if figure.repeats == 1:
        return number(figure.value)
    return f"{number(figure.value)} [{number(figure.low)}, {number(figure.high)}]"


def aim(figures: dict[str, Figure]) -> str:
    """The aim of a row; where families differ, the most common one, then the others' own."""
    aims = {
        family: figure.aim.replace("<=", "≤").replace(">=", "≥")
        for family, figure in figures.items()
    }
    common = max(aims.values(), key=list(aims.values()).count)
    others = [f"{FAMILIES[family]} {text}" for family, text in aims.items() if text != common]
    return ", ".join(filter(None, [common, *others]))


if __name__ == "__main__":
    main()
