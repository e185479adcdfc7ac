"""Hashes of a data set follow the content of its files, however they are kept and copied."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adagen.config import Dataset
from adagen.data import seen, sources
from adagen.data.folder import list_images
from adagen.data.inventory import inventory
from adagen.data.pixels import Form
from adagen.data.seen import Signature
from adagen.data.sources import FileImages, StoredImages
from adagen.data.split import Images, load_dataset
from adagen.runtime.errors import AdagenError

NAMES = [f"{label}/{number}.bmp" for label in "ab" for number in range(4)]


def write(place: Path, value: int = 0) -> Path:
    """Eight grey images, as files that all have the same size."""
    for number, name in enumerate(NAMES):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((4, 4), 10 * number + value, np.uint8)
        Image.fromarray(pixels).save(path)
    return place


def replace(path: Path, *, in_place: bool, keep_time: bool) -> None:
    """Another image of the same name and size."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if not in_place:
        path.unlink()
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def mine(place: Path, **settings: Any) -> Dataset:
    return Dataset(**{"name": "mine", "folder": str(place), "heldout": 4, **settings})


def hash_of(place: Path) -> str:
    """The hash that an inventory and a loaded data set agree about."""
    (found,) = {inventory(mine(place))["file_list_hash"], load_dataset(mine(place)).file_list_hash}
    return str(found)


@settings(max_examples=12, deadline=None)
@given(
    changed=st.sets(st.sampled_from(NAMES), min_size=1),
    in_place=st.booleans(),
    keep_time=st.booleans(),
)
def test_replaced_images_of_equal_names_and_sizes(tmp_path_factory, changed, in_place, keep_time):
    place = write(tmp_path_factory.mktemp("images") / "set")
    before = hash_of(place)
    for name in changed:
        replace(place / name, in_place=in_place, keep_time=keep_time)
    after = hash_of(place)
    assert after != before
    zipped = Path(shutil.make_archive(str(place), "zip", place))
    copied = shutil.copytree(place, place.with_name("copy"), copy_function=shutil.copyfile)
    assert hash_of(zipped) == hash_of(copied) == after


def test_images_that_change_places(tmp_path):
    place = write(tmp_path / "set")
    before = hash_of(place)
    first, second = (place / name for name in (NAMES[0], NAMES[5]))
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    assert hash_of(place) != before


@pytest.fixture
def large(monkeypatch) -> None:
    """Nothing fits into memory, and files may be as young as they are."""
    monkeypatch.setattr(sources, "IN_MEMORY", 0)
    monkeypatch.setattr(seen, "TICK", 0)


def test_what_was_seen_is_not_read_again(tmp_path, monkeypatch, large):
    """Unless something was done to it, or it is a copy, which has the same hash."""
    place, file = write(tmp_path / "set"), tmp_path / "resources" / "dataset.seen.json"
    first = inventory(mine(place), seen=file)["file_list_hash"]
    assert first == inventory(mine(place))["file_list_hash"]
    read: list[int] = []
    original = sources.FileImages._read
    monkeypatch.setattr(
        sources.FileImages, "_read", lambda self, row: read.append(row) or original(self, row)
    )
    assert load_dataset(mine(place), seen=file).file_list_hash == first and not read
    os.utime(place / NAMES[0])
    assert load_dataset(mine(place), seen=file).file_list_hash == first and read
    copied = shutil.copytree(place, tmp_path / "copy")
    assert load_dataset(mine(copied), seen=file).file_list_hash == first
    read.clear()
    for _ in range(2):
        assert load_dataset(mine(place), seen=file).file_list_hash == first and not read
    replace(place / NAMES[3], in_place=True, keep_time=True)
    assert load_dataset(mine(place), seen=file).file_list_hash != first and read


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', "\0"])
def test_a_damaged_file_of_hashes_is_forgotten(tmp_path, large, content):
    place, file = write(tmp_path / "set"), tmp_path / "seen.json"
    first = load_dataset(mine(place), seen=file).file_list_hash
    file.write_text(content)
    assert load_dataset(mine(place), seen=file).file_list_hash == first
    file.unlink()
    file.mkdir()  # one that can't be written
    assert load_dataset(mine(place), seen=file).file_list_hash == first


def test_files_that_changed_a_moment_ago_are_read_again(tmp_path):
    """A second change could leave their times as they are."""
    path = tmp_path / "file"
    path.write_text("young")
    signature = Signature([str(path)])
    seen.remember(tmp_path / "seen.json", signature, digest="0" * 64)
    assert not signature.settled and not (tmp_path / "seen.json").exists()


def test_a_file_that_changes_while_it_is_in_use(tmp_path):
    place = write(tmp_path / "set")
    images = FileImages(list_images(place, "k"), Form("L", 4, 4, crop=False))
    before, rows = images.digest(), torch.arange(8)
    images.pixels(rows)
    replace(place / NAMES[6], in_place=False, keep_time=True)
    images.pixels(rows[:6])
    with pytest.raises(AdagenError, match=r"b/2\.bmp changed while the images were in use"):
        images.pixels(rows)
    assert images.digest() == before


def test_images_in_memory(tmp_path):
    pixels, labels = torch.arange(16.0).view(4, 1, 2, 2) / 16, torch.tensor([0, 1, 0, 1])
    images = Images(pixels, labels)
    assert images.digest() == Images(pixels.clone(), labels).digest()
    assert images.digest() == images.encoded(lambda batch: batch.flatten(1)).digest()
    stored = StoredImages((pixels * 16).byte())
    different = {
        images.digest(),
        Images(pixels + 1e-7, labels).digest(),
        Images(pixels, 1 - labels).digest(),
        Images(stored, labels).digest(),
        Images(StoredImages(stored.stored + 1), labels).digest(),
    }
    assert len(different) == 5
