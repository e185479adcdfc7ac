"""Images are decoded once, and whatever is wrong with what was kept, they are the right ones."""

import os
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from adagen.config import Dataset
from adagen.data import seen, sources
from adagen.data.inventory import inventory
from adagen.data.split import Split, load_dataset


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Hashes of files that were written just now are remembered, too."""
    monkeypatch.setattr(seen, "TICK", 0)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "resources" / "dataset.seen.json"


def mine(place: Path, **settings: object) -> Dataset:
    return Dataset(**{"name": "mine", "folder": str(place), "heldout": 4, **settings})


def pixels_of(split: Split) -> torch.Tensor:
    return torch.cat([part.images[:] for part in (split.train, split.heldout)])


def load(place: Path, kept: Path, **settings: object) -> tuple[torch.Tensor, str]:
    split = load_dataset(mine(place, **settings), seen=kept)
    return pixels_of(split), split.file_list_hash


def test_later_stages_decode_nothing(write, files, kept, monkeypatch):
    place = write(files)
    expected = pixels_of(load_dataset(mine(place)))
    found = inventory(mine(place), seen=kept)
    assert {path.name for path in kept.parent.iterdir()} >= {
        "dataset.train.safetensors",
        "dataset.heldout.safetensors",
    }

    def refuse(*arguments, **settings):
        raise AssertionError("decoded again")

    monkeypatch.setattr(sources, "read_pixels", refuse)
    images, digest = load(place, kept)
    assert torch.equal(images, expected) and digest == found["file_list_hash"]
    if place.is_dir():
        monkeypatch.setattr(sources.FileImages, "_read", refuse)
        assert torch.equal(load(place, kept)[0], expected)
        monkeypatch.undo()


def test_other_files_or_another_size_are_decoded(write, files, as_png, kept):
    place = write(files)
    first, digest = load(place, kept)
    assert load(place, kept, size=4)[0].shape == (20, 3, 4, 4)
    white = as_png(np.full((8, 8, 3), 255))
    changed = write({**files, "cat/03.png": white})
    images, other = load(changed, kept)
    assert other != digest and (images == 1).flatten(1).all(1).sum() == 1
    assert torch.equal(images, pixels_of(load_dataset(mine(changed))))
    assert images.shape == first.shape


def test_an_image_of_equal_size_and_time_is_noticed(write, files, as_png, kept):
    grey = {name: as_png(np.full((8, 8), int(name[-6:-4]) + 1)) for name in files}
    place = write(grey)
    load(place, kept)
    if not place.is_dir():
        pytest.skip("a zip has hashes of its files")
    one, other = place / "cat" / "01.png", place / "cat" / "02.png"
    before = one.stat()
    assert len(other.read_bytes()) == before.st_size
    one.write_bytes(other.read_bytes())
    os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert torch.equal(load(place, kept)[0], pixels_of(load_dataset(mine(place))))


def break_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        break_middle,
        lambda path: path.write_bytes(path.read_bytes()[:-5]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.with_name("dataset.heldout.safetensors").read_bytes()),
    ],
    ids=["a bit", "cut short", "empty", "of another part"],
)
def test_a_damaged_file_is_made_again(write, files, kept, harm):
    place = write(files)
    expected = load(place, kept)[0]
    path = kept.with_name("dataset.train.safetensors")
    good = path.read_bytes()
    harm(path)
    assert torch.equal(load(place, kept)[0], expected) and path.read_bytes() == good


def test_where_nothing_can_be_kept_images_are_decoded(write, files, kept):
    place = write(files)
    kept.with_name("dataset.train.safetensors").mkdir(parents=True)
    assert torch.equal(load(place, kept)[0], pixels_of(load_dataset(mine(place))))


def test_processes_that_begin_at_once(write, files, kept):
    place = write(files)
    expected = load_dataset(mine(place))
    with get_context("fork").Pool(3) as workers:
        for images, digest in workers.starmap(load, [(place, kept)] * 6):
            assert torch.equal(images, pixels_of(expected)) and digest == expected.file_list_hash
