"""Images read when asked for are the ones kept in memory."""

import pickle
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adagen.data import sources
from adagen.data.folder import ImageFiles, list_images
from adagen.data.pixels import Form
from adagen.data.sources import FileImages, StoredImages, first_of_each, form_of, open_rows
from adagen.runtime.errors import AdagenError

ROWS = torch.tensor([13, 0, 13, 19])


def opened(place: Path, size: int = 0) -> tuple[ImageFiles, Form]:
    files = list_images(place, "k")
    return files, form_of(files, size)


def test_lazy_and_stored_images_are_equal(write, files, pixels, monkeypatch):
    listed = opened(write(files))
    stored = open_rows(*listed)
    monkeypatch.setattr(sources, "IN_MEMORY", 20 * 3 * 8 * 8 - 1)
    lazy = open_rows(*listed)
    assert isinstance(stored, StoredImages) and isinstance(lazy, FileImages)
    expected = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    for source in (stored, lazy):
        assert source.shape == (20, 3, 8, 8) and len(source) == 20
        assert source[:].dtype == torch.float32 and torch.equal(source[:], expected)
        assert torch.equal(source[ROWS], expected[ROWS])
        assert torch.equal(source[3:7], expected[3:7]) and torch.equal(source[18:99], expected[18:])
        assert source[ROWS[:0]].shape == (0, 3, 8, 8)


@pytest.mark.parametrize("threads", [1, 3, 30])
def test_any_number_of_threads_reads_the_same(write, files, pixels, monkeypatch, threads):
    monkeypatch.setattr(sources.torch, "get_num_threads", lambda: threads)
    found = FileImages(*opened(write(files))).pixels(torch.arange(20))
    assert np.array_equal(found.permute(0, 2, 3, 1), pixels)


def read(source: sources.ImageRows) -> list[int]:
    return source.pixels(ROWS).flatten().tolist()


def test_sources_work_in_other_processes(write, files, pixels):
    source = FileImages(*opened(write(files)))
    read(source)
    expected = source.pixels(ROWS).flatten().tolist()
    assert read(pickle.loads(pickle.dumps(source))) == expected  # what a spawned process gets
    with get_context("fork").Pool(2) as workers:
        assert workers.map(read, [source] * 4) == [expected] * 4


def test_a_subset_keeps_its_files(write, files):
    listed = list_images(write(files), "k")
    subset = listed.subset(ROWS)
    assert [subset.read(i) for i in range(4)] == [listed.read(row) for row in ROWS.tolist()]
    assert subset.labels.tolist() == [1, 0, 1, 1] and subset.location(0) == listed.location(13)


def test_sizes_are_reduced_and_cropped(write, as_png):
    wide = np.zeros((16, 40, 3), np.uint8)
    wide[:, 12:28] = 255
    place = write({"a/0.png": as_png(wide), "b/0.png": as_png(wide.transpose(1, 0, 2))})
    assert torch.equal(FileImages(*opened(place, 8))[:], torch.ones(2, 3, 8, 8))


def test_a_data_set_is_grey_only_if_every_class_begins_grey(write, as_png):
    grey, colour = as_png(np.full((8, 8), 9)), as_png(np.full((8, 8, 3), 9))
    place = write({"a/0.png": grey, "b/0.png": colour, "b/1.png": grey})
    assert FileImages(*opened(place, 8)).shape == (3, 3, 8, 8)
    with pytest.raises(AdagenError, match=r"b/0\.png is 8x8 pixels of colour"):
        open_rows(*opened(place))
    place = write({"a/0.png": grey, "b/0.png": grey, "b/1.png": colour}, "other")
    assert FileImages(*opened(place, 8)).shape == (3, 1, 8, 8)
    with pytest.raises(AdagenError, match=r"b/1\.png is 8x8 pixels of colour.*grey"):
        open_rows(*opened(place, 8))


def test_images_that_are_not_square_need_a_size(write, as_png):
    place = write({"a/0.png": as_png(np.zeros((8, 9)))})
    with pytest.raises(AdagenError, match=r"a/0\.png is 9x8 pixels.*square.*'dataset\.size'"):
        opened(place)


def test_a_broken_image_is_named_when_it_is_read(write, files):
    place = write(files | {"dog/15.png": files["dog/15.png"][:60]})
    lazy = FileImages(*opened(place))
    assert lazy[:15].shape == (15, 3, 8, 8)
    with pytest.raises(AdagenError, match=rf"{place}/dog/15\.png cannot be read as an image"):
        lazy[15:16]


def test_first_of_each_class():
    assert first_of_each(torch.tensor([2, 0, 2, 1, 0])).tolist() == [1, 3, 0]


def test_jpegs_of_cifar_are_decoded_as_pil_does(shared):
    place = shared / "data" / "cifar10-test.zip"
    if not place.exists():
        pytest.skip("no zip of CIFAR-10 in the shared folder")
    listed, form = opened(place)
    assert len(listed) == 10000 and listed.class_names[0] == "airplane"
    rows = torch.tensor([9999, 5, 5000])
    found = FileImages(listed, form).pixels(rows)
    for image, row in zip(found, rows.tolist(), strict=True):
        expected = np.asarray(Image.open(BytesIO(listed.read(row))))
        assert np.array_equal(image.permute(1, 2, 0), expected)
