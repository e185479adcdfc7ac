import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from adagen.evaluation.image_sets import open_images, rebatch
from adagen.runtime.errors import AdagenError


def read(source, name="images"):
    return torch.cat(list(source.sets[name]()))


def test_files_of_a_folder_in_the_order_of_their_paths(tmp_path, pictures, write_folder):
    write_folder(tmp_path / "b", pictures[:25])
    write_folder(tmp_path / "a" / "deep", pictures[25:])
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_text("nor this")
    source = open_images(tmp_path)
    assert (source.kind, source.count, source.labels) == ("image files", 40, None)
    assert torch.equal(read(source), torch.cat([pictures[25:], pictures[:25]]))


def test_grey_files_have_one_channel(tmp_path, pictures, write_folder):
    assert torch.equal(
        read(open_images(write_folder(tmp_path, pictures[:3, :1]))), pictures[:3, :1]
    )


def test_the_hash_tells_lists_of_files_apart(tmp_path, pictures, write_folder):
    one, same = (write_folder(tmp_path / name, pictures[:5]) for name in ("one", "same"))
    first = open_images(one).hash
    assert open_images(same).hash == first
    (one / "00003.png").rename(one / "x.png")
    assert open_images(one).hash != first


def test_samples_have_a_set_for_each_seed(tmp_path, pictures, write_samples):
    images = torch.stack([pictures, 1 - pictures])
    source = open_images(write_samples(tmp_path / "s", images, seeds=[3, 8]))
    assert (source.kind, source.count) == ("samples", 40)
    assert torch.equal(read(source, "seed 3"), pictures)
    assert torch.equal(read(source, "seed 8"), 1 - pictures)
    assert source.labels.tolist() == [i % 10 for i in range(40)]


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (Image.new("RGB", (16, 17)), r"bad\.png has shape \(17, 16, 3\) .* \(16, 16, 3\)"),
        (Image.new("L", (16, 16)), r"bad\.png has shape \(16, 16, 1\)"),
        (Image.new("RGBA", (16, 16)), r"bad\.png is an image of mode RGBA"),
        (Image.new("P", (16, 16)), "mode P"),
        (Image.fromarray(np.zeros((16, 16), np.uint16)), "mode I;16"),
    ],
)
def test_a_file_unlike_the_others_is_named(tmp_path, pictures, write_folder, image, told):
    write_folder(tmp_path, pictures[:3])
    image.save(tmp_path / "bad.png")
    with pytest.raises(AdagenError, match=told):
        read(open_images(tmp_path))


def test_a_damaged_file_is_named(tmp_path, pictures, write_folder):
    write_folder(tmp_path, pictures[:3])
    data = (tmp_path / "00001.png").read_bytes()
    (tmp_path / "00001.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(AdagenError, match=r"00001\.png cannot be read as an image"):
        read(open_images(tmp_path))


def test_nothing_to_measure(tmp_path):
    with pytest.raises(AdagenError, match=r"no image files .* check the path"):
        open_images(tmp_path)
    with pytest.raises(AdagenError, match=r"gone does not exist; expected one of .* npz"):
        open_images(tmp_path / "gone")
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(AdagenError, match=r"file\.txt is none of what can be measured"):
        open_images(tmp_path / "file.txt")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 10))
def test_the_same_images_in_batches_of_one_size(sizes, size):
    images = torch.linspace(0, 1, sum(sizes)).view(-1, 1, 1, 1)
    batches = list(rebatch(images.split(sizes), size))
    assert torch.equal(torch.cat(batches), images)
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= size


def broken(value: float) -> torch.Tensor:
    images = torch.zeros(5, 1, 4, 4)
    images[3, 0, 1, 2] = value
    return images


GOOD = torch.zeros(7, 1, 4, 4)


@pytest.mark.parametrize(
    ("batches", "told"),
    [
        ([GOOD, broken(torch.nan)], "image 10 holds NaN"),
        ([GOOD, broken(1.01)], r"image 10 leaves the range \[0, 1\]"),
        ([GOOD, broken(-0.01)], r"image 10 leaves the range \[0, 1\]"),
        ([GOOD, torch.zeros(2, 1, 4, 5)], r"image 7 has shape \(1, 4, 5\) .* \(1, 4, 4\)"),
        ([torch.zeros(2, 4, 4, 4)], "4 channels"),
        ([GOOD.byte()], r"torch\.uint8 .* but float"),
        (GOOD, r"of shape \(1, 4, 4\), .* a single batch goes in a list"),
        ([], "no images"),
    ],
)
def test_bad_images_are_named(batches, told):
    with pytest.raises(AdagenError, match=told):
        list(rebatch(batches, 4))
