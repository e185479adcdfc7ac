import os
import subprocess
import sys

import pytest

from adagen.runtime.usage import ASKED, processor_time, said_in

CHILD = "import time\nwhile time.process_time() < 0.3: pass"
BUSY = f"""
import os, subprocess, sys
from adagen.runtime.usage import say_at_the_end
say_at_the_end()
subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
print(f"mine {{sum(os.times()[:4])}}", file=sys.stderr)
"""


def ended(environment):
    done = subprocess.run(
        [sys.executable, "-c", BUSY], env=environment, capture_output=True, text=True, timeout=60
    )
    return done.stderr


def test_a_process_says_what_it_and_its_children_took(tmp_path):
    log = tmp_path / "job.log"
    log.write_text(ended({**os.environ, ASKED: "1"}))
    said = processor_time(log)
    counted = float(log.read_text().split("mine ")[1].split()[0])
    assert said == pytest.approx(counted, abs=0.1)
    assert said > 0.3  # the child's alone


def test_nothing_is_said_where_nobody_asks_and_by_one_of_several_processes():
    quiet = {key: value for key, value in os.environ.items() if key != ASKED}
    assert said_in(ended(quiet)) is None
    for rank in ("0", "1"):
        launched = {"LOCAL_RANK": rank, "RANK": rank, "WORLD_SIZE": "2"}
        assert said_in(ended({**quiet, ASKED: "1", **launched})) is None


def test_the_last_line_counts_and_a_log_may_be_missing(tmp_path):
    assert said_in("adagen: 1.00 s of processor time\nadagen: 2.50 s of processor time\n") == 2.5
    assert said_in(" 50%|##   | 3/6adagen: 9.00 s of processor time\n") == 9  # an open bar
    assert processor_time(tmp_path / "gone.log") is None
