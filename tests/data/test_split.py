"""Folders split like any data set; flips; what an inventory tells."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adagen.config import Dataset
from adagen.data import sources
from adagen.data.inventory import inventory
from adagen.data.sources import FileImages, StoredImages
from adagen.data.split import Images, load_dataset
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator


def mine(place: Path, **settings: Any) -> Dataset:
    return Dataset(**{"name": "mine", "folder": str(place), "heldout": 4, **settings})


@pytest.fixture
def many() -> Images:
    """4000 images of one row: (label, 0)."""
    labels = torch.arange(4000)
    return Images(torch.stack([labels, 0 * labels], 1).view(4000, 1, 1, 2) / 4000, labels, "random")


def draw(images: Images, *name: object) -> torch.Tensor:
    return images.batch(torch.arange(len(images)), torch_generator(*name))


def test_a_folder_splits_like_any_data_set(write, files, pixels):
    split = load_dataset(mine(write(files)))
    assert (len(split.train), len(split.heldout), split.num_classes) == (16, 4, 2)
    assert split.class_names == ("cat", "dog") and sorted(split.heldout.labels) == [0, 0, 1, 1]
    both = torch.cat([split.train.images[:], split.heldout.images[:]])
    expected = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    assert torch.equal(both.flatten(1).unique(dim=0), expected.flatten(1).unique(dim=0))


def test_a_folder_and_its_zip_split_alike(tmp_path, files):
    for name, content in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in sorted(files, reverse=True):
            archive.writestr(f"train/{name}", files[name])
    folder, archived = (load_dataset(mine(tmp_path / name)) for name in ("folder", "set.zip"))
    assert folder.file_list_hash == archived.file_list_hash
    for ours, theirs in ((folder.train, archived.train), (folder.heldout, archived.heldout)):
        assert torch.equal(ours.images[:], theirs.images[:])
        assert torch.equal(ours.labels, theirs.labels)


def test_large_data_sets_stay_in_their_files(write, files, monkeypatch):
    dataset = mine(write(files))
    stored = load_dataset(dataset)
    monkeypatch.setattr(sources, "IN_MEMORY", 10 * 3 * 64)  # the held-out part fits
    lazy = load_dataset(dataset)
    assert isinstance(lazy.train.images, FileImages)
    assert isinstance(lazy.heldout.images, StoredImages)
    assert torch.equal(lazy.train.images[:], stored.train.images[:])
    assert torch.equal(lazy.heldout.images[:], stored.heldout.images[:])


def test_heldout_images_may_have_a_folder_of_their_own(write, files, pixels):
    held = list(files.items())[::5]
    train, heldout = write(dict(files.items() - held)), write(dict(held), "other")
    split = load_dataset(mine(train, heldout_folder=str(heldout), flip="random"))
    assert (len(split.train), split.heldout.labels.tolist()) == (16, [0, 0, 1, 1])
    expected = torch.from_numpy(pixels[::5]).permute(0, 3, 1, 2) / 255
    assert torch.equal(split.heldout.images[:], expected)
    assert (split.train.flip, split.heldout.flip) == ("random", "never")
    assert len({split.file_list_hash, load_dataset(mine(train)).file_list_hash}) == 2


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        (("cat", "fox"), "'fox' there and 'dog' here"),
        (("cat",), "None there and 'dog' here"),
        (("cat", "dog", "eel"), "'eel' there and None here"),
    ],
)
def test_other_classes_in_the_heldout_folder_are_named(write, files, theirs, told):
    heldout = write({f"{name}/0.png": files["cat/00.png"] for name in theirs}, "other")
    dataset = mine(write(files), heldout_folder=str(heldout))
    for look in (load_dataset, inventory):
        with pytest.raises(AdagenError, match=rf"'dataset\.heldout_folder'.*first.* is {told}"):
            look(dataset)


def test_heldout_images_must_be_like_the_others(write, files, as_png):
    other = {f"{name}/0.png": as_png(np.zeros((9, 9, 3))) for name in ("cat", "dog")}
    dataset = mine(write(files), heldout_folder=str(write(other, "other")))
    for look in (load_dataset, inventory):
        with pytest.raises(AdagenError, match=r"cat/0\.png is 9x9 .*first image is 8x8"):
            look(dataset)


def test_half_of_the_images_are_mirrored_and_the_rest_left_alone(many):
    before = many.images.clone()
    found = draw(many, "a")
    mirrored = (found != before).flatten(1).any(1)
    assert torch.equal(found[mirrored], before.flip(-1)[mirrored])
    assert abs(int(mirrored.sum()) - 2000) < 5 * 1000**0.5  # five standard deviations
    assert torch.equal(many.images, before)


def test_flips_are_the_generators(many):
    assert torch.equal(draw(many, "a"), draw(many, "a"))
    assert not torch.equal(draw(many, "a"), draw(many, "b"))


def test_without_flips_nothing_is_drawn(many):
    generator = torch_generator("a")
    state = generator.get_state()
    rows = torch.tensor([5, 2, 2])
    found = Images(many.images, many.labels).batch(rows, generator)
    assert torch.equal(found, many.images[rows]) and torch.equal(generator.get_state(), state)


def test_batches_go_through_all_in_order(many, write, files):
    parts = list(many.batches(1500))
    assert [len(part) for part in parts] == [1500, 1500, 1000]
    assert torch.equal(torch.cat(parts), many.images)
    split = load_dataset(mine(write(files)))
    assert torch.equal(torch.cat(list(split.train.batches(7))), split.train.images[:])


def test_ids_of_mirrored_images_stand_beside_the_others(many):
    def encode(images: torch.Tensor) -> torch.Tensor:
        return (images.flatten(1) * 4000).round().long()

    ids = many.encoded(encode)
    plain = Images(many.images, many.labels).encoded(encode)
    assert torch.equal(plain.images, encode(many.images)) and len(plain) == 4000
    assert torch.equal(ids.images, torch.cat([plain.images, plain.images.flip(-1)]))
    assert torch.equal(ids.labels, many.labels.repeat(2)) and ids.flip == "never"


def test_an_inventory_of_a_folder(write, files, monkeypatch):
    place = write(files)
    decoded = count_decoded(monkeypatch)
    told = inventory(mine(place, size=4))
    assert len(decoded) == 4  # one of each class in each part
    assert told == {
        "name": "mine",
        "classes": ["cat", "dog"],
        "train": [8, 8],
        "heldout": [2, 2],
        "image_shape": [3, 4, 4],
        "file_list_hash": load_dataset(mine(place)).file_list_hash,
        "hashed": "names and content",
    }
    assert json.loads(json.dumps(told)) == told


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    decoded: list[str] = []
    read: Callable[..., Any] = sources.read_pixels

    def counted(data: bytes, where: str, *, form: sources.Form) -> Any:
        decoded.append(where)
        return read(data, where, form=form)

    monkeypatch.setattr(sources, "read_pixels", counted)
    return decoded


def test_an_inventory_of_the_digits():
    told = inventory(Dataset())
    assert told["classes"] == list("0123456789") and told["image_shape"] == [1, 8, 8]
    assert told["heldout"] == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    assert sum(told["train"]) == 1437 and len(told["file_list_hash"]) == 64


def test_an_inventory_finds_a_broken_image(write, files):
    place = write(files | {name: files[name][:60] for name in list(files)[10:]})
    with pytest.raises(AdagenError, match=r"dog/1\d\.png cannot be read as an image"):
        inventory(mine(place))


def test_cifar_is_found_and_counted(shared):
    train, test = (shared / "data" / f"cifar10-{part}.zip" for part in ("train", "test"))
    if not (train.exists() and test.exists()):
        pytest.skip("no zips of CIFAR-10 in the shared folder")
    told = inventory(mine(train, heldout_folder=str(test)))
    assert told["train"] == [5000] * 10 and told["heldout"] == [1000] * 10
    assert told["image_shape"] == [3, 32, 32] and told["classes"][-1] == "truck"


def test_a_folder_needs_a_name_of_its_own():
    with pytest.raises(ValueError, match="take no folder"):
        Dataset(folder="images")
    with pytest.raises(ValueError, match="needs its folder"):
        Dataset(name="mine")
