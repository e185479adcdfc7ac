"""Stages of a killed workflow end, those by hand live on."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from adagen.runtime.shutdown import WORKFLOW

STAGE = """
import os, sys, time
from adagen.runtime.shutdown import exit_when_workflow_exits
{before}
exit_when_workflow_exits()
print(os.getpid(), flush=True)
time.sleep(30)
"""
WATCHES = {"told by the kernel": "", "looks every second": "del os.pidfd_open"}


class Chain:
    """What Snakemake starts: a shell with a stage and tee; and a process in Snakemake's place."""

    def __init__(self, folder: Path, before: str, leads: str) -> None:
        stage, self.log = folder / "stage.py", folder / "log"
        stage.write_text(STAGE.format(before=before))
        shell = f"set -o pipefail; {sys.executable} {stage} 2>&1 | tee {self.log}; true"
        code = f"""
import os, subprocess
from adagen.runtime.shutdown import WORKFLOW, end_stages_with_this_process
{leads}
child = subprocess.Popen(["bash", "-c", {shell!r}])
print(child.pid, flush=True)
child.wait()
"""
        environment = {k: v for k, v in os.environ.items() if k != WORKFLOW}
        self.workflow = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, text=True
        )
        assert self.workflow.stdout is not None
        self.shell = int(self.workflow.stdout.readline())
        while not (self.log.exists() and self.log.read_text().endswith("\n")):
            time.sleep(0.05)
        self.stage = int(self.log.read_text())

    def ends(self, seconds: float = 5) -> bool:
        """Do shell and stage end within this time?"""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not (alive(self.shell) or alive(self.stage)):
                return True
            time.sleep(0.05)
        return False

    def says(self, text: str, seconds: float = 5) -> bool:
        """Does the log say this within this time? tee may write after the stage has ended."""
        until = time.monotonic() + seconds
        while text not in self.log.read_text():
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def close(self) -> None:
        self.workflow.kill()
        self.workflow.wait()
        for process in (self.shell, self.stage):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def alive(process: int) -> bool:
    """Is it there, and not only waiting to be noticed?"""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or read
        return False


@pytest.fixture
def chain(tmp_path, request):
    opened = []

    def start(before: str = "", leads: str = "end_stages_with_this_process()") -> Chain:
        opened.append(Chain(tmp_path, before, leads))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
@pytest.mark.parametrize("victim", ["workflow", "shell"])
@pytest.mark.parametrize("watch", WATCHES)
def test_the_whole_chain_ends_with_any_part_above_the_stage(chain, watch, victim):
    started = chain(WATCHES[watch])
    if victim == "workflow":
        started.workflow.kill()
        started.workflow.wait()
    else:
        os.kill(started.shell, signal.SIGKILL)
    assert started.ends()
    assert started.says("which started this stage, is gone")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_stage_by_hand_lives_on(chain):
    started = chain(leads="")
    started.workflow.kill()
    os.kill(started.shell, signal.SIGKILL)
    assert not started.ends(1.5)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_on_another_machine_the_parent_is_followed(chain):
    """Process numbers of the workflow's machine say nothing there."""
    started = chain(leads="os.environ[WORKFLOW] = '4194305@elsewhere'")
    assert not started.ends(0.5)
    os.kill(started.shell, signal.SIGKILL)
    assert started.ends()
