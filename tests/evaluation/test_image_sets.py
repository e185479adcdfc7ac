import os
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from adagen.evaluation.image_sets import one_layout, open_images, rebatch, suspected
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


def test_the_hash_follows_names_and_content(tmp_path, pictures, write_folder, write_samples):
    one, same = (write_folder(tmp_path / name, pictures[:5]) for name in ("one", "same"))
    first = open_images(one).content()
    assert open_images(same).content() == first
    (one / "00003.png").rename(one / "x.png")
    assert open_images(one).content() != first
    path = same / "00000.png"
    # Bytes after the image, and others of as many: the name and the size stay.
    for content in (b"one", b"two"):
        path.write_bytes(path.read_bytes().removesuffix(b"one") + content)
        assert open_images(same).content() != first
        first = open_images(same).content()
    some = write_samples(tmp_path / "s", pictures[None], seeds=[3])
    other = write_samples(tmp_path / "o", 1 - pictures[None], seeds=[3])
    assert open_images(some).content() != open_images(other).content()
    (tmp_path / "s").rename(tmp_path / "moved")
    assert len({open_images(tmp_path / name).content() for name in ("moved", "o")}) == 2


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
        (Image.new("RGB", (16, 17)), r"bad\.png is 16x17 pixels .* is 16x16 pixels"),
        (Image.new("L", (16, 16)), r"bad\.png is 16x16 pixels of grey .* of colour"),
        (Image.new("RGBA", (16, 16)), r"bad\.png is partly transparent"),
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


def test_palettes_and_names_of_any_bytes_are_read_as_a_data_set_reads_them(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    image.quantize(8).save(tmp_path / "0.png")
    image.save(tmp_path / "1.png")
    os.rename(tmp_path / "1.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    source = open_images(tmp_path)
    expected = [np.asarray(image.quantize(8).convert("RGB")), np.asarray(image)]
    found = read(source).mul(255).round().byte().permute(0, 2, 3, 1)
    assert np.array_equal(found, expected) and len(source.content()) == 64


def test_a_zip_is_measured_as_its_folder(tmp_path, pictures, write_folder):
    folder = write_folder(tmp_path / "set", pictures[:5])
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    one, other = open_images(folder), open_images(tmp_path / "set.zip")
    assert one.content() == other.content() and torch.equal(read(one), read(other))


def test_links_are_followed_and_links_to_nowhere_named(tmp_path, pictures, write_folder, capsys):
    write_folder(tmp_path / "elsewhere", pictures[3:5])
    place = write_folder(tmp_path / "set", pictures[:3])
    (place / "more").symlink_to("../elsewhere")
    assert open_images(place).count == 5
    assert "1 link leads out of the folder" in capsys.readouterr().err
    (place / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(AdagenError, match=r"gone\.png is a link to"):
        open_images(place)


@pytest.mark.parametrize("channels", [1, 3])
def test_any_layout_becomes_that_of_a_fresh_tensor(channels):
    """A permuted tensor of one channel is contiguous to torch, and convolved otherwise."""
    fresh = torch.rand(5, channels, 8, 6, generator=torch.Generator().manual_seed(0))
    assert one_layout(fresh) is fresh
    for images in (
        fresh.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
        fresh.to(memory_format=torch.channels_last),
        fresh.transpose(2, 3).contiguous().transpose(2, 3),
        fresh.repeat(1, 1, 1, 2)[..., :6],
    ):
        assert torch.equal(one_layout(images), fresh)
        assert one_layout(images).stride() == fresh.stride()


@pytest.mark.parametrize(("level", "told"), [(0, True), (1, True), (2, False)])
def test_black_images_are_suspected_aloud(capsys, level, told):
    """As images in [0, 1] are that were stored as bytes."""
    batches = [torch.zeros(3, 1, 4, 4), torch.full((2, 1, 4, 4), level / 255)]
    assert len(list(suspected(batches, "set.npz"))) == 2
    assert ("set.npz: all images are black" in capsys.readouterr().err) is told


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
