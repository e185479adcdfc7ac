"""The table of alignment with prompts in LaTeX."""

import pandas as pd

from adagen.paper.alignment import write_alignment

COLUMNS = ("experiment", "method", "training_seed", "captions", "images")
ROWS = [
    ("real images", "", None, "seen", 1000, 0.991, None, 0.9915, None),
    ("words_t4", "handmade", None, "seen", 240, 0.85, 0.0123, 0.9, 0.0),
    ("words_t4", "adagen", 1, "unseen", 2400, 0.5, 0.0833, 0.65, 0.0875),
]


def test_runs_of_an_experiment_stand_below_its_name(tmp_path):
    table = pd.DataFrame(ROWS, columns=[*COLUMNS, "right", "right_error", "names", "names_error"])
    csv, latex = tmp_path / "alignment.csv", tmp_path / "alignment.tex"
    write_alignment(table, csv=csv, latex=latex)
    assert csv.read_text().splitlines()[2] == (
        "words_t4,handmade,,seen,240,0.8500,0.0123,0.9000,0.0000"
    )
    lines = latex.read_text().splitlines()
    assert lines[0] == "% Made by `adagen align`. Needs the booktabs package."
    assert lines[3:-3] == [
        r" & prompts & images & right [\%] & names [\%] \\",
        r"\midrule",
        r"\multicolumn{5}{l}{\textit{real images}} \\",
        r"real & seen & 1,000 & $99.1$ & $99.2$ \\",
        r"\midrule",
        r"\multicolumn{5}{l}{\textit{words\_t4}} \\",
        r"hand-made & seen & 240 & $85.0 \pm 1.2$ & $90.0 \pm 0.0$ \\",
        r"AdaGen, seed 1 & unseen & 2,400 & $50.0 \pm 8.3$ & $65.0 \pm 8.8$ \\",
    ]
