"""Single files of a zip: the same bytes as the library reads, from threads and processes."""

import random
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from adagen.data.zips import Member, list_zip, read_member
from adagen.runtime.errors import AdagenError

CONTENTS = {f"{i}.bin": random.Random(i).randbytes(3000 + i) for i in range(200)} | {"none": b""}


@pytest.fixture
def archive(tmp_path) -> Path:
    """A zip in which every second file is deflated, behind bytes that belong to no file."""
    path = tmp_path / "files.zip"
    path.write_bytes(b"#!/bin/sh\n")
    with zipfile.ZipFile(path, "a") as out:
        for i, (name, content) in enumerate(CONTENTS.items()):
            info = zipfile.ZipInfo(f"folder/{name}")
            info.compress_type = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[i % 2]
            with out.open(info, "w", force_zip64=i % 3 == 0) as stream:
                stream.write(content)
    return path


def test_every_file_comes_back(archive):
    files, folders = list_zip(archive)
    assert not folders
    assert [member.size for member in files.values()] == [len(c) for c in CONTENTS.values()]
    read = {name: read_member(archive, member) for name, member in files.items()}
    assert read == {f"folder/{name}": content for name, content in CONTENTS.items()}


def sizes(task: tuple[Path, list[Member]]) -> list[int]:
    path, members = task
    return [len(read_member(path, member)) for member in members]


def test_threads_and_forked_processes_do_not_disturb_each_other(archive):
    members = list(list_zip(archive)[0].values())
    expected = list(CONTENTS.values())
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(lambda m: read_member(archive, m), members)) == expected
    with get_context("fork").Pool(2) as workers:
        answers = workers.map(sizes, [(archive, members)] * 4)
    assert answers == [[len(content) for content in expected]] * 4


@pytest.mark.parametrize("row", [0, 1])
def test_damage_is_noticed(archive, row):
    member = list(list_zip(archive)[0].values())[row]
    data = bytearray(archive.read_bytes())
    data[member.offset + 1000] ^= 1
    archive.write_bytes(data)
    with pytest.raises(OSError, match=r"checksum|decompressing"):
        read_member(archive, member)
    archive.write_bytes(data[: member.offset + 20])
    with pytest.raises(OSError, match="damaged"):
        read_member(archive, member)


def test_rare_packing_is_refused_at_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "files.zip", "w", zipfile.ZIP_LZMA) as out:
        out.writestr("a/0.png", b"0" * 100)
    with pytest.raises(AdagenError, match=r"files\.zip/a/0\.png is encrypted, or packed"):
        list_zip(tmp_path / "files.zip")


def test_a_file_that_unpacks_to_more_than_it_says(tmp_path):
    """What a file declares bounds the memory it takes, and is compared with what comes."""
    path, size = tmp_path / "bomb.zip", 32 * 10**6
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a/bomb.png", bytes(size))
    (member,) = list_zip(path)[0].values()
    tracemalloc.start()
    for declared in (10**6, 10**6 + 1, 0):
        with pytest.raises(OSError, match=r"bytes that the zip says|before the end"):
            read_member(path, member._replace(size=declared))
    with pytest.raises(OSError, match="more than 1,000,000"):
        read_member(path, member, most=10**6)
    assert tracemalloc.get_traced_memory()[1] < 4 * 10**6
    tracemalloc.stop()
    with pytest.raises(OSError, match="bytes that the zip says"):
        read_member(path, member._replace(size=size + 1))


def test_a_name_that_stands_twice(tmp_path):
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(tmp_path / "files.zip", "w") as out,
    ):
        out.writestr("a/0.png", b"0")
        out.writestr("a/0.png", b"1")
    with pytest.raises(AdagenError, match=r"files\.zip/a/0\.png stands twice"):
        list_zip(tmp_path / "files.zip")


def test_a_file_beyond_the_end(tmp_path):
    """The directory says where files lie, and can say anything."""
    path = tmp_path / "files.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("a/0.png", b"0" * 100)
    whole = path.read_bytes()
    place = whole.rindex(b"PK\1\2") + 42  # the offset in the central directory
    path.write_bytes(whole[:place] + (2**31).to_bytes(4, "little") + whole[place + 4 :])
    with pytest.raises(AdagenError, match=r"beyond the end|cannot be read as a zip"):
        list_zip(path)
