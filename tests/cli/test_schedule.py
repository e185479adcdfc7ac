"""`adagen schedule`: what a policy does, printed, written and drawn."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from adagen.data.samples import Samples
from adagen.paper.schedule import class_share, over_all, schedule_table

POLICY = "--experiment flow_t2 --generator flow.safetensors"
TRAINED = f"{POLICY} --method adagen --policy adagen.safetensors"


@pytest.fixture
def trained(ready):
    ready(
        f"train {POLICY} --networks metrics.safetensors --reference real.safetensors "
        "--features reward.safetensors --method adagen --seed 3 --out adagen.safetensors "
        "--log adagen.jsonl"
    )
    return ready


def test_a_trained_policy(trained):
    trained(f"schedule {TRAINED} --samples 40 --seed 1 --out new/schedule.csv --figure s.pdf")
    assert Path("s.pdf").read_bytes().startswith(b"%PDF")
    table = pd.read_csv("new/schedule.csv")
    assert set(table["training_seed"]) == {3} and set(table["count"]) == {40, 4}
    assert len(table) == (1 + 10) * 2 * 3
    whole, share = over_all(table), class_share(table)
    # Features are zeros at the first call: one action for all. Later ones look at the sample.
    assert share[:, 0].isna().all() and (whole["std"][:, 2] > 0).all()
    assert ((share[:, 2] > 0) & (share[:, 2] < 1)).all()

    # The samples are those that are reported on.
    config = yaml.safe_load(Path("config.yaml").read_text())
    config["evaluation"]["seeds"] = [1]
    Path("config.yaml").write_text(yaml.safe_dump(config))
    trained(f"sample {TRAINED} --out samples")
    samples = Samples.open(Path("samples"))
    same = schedule_table(
        samples.actions.numpy(),
        samples.handmade.numpy(),
        labels=samples.labels.numpy(),
        names=("time", "guidance"),
        experiment="flow_t2",
        method="adagen",
        training_seed=3,
    )
    for column in ("handmade", "mean", "std", "q05", "q95"):
        assert np.allclose(table[column], same[column], atol=1e-6)


def test_the_hand_made_schedule_is_printed(ready):
    before = ready.files()
    ready.capsys.readouterr()
    ready(f"schedule {POLICY} --method handmade --samples 20")
    printed = ready.capsys.readouterr().out
    assert ready.files() == before
    assert printed.startswith("flow_t2, handmade: 20 samples of 10 classes.")
    lines = [line.split() for line in printed.splitlines()]
    assert ["2", "0.99", "0.99", "0", "0.99", "0.99", "-"] in lines
    assert ["time"] in lines and ["guidance"] in lines
    assert printed.endswith("No action differs noticeably between classes.\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (f"{POLICY} --method handmade --figure s.svg", ["s.svg", ".pdf or .png"]),
        (f"{POLICY} --method adagen", ["'adagen' needs its --policy file"]),
        (f"{POLICY} --method adagen --policy gone", ["gone does not exist", "policy file"]),
        (f"{POLICY} --method magic", ["'magic'", "handmade, halton"]),
        (f"{POLICY.replace('t2', 't6')} --method handmade", ["'flow_t6'", "flow_t2, flow_t4"]),
    ],
)
def test_a_mistaken_call(ready, options, told):
    message = ready.mistake(f"schedule {options}")
    for part in told:
        assert part in message


def test_the_mean_schedule_for_other_programs(ready):
    ready(f"schedule {POLICY} --method handmade --samples 20 --export new/schedule.json")
    exported = json.loads(Path("new/schedule.json").read_text())
    assert exported["steps"] == 2 and len(exported["time"]) == 3
    mistake = ready.mistake(f"schedule {POLICY} --method handmade --export s.csv")
    assert "the suffix '.csv'" in mistake
