"""The hash of a file is that of the bytes that were read, whoever writes to it meanwhile."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.runtime import hashing
from adagen.runtime.errors import AdagenError
from adagen.runtime.hashing import file_hash, reading


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def replaced(path: Path, content: bytes) -> None:
    """Another file takes its place, of the same time."""
    status, other = path.stat(), path.with_suffix(".other")
    other.write_bytes(content)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


def rewritten(path: Path, content: bytes) -> None:
    """The bytes change in place, and the time is set back."""
    status = path.stat()
    with path.open("r+b") as stream:
        stream.write(content)
        stream.truncate()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES = [replaced, rewritten]


@settings(max_examples=40)
@given(
    contents=st.lists(st.binary(min_size=3, max_size=3), min_size=1, max_size=4),
    how=st.sampled_from(CHANGES),
    tick=st.sampled_from([0, hashing.TICK]),
)
def test_it_follows_the_bytes(tmp_path_factory, contents, how, tick):
    """Also of equal size and time, whether hashes of this process are known or not."""
    path = tmp_path_factory.mktemp("hashes") / "file"
    path.write_bytes(b"")
    before, hashing.TICK = hashing.TICK, tick
    try:
        for content in contents:
            how(path, content)
            assert file_hash(path) == file_hash(path) == sha256(content)
    finally:
        hashing.TICK = before


@pytest.mark.parametrize("how", [*CHANGES, lambda path, _: path.unlink()])
def test_a_file_that_changes_while_it_is_read(tmp_path, how):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.utime(path, (1, 1))
    with pytest.raises(AdagenError, match="file changed while it was read"), reading(path) as file:
        assert path.read_bytes() == b"old"
        how(path, b"new")
    assert file.hash in (sha256(b"old"), sha256(b"new"))
    path.write_bytes(b"new")
    with reading(path) as file:
        content = path.read_bytes()
    assert file.hash == sha256(content)


def test_who_reads_it_says_what_is_missing(tmp_path):
    with pytest.raises(KeyError), reading(tmp_path / "none"):
        raise KeyError
    with pytest.raises(FileNotFoundError):
        file_hash(tmp_path / "none")


def test_a_large_file_is_hashed_once(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"large")
    monkeypatch.setattr(hashing, "TICK", 0)
    first = file_hash(path)
    monkeypatch.setattr(hashing.hashlib, "file_digest", None)  # would fail
    assert file_hash(path) == first
