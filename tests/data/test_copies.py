"""Images of the train part that are held out too are noticed by their content."""

import shutil
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adagen.data import sources
from adagen.data.inventory import inventory
from adagen.data.split import load_dataset
from adagen.runtime.errors import AdagenError
from tests.data.conftest import png
from tests.data.test_split import mine


def shade(number: int, level: int = 6) -> bytes:
    """An image of one colour; its bytes differ by the compression, its pixels don't."""
    stream = BytesIO()
    pixels = np.full((8, 8, 3), number, np.uint8)
    Image.fromarray(pixels).save(stream, "PNG", compress_level=level)
    return stream.getvalue()


def parts(write, shared: Iterable[int], *, level: int = 6):
    """Forty train images and twenty held-out ones, of which some are of both."""
    train = {f"{'ab'[n % 2]}/{n:03}.png": shade(n) for n in range(40)}
    numbers = [*shared, *range(100, 120)][:20]
    heldout = {f"{'ab'[n % 2]}/x{n:03}.png": shade(v, level) for n, v in enumerate(numbers)}
    return mine(write(train, "train"), heldout_folder=str(write(heldout, "heldout")))


@pytest.mark.parametrize("level", [6, 0], ids=["same bytes", "other bytes"])
def test_copies_under_other_names_are_counted_and_refused_if_most_are(write, capsys, level):
    load_dataset(parts(write, []))
    assert "held-out" not in capsys.readouterr().err
    load_dataset(parts(write, range(3), level=level))
    told = capsys.readouterr().err
    assert "3 of the 20 held-out images are images of " in told and "under whatever names" in told
    with pytest.raises(AdagenError, match=r"heldout_folder' is .* 11 of the 20 held-out images"):
        load_dataset(parts(write, range(11), level=level))


def test_of_more_images_than_fit_into_memory_the_bytes_are_compared(
    write, capsys, monkeypatch, tmp_path
):
    """Whenever they are listed, whatever was remembered of the files."""
    monkeypatch.setattr(sources, "IN_MEMORY", 30 * 3 * 64)  # the held-out part fits
    seen = tmp_path / "seen.json"
    monkeypatch.setattr("adagen.data.seen.TICK", 0)
    for _ in range(2):
        inventory(parts(write, range(3)), seen=seen)
        assert "3 of the 20 held-out images" in capsys.readouterr().err
    dataset = parts(write, range(11))
    for _ in range(2):
        with pytest.raises(AdagenError, match="11 of the 20 held-out images"):
            inventory(dataset, seen=seen)


def test_a_folder_that_has_images_twice(write, capsys):
    """As blank tiles of a map: many data sets do, which is told and not refused."""
    images = {f"a/{n:03}.png": png(np.zeros((8, 8))) for n in range(20)}
    images |= {f"b/{n:03}.png": png(np.full((8, 8), n + 1)) for n in range(20)}
    load_dataset(mine(write(images)))
    told = capsys.readouterr().err
    assert "2 of the 4 held-out images are in the train part too" in told


def test_a_copied_part_is_refused_by_its_names_and_by_its_content(tmp_path: Path, files):
    for name, content in files.items():
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    shutil.copytree(tmp_path / "train", tmp_path / "copy")
    dataset = mine(tmp_path / "train", heldout_folder=str(tmp_path / "copy"))
    with pytest.raises(AdagenError, match="files of the same names and content"):
        load_dataset(dataset)
    for path in (tmp_path / "copy").rglob("*.png"):
        path.rename(path.with_name(f"copy of {path.name}"))
    with pytest.raises(AdagenError, match="20 of the 20 held-out images"):
        load_dataset(dataset)
