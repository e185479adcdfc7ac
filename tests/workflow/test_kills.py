"""A few kills of a small run; `python tests/kills.py` does as many as one has time for."""

from pathlib import Path

import pytest
from kills import Harness
from stage_server import started_stages


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="finds processes in /proc")
def test_a_run_that_is_killed_ends_as_one_left_in_peace(tmp_path: Path) -> None:
    with started_stages() as stages:
        harness = Harness(tmp_path, seed=0, stages=stages)
    told = harness.run(kills=2)
    assert told["kills"] >= 2 and told["runs"] >= 1
    assert (told["losses"], told["orphans"], told["leftovers"]) == ([], 0, [])
