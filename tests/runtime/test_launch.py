"""Variables of a job system start nothing; those of a launcher have to be complete."""

import os

import pytest

from adagen.runtime import processes
from adagen.runtime.errors import AdagenError
from adagen.runtime.launch import Launch, is_first_process
from adagen.runtime.notices import warn
from adagen.runtime.processes import SINGLE_PROCESS, start_processes

PODS = {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
LAUNCHED = {**PODS, "LOCAL_RANK": "0"}


@pytest.fixture
def environment(monkeypatch):
    def use(variables: dict[str, str]) -> None:
        for name in (*LAUNCHED, "PET_NNODES", "OMP_NUM_THREADS"):
            monkeypatch.setenv(name, "")  # is undone at the end, whatever the test does to it
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return use


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WORLD_SIZE": "2"},
        {"WORLD_SIZE": "many", "RANK": "first"},
        {"RANK": "1"},
        PODS,
        {"LOCAL_RANK": "0"},
        {"LOCAL_RANK": "0", "WORLD_SIZE": "1", "RANK": "0"},
    ],
)
def test_without_a_launcher_a_stage_is_one_process_at_once(environment, variables):
    environment(variables)
    assert is_first_process()
    with start_processes(1, "cpu") as alone:
        assert alone == SINGLE_PROCESS


@pytest.mark.parametrize("variables", [{}, PODS, {"LOCAL_RANK": "0"}])
def test_a_job_system_does_not_keep_a_stage_from_starting_processes(
    environment, monkeypatch, variables
):
    """Of which the launcher inherits nothing that could count there."""
    environment({**variables, "PET_NNODES": "2"})
    called = []

    def start(*command: object) -> None:
        called.append(dict(os.environ))
        raise InterruptedError

    monkeypatch.setattr(os, "execv", start)
    monkeypatch.setattr(processes.signal, "signal", lambda *_: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    with pytest.raises(InterruptedError), start_processes(2, "cpu"):
        pass
    assert not {*LAUNCHED, "PET_NNODES"} & set(called[0])
    assert called[0]["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two, LOCAL_RANK=0 are not all whole numbers"),
        ({"WORLD_SIZE": "2.0"}, "not all whole numbers"),
        ({"RANK": "2"}, "contradict one another"),
        ({"RANK": "-1"}, "contradict one another"),
        ({"WORLD_SIZE": "0"}, "contradict one another"),
        ({"LOCAL_RANK": "3"}, "contradict one another"),
        ({"RANK": ""}, "LOCAL_RANK is set, .* but RANK is not"),
        ({"MASTER_ADDR": ""}, "but MASTER_ADDR is not"),
        ({"MASTER_PORT": "http"}, "did not meet"),
        ({"MASTER_PORT": "99999"}, "did not meet"),
    ],
)
def test_a_launch_that_cannot_be_is_refused_at_once(environment, change, refusal):
    environment({**LAUNCHED, **change})
    with pytest.raises(AdagenError, match=refusal), start_processes(1, "cpu"):
        pass


def test_the_place_in_a_launch(environment):
    environment(LAUNCHED)
    assert Launch.of_environment() == Launch(rank=1, count=2, local_rank=0)
    assert not is_first_process()


def test_processes_that_do_not_come_are_waited_for_aloud_and_not_for_ever(
    environment, monkeypatch, capsys
):
    environment({**LAUNCHED, "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"})
    monkeypatch.setattr(processes, "ARRIVAL", processes.timedelta(seconds=1))
    monkeypatch.setattr(processes, "SILENCE", 0.2)
    with (
        pytest.raises(AdagenError, match="process 0 did not meet the 2 processes"),
        start_processes(1, "cpu"),
    ):
        pass
    assert "process 0 waits for the 2 processes" in capsys.readouterr().err


def test_a_job_system_silences_no_warning(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    warn("all images are black")
    monkeypatch.setenv("LOCAL_RANK", "1")
    warn("all images are black")
    assert capsys.readouterr().err.count("all images are black") == 1
