"""The page of all tables and figures."""

import re
from pathlib import Path

import pytest

from adagen.paper.page import write_page
from adagen.runtime.errors import AdagenError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def captions(tmp_path):
    folder = tmp_path / "captions"
    folder.mkdir()
    (folder / "fid.rst").write_text("Dots of ``fid``.\n")
    (folder / "fid_table.rst").write_text("Rows.\n")
    (folder / "comparisons.rst").write_text("Differences.\n")
    return folder


def page(tmp_path, monkeypatch, captions, files, options=""):
    monkeypatch.chdir(tmp_path)
    for file in map(Path, files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    write_page(
        "toy",
        [Path(file) for file in files],
        captions=captions,
        options=options,
        out=Path("results/paper.md"),
    )
    return (tmp_path / "results" / "paper.md").read_text()


def test_each_has_caption_links_and_the_command_that_makes_it(tmp_path, monkeypatch, captions):
    files = ["results/tables/fid.csv", "results/tables/fid.tex", "results/figures/fid.pdf"]
    text = page(
        tmp_path, monkeypatch, captions, [*files, "results/figures/fid.png"], "--config a=1"
    )
    assert text.split("## ")[1] == (
        "fid\n\n[csv](tables/fid.csv), [tex](tables/fid.tex)\n\nRows.\n\n"
        "    snakemake --cores all results/tables/fid.csv --config a=1\n\n"
        "![fid](figures/fid.png)\n\n[pdf](figures/fid.pdf), [png](figures/fid.png)\n\n"
        "Dots of `fid`.\n\n"
        "    snakemake --cores all results/figures/fid.pdf --config a=1\n"
    )


def test_a_shared_caption_stands_once_and_links_resolve(tmp_path, monkeypatch, captions):
    files = [
        "results/tables/comparisons.csv",
        "results/figures/comparisons.png",
        "results/one/figures/fid.png",
    ]
    text = page(tmp_path, monkeypatch, captions, files)
    assert text.count("Differences.") == 1
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["comparisons", "one: fid"]
    links = re.findall(r"\]\((.+?)\)", text)
    assert len(links) == 5 and all((tmp_path / "results" / link).exists() for link in links)


def test_what_cannot_be_shown(tmp_path, monkeypatch, captions):
    with pytest.raises(AdagenError, match=r"other.png has no caption: write .*other.rst"):
        page(tmp_path, monkeypatch, captions, ["results/figures/other.png"])
    with pytest.raises(AdagenError, match="neither in a folder 'tables'"):
        page(tmp_path, monkeypatch, captions, ["results/one/metrics/handmade.json"])
    assert not (tmp_path / "results" / "paper.md").exists()
