"""Files appear whole or not at all."""

import os
import stat
import subprocess
import sys

import pytest

from adagen.runtime.atomic import atomic_path
from adagen.runtime.files import write_json


def test_the_file_appears_at_the_end_and_nothing_else_does(tmp_path):
    path = tmp_path / "new" / "folder" / "out.csv"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert (temporary.parent, temporary.suffix) == (path.parent, ".csv")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_or_none(tmp_path, failure):
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("old")
    for path in (old, new):
        with pytest.raises(failure), atomic_path(path) as temporary:
            temporary.write_text("half")
            raise failure
    assert old.read_text() == "old"
    assert list(tmp_path.iterdir()) == [old]


KILLED = """
import os, signal, sys
from pathlib import Path
from adagen.runtime.atomic import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_kill_left_is_removed_by_the_next_write(tmp_path):
    path = tmp_path / "out[1].txt"
    subprocess.run([sys.executable, "-c", KILLED, path], timeout=60)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out[1]-") and left.read_text() == "half"
    with atomic_path(path) as first, atomic_path(path) as second:  # but no other write's file
        first.write_text("first")
        second.write_text("second")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "first"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_user_decides_who_may_read(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_json(tmp_path / "out.json", {})
        assert stat.S_IMODE((tmp_path / "out.json").stat().st_mode) == mode
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
