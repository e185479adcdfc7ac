"""Captions and their images: every format, and what is wrong in collections from the web."""

import io
import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adagen.data.captions.pairs import list_hash, read_captions
from adagen.data.pixels import Form
from adagen.data.sources import FileImages
from adagen.runtime.errors import AdagenError

TEXTS = {"0": "a red apple", "1": " two\n dogs ", "2": "", "3": "x" * 2000, "4": "a cafe\u0301"}


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), shade, np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images with texts beside them, one broken, one without text; and a text without any."""
    place = tmp_path / "images" / "00000"
    place.mkdir(parents=True)
    for name, text in TEXTS.items():
        (place / f"{name}.png").write_bytes(picture(40 * int(name)))
        (place / f"{name}.txt").write_text(text)
    (place / "5.png").write_bytes(picture(200)[:40])
    (place / "5.txt").write_text("a broken image")
    (place / "6.png").write_bytes(picture(240))
    (place / "7.txt").write_text("its image is gone")
    return tmp_path / "images"


def as_zip(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(folder))
    return path


def as_tar(folder: Path) -> Path:
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as archive:
        archive.add(folder / "00000", "00000")
    return path


def as_tars(folder: Path) -> Path:
    place = folder.with_name("tars")
    place.mkdir()
    for i, names in enumerate(("01234", "567")):
        with tarfile.open(place / f"{i:05d}.tar", "w") as archive:
            for file in sorted((folder / "00000").iterdir()):
                if file.stem in names:
                    archive.add(file, file.name)
    return place


@pytest.mark.parametrize("form", [lambda folder: folder, as_zip, as_tar, as_tars])
def test_texts_beside_images(folder, form, capsys):
    place = form(folder)
    captions = read_captions(place)
    assert captions.texts == ("a red apple", "two dogs", "a caf\u00e9")
    counts = captions.counts
    left_out = {"unreadable": 0, "empty": 1, "overlong": 1, "missing": 1, "broken": 1}
    assert (counts.read, counts.kept, counts.left_out) == (7, 3, left_out)
    assert counts.uncaptioned == 4
    assert "3 of 7 captions are kept; 1 empty" in capsys.readouterr().err
    assert captions.files is not None
    images = FileImages(captions.files.subset(captions.rows), Form("RGB", 16, 16, crop=True))
    assert [round(255 * float(image.mean())) for image in images[:]] == [0, 40, 160]


def test_cocos_json(folder, tmp_path):
    path = tmp_path / "captions_val2014.json"
    images = [{"id": i, "file_name": f"{i}.png", "height": 20} for i in (0, 5, 9)]
    annotations = [
        {"id": 1, "image_id": 0, "caption": "A red apple.\n"},
        {"id": 2, "image_id": 0, "caption": "An apple."},
        {"id": 3, "image_id": 5, "caption": "broken"},
        {"id": 4, "image_id": 9, "caption": "a dead link"},
        {"id": 5, "image_id": 8, "caption": "of no image"},
        {"id": 6, "image_id": 0, "caption": None},
        "no annotation",
    ]
    path.write_text(json.dumps({"info": {}, "images": images, "annotations": annotations}))
    captions = read_captions(path, folder)
    assert captions.texts == ("A red apple.", "An apple.")
    assert captions.rows.tolist() == [0, 0]
    counts = {"unreadable": 3, "empty": 0, "overlong": 0, "missing": 1, "broken": 1}
    assert captions.counts.left_out == counts
    assert len(read_captions(path).texts) == 4  # the captions alone


def test_cc3ms_table_by_line_number_and_by_path(folder, tmp_path):
    path = tmp_path / "validation.tsv"
    lines = [
        b"zero\thttp://example.org/a.jpg",
        b"one\t00000/1.png",
        b"no image",
        b"\xff\xfe\thttp://x",
        b"four\thttps://x/4",
        b"\thttp://x",
        b"six\thttp://x",
        b"seven\thttp://gone",
    ]
    path.write_bytes(b"\n".join(lines))
    captions = read_captions(path, folder)
    assert captions.texts == ("zero", "one", "four", "six")
    assert captions.rows.tolist() == [0, 1, 4, 6]
    counts = {"unreadable": 2, "empty": 1, "overlong": 0, "missing": 1, "broken": 0}
    assert captions.counts.left_out == counts


def test_a_plain_list(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text('\ufeffa "red" apple\n\n\u202ba fox\u202c\r\n\u6a39\n', encoding="utf-8")
    captions = read_captions(path)
    assert captions.texts == ('a "red" apple', "\u202ba fox\u202c", "\u6a39")
    assert captions.files is None and not len(captions.rows)
    assert captions.hash == read_captions(path).hash
    path.write_text("a fox\n")
    assert captions.hash != read_captions(path).hash


def test_the_hash_of_a_list_depends_on_its_order():
    assert list_hash(["a b", "c"]) != list_hash(["c", "a b"]) != list_hash(["a", "b c"])


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.json", b"{}", "no lists 'images' and 'annotations'"),
        ("a.json", b'{"images": [', "not a whole JSON file"),
        ("a.txt", b"\n\n", "nothing is left"),
        ("a.txt", "a fox\na dog".encode("utf-16"), "2 unreadable|1 unreadable"),
        ("a.txt", b"x" * 70_000, r"0 of 1 .*1 too long \(such as line 1\)"),
        ("a.tar", b"no tar at all", "cannot be read as a tar"),
        ("a.zip", b"no zip at all", "cannot be read as a zip"),
        ("a.parquet", b"", "is no file of captions"),
    ],
)
def test_what_is_no_file_of_captions(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AdagenError, match=words):
        read_captions(tmp_path / name)


def link_to_nothing(folder: Path) -> Path:
    (folder / "00000" / "8.png").symlink_to("/gone/8.png")
    return folder


def link_to_another(folder: Path) -> Path:
    (folder / "00000" / "8.png").symlink_to("6.png")
    return folder


def folder_on_a_lost_disk(folder: Path) -> Path:
    (folder / "00001").symlink_to("/lost/00001")
    return folder


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "00000" / "8.png")
    return folder


def two_unicode_forms(folder: Path) -> Path:
    for name in ("caf\u00e9.png", "cafe\u0301.png"):
        shutil.copy(folder / "00000" / "6.png", folder / "00000" / name)
    return folder


@pytest.mark.filterwarnings("ignore:Duplicate name")
def double_in_zip(folder: Path) -> Path:
    path = as_zip(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("00000/1.txt", "the second one")
    return path


def link_in_zip(folder: Path) -> Path:
    path = as_zip(folder)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("00000/8.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "6.png")
    return path


def double_in_tar(folder: Path) -> Path:
    path = as_tar(folder)
    with tarfile.open(path, "a") as archive:
        archive.add(folder / "00000" / "4.png", "00000/1.png")
    return path


def link_in_tar(folder: Path) -> Path:
    os.link(folder / "00000" / "6.png", folder / "00000" / "8.png")
    return as_tar(folder)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("damaged", "told"),
    [
        (link_to_nothing, "8.png is a link to /gone/8.png, which cannot be read"),
        (link_to_another, "are the same by a link"),
        (folder_on_a_lost_disk, "00001 is a link to /lost/00001"),
        (pipe, "is no regular file"),
        (two_unicode_forms, "in two Unicode forms"),
        (double_in_zip, "00000/1.txt stands twice"),
        (link_in_zip, "8.png is a link"),
        (double_in_tar, "00000/1.png stands twice"),
        (link_in_tar, "png is a link, or no plain file"),
    ],
)
def test_files_that_cannot_be_used_are_counted(folder, damaged, told, capsys):
    captions = read_captions(damaged(folder))
    assert captions.texts == ("a red apple", "two dogs", "a caf\u00e9")
    (fault,) = captions.counts.faults.values()
    assert told in fault
    assert "; 1 file left out (such as " in capsys.readouterr().err
    assert captions.files is not None
    images = FileImages(captions.files.subset(captions.rows), Form("RGB", 16, 16, crop=True))
    assert [round(255 * float(image.mean())) for image in images[:]] == [0, 40, 160]


def test_lines_that_are_too_long_are_counted_and_the_others_read(folder, tmp_path):
    path = tmp_path / "list.txt"
    lines = ["a fox", "x" * 65_535, "y" * 65_536, "z" * 1_000_000, "a dog", "w" * 70_000]
    path.write_text("\n".join(lines))
    captions = read_captions(path)
    assert captions.texts == ("a fox", "a dog")
    assert captions.counts.left_out["overlong"] == captions.counts.read - 2 == 4
    path = path.with_suffix(".tsv")
    path.write_text("".join(f"{line}\thttp://x/{i}\n" for i, line in enumerate(lines)))
    captions = read_captions(path, folder)
    assert captions.texts == ("a fox", "a dog") and captions.rows.tolist() == [0, 4]
    assert captions.counts.left_out["overlong"] == 4


def test_a_tar_that_is_cut_short(folder):
    """Or damaged: what follows would be missing, and nobody would know."""
    path = as_tar(folder)
    content = path.read_bytes()
    with tarfile.open(path) as archive:
        fifth = archive.getmembers()[4].offset
    damaged = content[:fifth] + b"\xff" * 512 + content[fifth + 512 :]
    ends = (700, 1500, 5000, fifth, fifth + 100)
    for found in (*(content[:end] for end in ends), damaged):
        path.write_bytes(found)
        with pytest.raises(AdagenError, match="cut short"):
            read_captions(path)
    (tars := folder.with_name("tars")).mkdir()
    (tars / "00000.tar").symlink_to("nowhere.tar")
    with pytest.raises(AdagenError, match=r"cannot be read as a tar .*Fetch it again"):
        read_captions(tars)


def test_files_that_two_images_share_a_name_with_are_missing(folder, tmp_path):
    shutil.copytree(folder / "00000", folder / "00001")
    path = tmp_path / "list.tsv"
    path.write_text("by name\t0.png\nby path\t00001/0.png\n")
    captions = read_captions(path, folder, decode=False)
    assert captions.texts == ("by path",)
    with pytest.raises(AdagenError, match="takes no other images"):
        read_captions(folder, folder)
    with pytest.raises(AdagenError, match="does not exist"):
        read_captions(tmp_path / "nothing.json")
