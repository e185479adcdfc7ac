"""One process at a time has a folder of resumable state."""

import os
import subprocess
import sys

import pytest

from adagen.runtime import locks as locking
from adagen.runtime.errors import AdagenError
from adagen.runtime.locks import LOCK, exclusive_folder, exclusive_outputs

HOLDER = """
import sys
from pathlib import Path
from adagen.runtime.locks import exclusive_folder
with exclusive_folder(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that has the folder `resume`, until it reads a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "resume"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_told_who_has_it(holder, tmp_path, monkeypatch):
    monkeypatch.setattr(locking, "PATIENCE", 0.2)
    told = f"resume is in use by process {holder.pid} on .*end it; or give another folder"
    with pytest.raises(AdagenError, match=told), exclusive_folder(tmp_path / "resume"):
        pass
    assert (tmp_path / "resume" / LOCK).exists()


def test_a_short_wait_for_one_that_ends(holder, tmp_path):
    assert holder.stdin is not None
    holder.stdin.write("\n")
    holder.stdin.flush()
    with exclusive_folder(tmp_path / "resume"):
        assert str(os.getpid()) in (tmp_path / "resume" / LOCK).read_text()


def test_a_killed_one_has_it_no_longer(holder, tmp_path):
    holder.kill()
    with exclusive_folder(tmp_path / "resume"):
        (tmp_path / "resume" / "run.ckpt").write_text("state")
    assert [path.name for path in (tmp_path / "resume").iterdir()] == ["run.ckpt"]


def test_nothing_is_left_of_a_run_that_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), exclusive_folder(tmp_path / "resume"):
        raise ZeroDivisionError
    assert not (tmp_path / "resume").exists()
    with exclusive_folder(None):
        pass


def test_processes_of_one_launch_share_it(holder, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("RANK", "1")
    with exclusive_folder(tmp_path / "resume"):
        pass
    assert (tmp_path / "resume" / LOCK).exists()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(AdagenError, match="resumable state takes a folder"),
        exclusive_folder(tmp_path / "file"),
    ):
        pass


def test_where_nothing_can_be_locked_it_goes_on_and_says_so(tmp_path, monkeypatch, capsys):
    def no_locks(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.lockf", no_locks)
    with exclusive_folder(tmp_path / "resume"):
        pass
    assert "see to it that no other process uses it" in capsys.readouterr().err


WRITER = """
import sys
from pathlib import Path
from adagen.runtime.locks import exclusive_outputs
with exclusive_outputs(map(Path, sys.argv[1:])):
    print("mine", flush=True)
    sys.stdin.readline()
"""


def test_an_output_has_one_writer_and_a_killed_one_leaves_nothing_that_stays(tmp_path, monkeypatch):
    out, log = tmp_path / "new" / "out.csv", tmp_path / "new" / "log.csv"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, out, log], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"mine\n"
    monkeypatch.setattr(locking, "PATIENCE", 0.2)
    (tmp_path / "link").symlink_to("new")
    for others in ([log], [tmp_path / "b", tmp_path / "link" / "out.csv"]):
        refusal = f"csv is being written by process {process.pid} on .*end it; or write to another"
        with pytest.raises(AdagenError, match=refusal), exclusive_outputs(others):
            pass
    with exclusive_outputs([tmp_path / "new" / "other.csv"]):
        pass
    process.kill()
    process.communicate()
    assert {path.name for path in out.parent.iterdir()} == {".out.csv.lock", ".log.csv.lock"}
    with exclusive_outputs([out, log]):
        out.touch()
    assert [*out.parent.iterdir()] == [out]


def test_folders_that_were_made_for_a_lock_go_with_it(tmp_path):
    with exclusive_outputs([tmp_path / "a" / "b" / "out"]):
        assert (tmp_path / "a" / "b").is_dir()
    assert [*tmp_path.iterdir()] == []
