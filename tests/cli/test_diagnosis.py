"""`adagen diagnose reward`, on networks that know nothing."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from adagen.cli import diagnose as stage
from adagen.cli.main import app
from adagen.config import load_config
from adagen.training import ranking

# Stages from end to end.
pytestmark = pytest.mark.slow

FILES = "--generator flow.safetensors --networks metrics.safetensors --reference real.safetensors"
DIAGNOSE = (
    "diagnose reward --config config.yaml --experiment flow_t2 --features reward.safetensors "
    f"{FILES} --steps 6"
)
TRAIN = (
    f"train --config config.yaml --experiment flow_t2 --seed 3 --method static {FILES} "
    "--features reward.safetensors"
)


def test_help():
    done = CliRunner().invoke(app, ["diagnose", "reward", "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    for option in (
        "--config",
        "--preference",
        "--policy",
        "--samples",
        "--steps",
        "--shift",
        "--seed",
        "--figure",
    ):
        assert option in done.output


def test_from_files_to_a_verdict(ready, monkeypatch):
    ready(
        f"train --experiment flow_t2 --seed 3 {FILES} --features reward.safetensors "
        "--method static --out static_seed3.safetensors --log log.jsonl"
    )
    ready.capsys.readouterr()
    ready(f"{DIAGNOSE} --policy static_seed3.safetensors --out a/reward.json --figure reward.png")
    printed = ready.capsys.readouterr().out
    report = json.loads(Path("a/reward.json").read_text())
    names = ["handmade", "time +1", "time -1", "guidance +1", "guidance -1", "static_seed3"]
    assert [rung["name"] for rung in report["rungs"]] == names
    assert [rung["policy"] is None for rung in report["rungs"]] == [True] * 5 + [False]
    assert len({rung["fid"] for rung in report["rungs"]}) == 6
    assert [look["steps"] for look in report["looks"]] == [1]  # it learns all at once
    last = report["looks"][-1]
    assert set(last["rungs"]) == set(names) and set(last["ranking"]) == {"fid", "fid_label_free"}
    assert last["gap"] == last["real"]["accepted"] - last["heldout"]["accepted"]
    assert (report["samples"], report["kept"], report["shift"], report["seed"]) == (40, 40, 1, 0)
    assert set(report["hashes"]) == {"generator", "features", "networks", "reference"}
    assert report["reward"]["kind"] == "gaussian" and report["reward"]["components"] == 4
    # The reward is the logit, bounded.
    opinion = last["rungs"]["handmade"]
    assert opinion["reward"] == pytest.approx(opinion["logit"], rel=0.1)
    assert opinion["reward"] != opinion["logit"]
    assert report["verdict"] and report["verdict"][0]["text"] in printed
    for name in names:
        assert name in printed
    assert Path("reward.png").read_bytes().startswith(b"\x89PNG")

    # The same call gives the same bytes, another seed others.
    ready(f"{DIAGNOSE} --policy static_seed3.safetensors --out again.json")
    assert Path("again.json").read_bytes() == Path("a/reward.json").read_bytes()
    ready(f"{DIAGNOSE} --out other.json --seed 1")
    other = json.loads(Path("other.json").read_text())
    assert other["rungs"][0]["fid"] != report["rungs"][0]["fid"]

    # Fewer images fit in memory than are drawn: the distances are still of all of them.
    monkeypatch.setattr(stage, "KEPT", 5 * 11 * 4 * 64)
    ready(f"{DIAGNOSE} --out kept.json --samples 30 --shift 0.5")
    kept = json.loads(Path("kept.json").read_text())
    assert (kept["samples"], kept["kept"]) == (30, 11)
    assert kept["rungs"][1]["name"] == "time +0.5"


def test_the_two_sets_of_images_share_no_noise(ready, monkeypatch):
    found = []

    def watched(**parts):
        found.append(pools(**parts))
        return found[0]

    pools = ranking.Pools
    monkeypatch.setattr(ranking, "Pools", watched)
    ready(f"{DIAGNOSE} --out o.json")
    fake, fresh = found[0].fake, found[0].fresh
    assert len(fake.images) == len(fresh) == 5 * 40
    assert fake.images.labels.tolist() == fresh.labels.tolist() == [*range(10)] * 20
    assert not (fake.images.images == fresh.images.images).flatten(1).all(1).any()


def kind_of(ready, kind: str, **keys: object) -> str:
    """An option: the reward is of this kind."""
    content = {"training": {"reward": {"kind": kind, **keys}}}
    (ready.folder / "kind.yaml").write_text(yaml.safe_dump(content))
    return "--config kind.yaml"


STEPPED = {"batch": 8, "steps": 1, "warmup": 1, "channels": 4}


@pytest.mark.parametrize(
    ("kind", "keys", "looks"),
    [
        ("tokens", STEPPED, [1, 2, 3, 6]),
        ("convolution", STEPPED, [1, 2, 3, 6]),
        ("frechet", {"components": 4}, [0]),
        ("classifier", {}, [0]),
    ],
)
def test_rewards_of_every_kind_train_and_are_diagnosed(ready, kind, keys, looks):
    option = kind_of(ready, kind, **keys)
    if kind == "classifier":
        train = TRAIN + f" {option} --out o.safetensors --log o.jsonl"
        assert "give --preference the file" in ready.mistake(train)
        ready("pretrain preference --out preference.safetensors --checkpoint resume")
        assert not Path("resume").exists()
        option += " --preference preference.safetensors"
    ready(f"{TRAIN} {option} --out o.safetensors --log o.jsonl")
    (*_, record) = (json.loads(line) for line in Path("o.jsonl").read_text().splitlines())
    ready(f"{DIAGNOSE} {option} --out o.json")
    report = json.loads(Path("o.json").read_text())
    assert [look["steps"] for look in report["looks"]] == looks
    assert ("preference" in report["hashes"]) == (kind == "classifier")
    discriminates = kind in ("tokens", "convolution")
    for value in (record["accuracy_fake"], record["loss_discriminator"]):
        assert (value is not None) == discriminates
    assert (report["looks"][-1]["real"] is not None) == discriminates


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--samples 16", ["--samples is 16", "at least 17"]),
        ("--shift 0", ["--shift is 0.0", "positive"]),
        ("--figure o.gif", ["o.gif", ".png"]),
        ("--policy gone.safetensors", ["gone.safetensors does not exist"]),
        ("--policy flow.safetensors", ["generator file where a policy file was expected"]),
        ("--policy a/handmade.st", ["--policy a/handmade.st", "a rung 'handmade' already"]),
    ],
)
def test_a_mistaken_call(ready, options, parts):
    message = ready.mistake(f"{DIAGNOSE} --out o.json {options}")
    for part in parts:
        assert part in message


def test_headroom_from_files_to_a_verdict(ready):
    call = (
        f"diagnose headroom --config config.yaml --experiment flow_t2 {FILES} --trials 3 --seeds 2 "
        "--tried-on 40"
    )
    ready(f"{call} --out headroom.json --checkpoint state")
    printed = ready.capsys.readouterr().out
    found = json.loads(Path("headroom.json").read_text())
    assert [one["name"] for one in found["schedules"]] == ["handmade", "static", "by class"]
    # Three trials of the first phase, and twice three of the others, of 40 images each.
    assert [one["images"] for one in found["schedules"]] == [0, 360, 360]
    assert [len(one["fid"]) for one in found["schedules"]] == [2, 2, 2]
    assert found["verdict"] in printed and "360" in printed
    training = load_config([Path("config.yaml")]).experiments["flow_t2"].training
    assert found["samples"] == max(training.validate_samples, training.final_samples)
    assert not list(Path("state").glob("*"))  # a finished call leaves no state behind
    assert found["sweep"]["samples"] == 40
    assert "--samples is 16" in ready.mistake(f"{call} --out other.json --samples 16")
