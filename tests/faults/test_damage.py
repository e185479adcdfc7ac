"""Files that were cut short or changed in one bit: an error that says how to make them again."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from damage import cut, flip
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adagen.config import Fit
from adagen.data.samples import Samples, SamplesWriter
from adagen.runtime.checkpoints import load_checkpoint, previous_of, save_checkpoint
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import MADE_BY, load_tensors, save_tensors

ANYWHERE = st.floats(0, 1, exclude_max=True)
SAMPLE = "sample --experiment flow_t2 --method handmade --generator flow.safetensors --out o"


@settings(max_examples=60)
@given(kind=st.sampled_from(sorted(MADE_BY)), where=ANYWHERE, damage=st.sampled_from([cut, flip]))
def test_any_file_of_tensors(tmp_path_factory, kind, where, damage):
    """Policies, networks, features, statistics: no damage is read as if it were nothing."""
    path = tmp_path_factory.mktemp("damaged") / "file.safetensors"
    save_tensors(path, {"a": torch.ones(30), "b": torch.arange(5)}, about={"kind": kind, "n": 1})
    damage(path, where)
    with pytest.raises(AdagenError) as error:
        load_tensors(path, kind)
    assert "file.safetensors" in str(error.value)


def test_the_error_says_what_makes_it_again(tmp_path):
    path = tmp_path / "adagen_seed0.safetensors"
    save_tensors(path, {"a": torch.ones(30)}, about={"kind": "policy"})
    flip(path, 0.9)
    told = "adagen_seed0.*checksum.*Move it away and run `adagen train`.*rules train.*workflow"
    with pytest.raises(AdagenError, match=told):
        load_tensors(path, "policy")


def test_files_of_before_the_checksum_are_read(tmp_path):
    path = tmp_path / "old.safetensors"
    about = {"about": json.dumps({"kind": "policy"})}
    safetensors.torch.save_file({"a": torch.ones(3)}, path, about)
    assert load_tensors(path, "policy")[0]["a"].equal(torch.ones(3))


@settings(max_examples=30)
@given(where=ANYWHERE, damage=st.sampled_from([cut, flip]))
@example(where=0.0859375, damage=flip)  # of a description that is no longer found
def test_a_shard(tmp_path_factory, where, damage):
    """While samples are made, it is made again; later, whoever reads it refuses it."""
    folder = tmp_path_factory.mktemp("samples")
    images, actions = torch.rand(4, 1, 2, 2), torch.rand(2, 4, 1)
    for rows in (range(2), range(2, 4)):
        SamplesWriter(folder, (0,), count=4, shard=2).add(
            0,
            rows,
            images=images[rows.start : rows.stop],
            actions=actions[:, rows.start : rows.stop],
            seconds=1.0,
        )
    shard = folder / "seed0-000002.safetensors"
    damage(shard, where)
    assert SamplesWriter(folder, (0,), count=4, shard=2).missing == [(0, range(2, 4))]
    about = {"samples": 4, "shard": 2, "shards": {"0": ["seed0-000000.safetensors", shard.name]}}
    samples = Samples(folder, about, *[torch.zeros(0)] * 3)
    assert samples.images(0, [1]).equal(images[[1]])  # others are as good as before
    with pytest.raises(AdagenError, match=r"seed0-000002.*adagen sample` again"):
        samples.images(0, [0, 3])
    with pytest.raises(AdagenError, match="seed0-000002"):
        list(samples.batches(0))


def test_a_network_is_damaged_between_two_stages(ready):
    """Doing what the error says leads to the same samples."""
    ready(SAMPLE)
    before = {path: path.read_bytes() for path in Path("o").glob("steering*")}
    generator = Path("flow.safetensors").read_bytes()
    flip(Path("flow.safetensors"), 0.99)
    message = ready.mistake(SAMPLE.replace("--out o", "--out p"))
    assert "flow.safetensors" in message and "adagen pretrain <generator>" in message
    Path("flow.safetensors").unlink()
    ready("pretrain flow --out flow.safetensors")
    assert Path("flow.safetensors").read_bytes() == generator
    ready(SAMPLE)
    assert {path: path.read_bytes() for path in before} == before


class Now(Fit):
    """Settings with a key that older ones lack."""

    rate: float | None = None


@pytest.mark.parametrize(("then", "now"), [(Fit, Now), (Now, Fit)], ids=["lacks", "has more"])
@pytest.mark.parametrize("value", [None, 0.5])
def test_a_checkpoint_of_an_older_config(tmp_path, then, now, value):
    """It is not continued under other rules; deleting what is named starts afresh."""
    path = tmp_path / "run.ckpt"
    old, new = (kind(updates=3) for kind in (then, now))
    old, new = (
        s.model_copy(update={"rate": value}) if isinstance(s, Now) else s for s in (old, new)
    )
    for update in (1, 2):
        save_checkpoint(path, "run", settings=old, state={"update": update})
    with pytest.raises(AdagenError, match=r"other settings than those of run now: .*Move") as e:
        load_checkpoint(path, "run", settings=new)
    told = str(e.value)
    assert str(path) in told and str(previous_of(path)) in told
    assert ("settings.rate is" in told) == (value is not None)
    path.unlink()
    previous_of(path).unlink()
    assert load_checkpoint(path, "run", settings=new) is None
