"""Only regular files of a limited size are read, at once and never in silence."""

import os
import socket
import tempfile
import time
from pathlib import Path

import pytest

from adagen.data.shards import read_shard
from adagen.data.weights import read_released
from adagen.data.zips import list_zip
from adagen.evaluation.npz import NpzImages
from adagen.runtime.documents import read_json, read_yaml
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_metadata, load_tensors
from adagen.runtime.hashing import file_hash
from adagen.runtime.limits import read_bytes, read_text, require_regular

READERS = {
    "bytes": lambda path: read_bytes(path, most=10),
    "yaml": read_yaml,
    "json": read_json,
    "tensors": lambda path: load_tensors(path, "policy"),
    "description": lambda path: load_metadata(path, "policy"),
    "hash": file_hash,
    "zip": list_zip,
    "npz": NpzImages.open,
    "weights": read_released,
    "shard": read_shard,
}


@pytest.fixture
def special(tmp_path):
    """A path of each kind that is no regular file."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "to_pipe").symlink_to("pipe")
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/socket")
        yield {
            tmp_path: "a folder",
            tmp_path / "pipe": "a pipe",
            tmp_path / "to_pipe": "a pipe",
            Path(short) / "socket": "a socket",
            Path("/dev/zero"): "a device",
            tmp_path / "loop": "a link to itself",
        }


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_regular_file_is_refused_at_once(special, reader):
    begin = time.monotonic()
    for path, kind in special.items():
        with pytest.raises(AdagenError, match=f"{path} is {kind}"):
            READERS[reader](path)
    assert time.monotonic() - begin < 5


def test_a_file_may_be_as_large_as_the_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbfseven77")
    assert read_bytes(path, most=10) == b"\xef\xbb\xbfseven77"
    assert read_text(path) == "seven77"
    with pytest.raises(AdagenError, match="file has more than 9 bytes"):
        read_bytes(path, most=9)


def test_a_path_that_no_file_can_have():
    with pytest.raises(AdagenError, match="is no path"):
        require_regular(Path("a\0b"))
