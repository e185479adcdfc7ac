"""Generators of captions, from the text encoder to a figure of prompts, as a user calls them."""

from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from adagen.cli.sample import prompted
from adagen.cli.sample_run import SampleRun
from adagen.config.overlay import overlay
from adagen.data.samples import Samples
from adagen.evaluation import aligned, alignment
from adagen.runtime.errors import AdagenError

FIT = {"updates": 2, "batch": 8}
CONFIG = {
    "name": "text",
    "results": "results",
    "resources": "resources",
    "dataset": {"name": "openmoji_things", "size": 16, "heldout": 200},
    "generators": {
        "sit": {
            "paradigm": "sit",
            "text": {"positions": 6, "width": 16, "fit": FIT},
            "network": {"width": 16, "depth": 2, "heads": 2},
            "patch": 4,
            "pretrain": FIT,
        }
    },
    "experiments": {"words_t2": {"generator": "sit", "steps": 2}},
    "evaluation": {
        "samples": 300,
        "seeds": [0, 1],
        "alignment": {"prompts": "prompts.txt", "images": 2, "fit": FIT},
    },
}
TEXT = "--encoder text.safetensors"
REPORT = Path(__file__).parents[2] / "workflow" / "report"
SAMPLE = "sample --experiment words_t2 --method handmade --generator words.safetensors"


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"\xef\xbb\xbfa fox\r\n\r\n a red tulip \r\n\n", ("a fox", "a red tulip")),
        ("caf\u00e9\u2028\u202eabc".encode(), ("caf\u00e9\u2028\u202eabc",)),
        (b" \n\n", "has no prompts: write one on each line"),
        (b"", "has no prompts"),
        (bytes(range(256)), "cannot be read as text"),
    ],
)
def test_files_of_prompts(tmp_path, content, texts):
    path = tmp_path / "prompts.txt"
    path.write_bytes(content)
    run = SampleRun("words_t2", None, "handmade", Prompted())
    if isinstance(texts, tuple):
        assert prompted(run, str(path), each=2).prompts == texts
    else:
        with pytest.raises(AdagenError, match=texts):
            prompted(run, str(path), each=1)


def test_texts_that_are_no_files_are_prompts(tmp_path):
    run = SampleRun("words_t2", None, "handmade", Prompted())
    for text in ("", "a fox", "a\nfox", "x" * 300, "x" * 5000, "a/b", "what?", str(tmp_path)):
        assert prompted(run, text, each=1).prompts == (text,)
    with pytest.raises(AdagenError, match=r"missing\.txt does not exist"):
        prompted(run, "missing.txt", each=1)


class Prompted:
    """A sampler of anything."""

    def prompted(self, texts):
        return self


@pytest.fixture
def words(console, monkeypatch):
    """A console with a generator of captions, which has learnt next to nothing."""
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG))
    Path("prompts.txt").write_text("a fox\na red tulip\n")
    monkeypatch.setattr(aligned, "REAL", 20)
    monkeypatch.setattr(alignment, "SCENES", 50)
    monkeypatch.setattr(alignment, "CHECKED", 20)
    console(f"embed sit {TEXT} --out embeddings --checkpoint state")
    console(f"pretrain sit {TEXT} --embeddings embeddings --out words.safetensors")
    return console


@contextmanager
def changed(**evaluation):
    """The configuration with other keys of its evaluation, in the block."""
    changes = {"evaluation": evaluation}
    Path("config.yaml").write_text(yaml.safe_dump(overlay(CONFIG, changes)))
    yield
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG))


@pytest.mark.slow
def test_from_captions_to_a_figure_of_prompts(words):
    words(f"{SAMPLE} --prompts prompts.txt --each 2 --out prompts")
    samples = Samples.open(Path("prompts"))
    assert samples.labels.tolist() == [0, 1, 0, 1] and samples.image_shape == (3, 16, 16)
    words("pretrain alignment --out alignment.safetensors")
    shown = "tables/alignment.csv", "tables/alignment.tex", "figures/prompts.pdf"
    options = zip(("--out", "--latex", "--figure"), shown, strict=True)
    files = " ".join(["--png figures/prompts.png", *map(" ".join, options)])
    words(f"align --network alignment.safetensors {files} prompts")
    table = pd.read_csv("tables/alignment.csv")
    assert table["captions"].tolist() == ["seen", "seen", "unseen"]
    assert table["images"].tolist() == [20, 4, 4] and table["right"].between(0, 1).all()
    assert Path("figures/prompts.png").stat().st_size > 1000
    words(f"paper {' '.join(shown)} figures/prompts.png --captions {REPORT} --out paper.md")
    page = Path("paper.md").read_text()
    assert "## alignment\n" in page and "![prompts](figures/prompts.png)" in page

    assert Path("tables/alignment.settings.json").exists()
    for change, told in (
        ({"images": 3}, "holds samples of other prompts, or another number of each"),
        ({"fit": {"updates": 3, "batch": 8}}, "settings.updates is 2 there and 3 here"),
    ):
        with changed(alignment=change):
            message = words.mistake(f"align --network alignment.safetensors {files} prompts")
            assert told in message
    with changed(seeds=[0]):
        message = words.mistake(f"align --network alignment.safetensors {files} prompts")
        assert "prompts was made with seeds: [0, 1], but the configuration" in message
        assert "--forcerun prompts" in message

    words(f"{SAMPLE} --prompts= --each 3 --out null")  # no condition, not the captions
    assert Samples.open(Path("null")).labels.tolist() == [0, 0, 0]

    words(f"{SAMPLE} --prompts prompts.txt --out single")
    again = Samples.open(Path("single"))
    assert torch.allclose(again.images(0, [0]), samples.images(0, [0]), atol=1e-5)
    # Samples of prompts are no samples of the run: nothing measures them in its place.
    message = words.mistake(
        "align --network alignment.safetensors --out o.csv --latex o.tex words.safetensors"
        " --figure o.pdf --png o.png"
    )
    assert "words.safetensors" in message


def test_what_is_missing_or_unknown_is_said(words):
    message = words.mistake("pretrain sit --out other.safetensors")
    assert "is of captions: give --encoder and --embeddings" in message
    assert "has words that the text encoder was never shown: 'zebra'" in words.mistake(
        f"{SAMPLE} --prompts zebra --out other"
    )
    assert "--each is of prompts, but there are none" in words.mistake(
        f"{SAMPLE} --each 2 --out other"
    )
    assert "no generator 'other' with a section `text`" in words.mistake(
        f"embed other {TEXT} --out more"
    )
