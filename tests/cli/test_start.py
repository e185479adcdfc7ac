"""A training that begins at the searched schedule, by the commands of the workflow."""

from pathlib import Path

import pytest
import torch
import yaml
from console import CONFIG
from safetensors.torch import load_file

from adagen.runtime.files import load_tensors, save_tensors

KEPT = {"learning_rate": 1e-9, "table_learning_rate": 0.0, "condition_learning_rate": 1e-9}
FILES = "--generator flow.safetensors --networks metrics.safetensors --reference real.safetensors"
SEARCH = "sweep --experiment flow_t4 --out tuned.safetensors --log tuned.csv"


def configure(**training) -> None:
    changed = {"training": {**CONFIG["training"], **training}}
    Path("config.yaml").write_text(yaml.safe_dump({**CONFIG, **changed}))


def train(method: str, *, options: str = "--start tuned.safetensors") -> str:
    return (
        f"train --experiment flow_t4 --method {method} --seed 0 {FILES} --features "
        f"reward.safetensors {options} --out {method}.safetensors --log {method}.jsonl"
    )


@pytest.fixture
def searched(ready):
    configure(start="tuned", **KEPT)
    ready(f"{SEARCH} {FILES}")
    return ready


def test_policies_begin_at_the_schedule_and_are_sampled_with(searched):
    """One that stops too, though the search knows no stops; each knows the class."""
    # A search as brief as this one may find nothing better than the hand-made schedule.
    tensors, about = load_tensors(Path("tuned.safetensors"), "policy")
    table = tensors["actor.table"] + 0.1
    save_tensors(Path("tuned.safetensors"), {**tensors, "actor.table": table}, about=about)
    for method in ("adagen", "stopping"):
        searched(train(method))
        found = load_file(f"{method}.safetensors")["actor.table.table"]
        torch.testing.assert_close(found[:, :2], table)
        assert not found[:, 2:].any()
        searched(
            f"sample --experiment flow_t4 --method {method} --generator flow.safetensors "
            f"--policy {method}.safetensors --out {method}"
        )


def test_a_schedule_that_is_missing_or_of_something_else(searched):
    assert "give --start, the policy that" in searched.mistake(train("static", options=""))
    searched(f"{SEARCH.replace('t4', 't2').replace('tuned', 'other')} {FILES}")
    message = searched.mistake(train("static", options="--start other.safetensors"))
    assert "other.safetensors" in message and "flow_t2" in message
    searched(train("static"))
    message = searched.mistake(train("adagen", options="--start static.safetensors"))
    assert "static.safetensors" in message and "method" in message
    # A search of other settings.
    changed = {**CONFIG, "training": {**CONFIG["training"], "start": "tuned", **KEPT}}
    changed["sweep"] = {**CONFIG["sweep"], "spread": 0.7}
    Path("config.yaml").write_text(yaml.safe_dump(changed))
    assert "tuned.safetensors was made with sweep.spread" in searched.mistake(train("adagen"))
    configure(**KEPT)
    assert "training.start is 'handmade': leave --start out" in searched.mistake(train("adagen"))


def test_a_killed_training_goes_on_from_the_same_start_alone(searched):
    options = "--start tuned.safetensors --checkpoint state"
    searched.monkeypatch.setattr("adagen.training.kept.KeptPolicies.offer", stop)
    assert searched.status(train("adagen", options=options))
    searched.monkeypatch.undo()
    searched.monkeypatch.chdir(searched.folder)
    tuned = Path("tuned.safetensors")
    tensors, about = load_tensors(tuned, "policy")
    save_tensors(tuned, {key: value + 1e-3 for key, value in tensors.items()}, about=about)
    message = searched.mistake(train("adagen", options=options))
    assert "resumable state of something else" in message and "tuned" in message


def stop(*_, **__):
    raise InterruptedError
