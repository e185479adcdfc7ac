"""`adagen dataset`: the classes are told, and what is no data set is refused."""

import os
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
import yaml
from console import CONFIG
from PIL import Image

from adagen.cli.common import load_images, open_experiment
from adagen.config import load_config
from adagen.runtime.errors import AdagenError


def configure(**dataset: object) -> None:
    content = {**CONFIG, "dataset": {"name": "mine", "heldout": 20, **dataset}}
    Path("config.yaml").write_text(yaml.safe_dump(content))


def write(folder: str, names: list[str], count: int = 4, *, most: int = 256) -> None:
    random = np.random.default_rng(0)
    for name in names:
        Path(folder, name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, most, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(Path(folder, name, f"{number}.png"))


def test_classes_are_printed_with_their_counts(console, capsys):
    configure(folder="set")
    write("set/train", [str(number) for number in range(11)])
    with open(b"set/train/10/caf\xe9.png", "wb") as stream:
        stream.write(Path("set/train/10/0.png").read_bytes())
    os.rename(b"set/train/3", b"set/train/\xe9\n")
    console("dataset --out d.json")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mine: 11 classes; 25 images for training, 20 held out; 8x8 pixels, grey"
    assert [line.split()[-1] for line in lines[2:]] == [
        *("0", "1", "2", "4", "5", "6", "7", "8", "9", "10"),
        r"\udce9\n",
    ]
    assert sum(int(line.split()[1]) for line in lines[2:]) == 25


def test_a_terminal_without_the_letters_of_a_name(console, monkeypatch):
    configure(folder="set")
    write("set", ["b", "\u732b"], 20)
    printed = TextIOWrapper(BytesIO(), "latin-1")
    monkeypatch.setattr(sys, "stdout", printed)
    console("dataset --out d.json")
    printed.seek(0)
    assert printed.read().splitlines()[-1].endswith(r"  \u732b")


def test_no_terminal_at_all(console, monkeypatch):
    configure(folder="set")
    write("set", ["a", "b"], 20)
    for name in ("stdin", "stdout", "stderr"):  # as with `<&- >&- 2>&-`
        monkeypatch.setattr(sys, name, None)
    console("dataset --out d.json")
    assert Path("d.json").exists()


def test_of_many_classes_the_last_is_printed_too(console, capsys):
    configure(folder="set", heldout=60)
    write("set", [f"c{number:02}" for number in range(60)], 2)
    console("dataset --out d.json")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 50 + 1 and lines[-2].strip() == "..."
    assert lines[-1].split() == ["59", "1", "1", "c59"]


@pytest.mark.parametrize("heldout", ["set/train", "set/train/", "./set/train", "link"])
def test_the_train_part_is_not_held_out(console, heldout):
    write("set/train", ["a", "b"])
    Path("link").symlink_to("set/train")
    configure(folder="set/train", heldout_folder=heldout)
    assert "'dataset.heldout_folder' is" in console.mistake("dataset --out d.json")
    assert not Path("d.json").exists()


def test_bytes_of_zero_and_one_are_suspected(console, capsys):
    configure(folder="set")
    write("set", ["a", "b"], 20, most=2)
    console("dataset --out d.json")
    assert "set: all images are black" in capsys.readouterr().err


def test_a_generator_keeps_the_classes_of_its_fit(console):
    """Other classes under the same settings are refused before a policy is trained on them."""
    configure(folder="set")
    write("set", ["a", "b"], 30)
    console("pretrain flow --out g.safetensors")
    settings = load_config([Path("config.yaml")])
    name = next(iter(settings.experiments))
    _, generator = open_experiment(settings, name, generator_file=Path("g.safetensors"))
    assert (generator.class_names, generator.released) == (("a", "b"), False)
    load_images(settings, generator)
    Path("set", "b").rename("set/A")
    with pytest.raises(AdagenError, match=r"label 0 is class 'A' in data set 'mine', .* 'a'"):
        load_images(settings, generator)
