"""The plan that docs/planning.md shows is the one that the command prints today."""

import re
import subprocess
import sys

from benchmarks.cases import ROOT


def counted(text: str) -> list[list[str]]:
    """Stage, jobs, images and evaluations of every line; bytes and hours depend on torch."""
    lines = text[text.index("stage  ") :].splitlines()[1:]
    end = next(i for i, line in enumerate(lines) if line.startswith("all "))
    return [re.split(r"\s{2,}", line.strip())[:4] for line in lines[: end + 1]]


def test_the_plan_on_the_page_is_that_of_today():
    page = (ROOT / "docs" / "planning.md").read_text()
    call = "from adagen.cli.main import main; main()"
    config = str(ROOT / "config" / "imagenet256.yaml")
    printed = subprocess.run(
        [sys.executable, "-c", call, "plan", "--configfile", config],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert counted(page[page.index("```\nstage") :]) == counted(printed)
