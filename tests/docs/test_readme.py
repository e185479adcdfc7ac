"""The README shows the kept table, not one from memory, and stays short."""

from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
TABLE = "docs/results/digits/tables/fid.csv"
README = (ROOT / "README.md").read_text()
NAMES = {"maskgit": "MaskGIT", "var": "VAR", "dit": "DiT", "sit": "SiT"}
HEADER = "| | hand-made | tuned | static | AdaGen | AdaGen - hand-made | AdaGen - tuned |"


def markdown(table: pd.DataFrame) -> list[str]:
    """The README's table: a row for each generator, distances of its methods, two differences."""
    rows = [HEADER, "|---" * (HEADER.count("|") - 1) + "|"]
    for paradigm, of_generator in table.groupby("paradigm", sort=False):
        methods = of_generator.set_index("method")
        adagen = methods.loc["adagen"]
        cells = [
            NAMES[str(paradigm)],
            *(
                f"{methods.loc[method, 'fid']:.3f} ± {methods.loc[method, 'fid_se']:.3f}"
                for method in ("handmade", "tuned", "static", "adagen")
            ),
            f"{adagen.diff_handmade:+.3f} ± {adagen.diff_handmade_se:.3f}",
            f"{adagen.diff_tuned:+.3f} ± {adagen.diff_tuned_se:.3f}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def test_readme_shows_the_kept_table():
    block = README.split(f"<!-- table: {TABLE} -->\n")[1].split("<!-- end of table -->")[0]
    shown = block.strip().splitlines()
    assert shown == markdown(pd.read_csv(ROOT / TABLE))
    assert len(shown) - 2 <= 8


def test_readme_is_short():
    assert len(README.splitlines()) < 120
