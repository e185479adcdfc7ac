"""Images of one's own, and what is said when they are not there or not alike."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adagen.config import Dataset
from adagen.data.folder import read_folder
from adagen.data.split import load_dataset
from adagen.errors import AdagenError


def write(folder: Path, name: str, pixels: np.ndarray) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_back_with_the_class_of_their_folder(tmp_path, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, channels)).squeeze()
    for i, image in enumerate(pixels):
        write(tmp_path, f"{'ab'[i // 2]}/{i}.png", image)
    images, labels = read_folder(tmp_path)
    assert labels.tolist() == [0, 0, 1, 1]
    expected = torch.from_numpy(pixels).reshape(4, 8, 8, channels).permute(0, 3, 1, 2) / 255
    assert torch.equal(images, expected.float())


def test_folder_splits_like_any_data_set(tmp_path):
    for i in range(20):
        write(tmp_path, f"{i % 2}/{i}.png", np.full((8, 8), i))
    split = load_dataset(Dataset(name="mine", folder=str(tmp_path), heldout=4))
    assert (len(split.train), len(split.heldout), split.num_classes) == (16, 4, 2)
    assert sorted(split.heldout.labels.tolist()) == [0, 0, 1, 1]


def test_empty_and_missing_folders_say_what_is_expected(tmp_path):
    (tmp_path / "cats").mkdir()
    for folder in (tmp_path / "nowhere", tmp_path / "cats", tmp_path):
        with pytest.raises(AdagenError, match=r"dataset\.folder.*folder for each class"):
            read_folder(folder)


def test_an_image_of_another_size_or_none_at_all_is_named(tmp_path):
    write(tmp_path, "a/0.png", np.zeros((8, 8)))
    write(tmp_path, "a/1.png", np.zeros((8, 9)))
    with pytest.raises(AdagenError, match=r"1\.png has shape \(1, 8, 9\)"):
        read_folder(tmp_path)
    (tmp_path / "a" / "1.png").write_bytes(b"not a picture")
    with pytest.raises(AdagenError, match=r"1\.png cannot be read as an image"):
        read_folder(tmp_path)


def test_a_folder_needs_a_name_of_its_own():
    with pytest.raises(ValueError, match="takes no folder"):
        Dataset(folder="images")
    with pytest.raises(ValueError, match="needs its folder"):
        Dataset(name="mine")
