"""The README shows the committed table, not one from memory."""

import io
import subprocess
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = "results/tables/fid.csv"
HEADER = (
    "| experiment | method | FID | paired with hand-made | paired with tuned | label-free FID "
    "| precision | recall | NFE |"
)


def markdown(table: pd.DataFrame) -> list[str]:
    """The rows of the README's table."""

    def pair(value: float, error: float, sign: str = "") -> str:
        return "" if pd.isna(value) else f"{value:{sign}.3f} ± {error:.3f}"

    rows = [HEADER, "|---" * HEADER.count(" |") + "|"]
    for row in table.itertuples():
        cells = [
            row.experiment,
            row.method,
            pair(row.fid, row.fid_se),
            pair(row.diff_handmade, row.diff_handmade_se, "+"),
            pair(row.diff_tuned, row.diff_tuned_se, "+"),
            f"{row.fid_label_free:.3f}",
            f"{row.precision:.3f}",
            f"{row.recall:.3f}",
            str(row.nfe),
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def test_readme_shows_the_committed_table():
    # The file in the working tree may be of the reader's own run; the README speaks of git's.
    shown = subprocess.run(
        ["git", "show", f"HEAD:{TABLE}"], cwd=ROOT, capture_output=True, text=True
    )
    if shown.returncode:
        pytest.skip("not a git checkout, or no table committed yet")
    readme = (ROOT / "README.md").read_text()
    block = readme.split(f"<!-- table: {TABLE} -->\n")[1].split("<!-- end of table -->")[0]
    assert block.strip().splitlines() == markdown(pd.read_csv(io.StringIO(shown.stdout)))
