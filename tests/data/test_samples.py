"""Folders of samples: what is written is read, whole or not at all, and damage is named."""

import errno
import json
import shutil
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.data.samples import KEYS, Samples, SamplesWriter, working_folder
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import save_tensors, write_json

SEEDS, COUNT, SHARD = (3, 8), 7, 3
IMAGES = torch.rand(2, COUNT, 3, 4, 4, generator=torch.Generator().manual_seed(0))
ACTIONS = torch.rand(2, 5, COUNT, 2, generator=torch.Generator().manual_seed(1))
LABELS, HANDMADE = torch.arange(COUNT) % 4, torch.rand(5, 2)
ABOUT = {
    "experiment": "toy_sit_t4",
    "paradigm": "sit",
    "dataset": "toy",
    "steps": 4,
    "method": "adagen",
    "training_seed": 0,
    "num_classes": 4,
    "action_names": ["time", "guidance"],
    "cost": {"nfe": 8, "gflops_per_image": 0.5},
    "hashes": {"generator": "g", "policy": "p"},
    "settings": {},
}


def fill(writer: SamplesWriter, shards: int | None = None, seconds: float = 0.5) -> None:
    """Add what the writer misses, or the first few shards of it."""
    for seed, rows in writer.missing[:shards]:
        number = SEEDS.index(seed)
        part = slice(rows.start, rows.stop)
        writer.add(
            seed,
            rows,
            images=IMAGES[number, part],
            actions=ACTIONS[number][:, part],
            seconds=seconds,
        )


def make(out: Path, checkpoint: Path | None = None, **changes: object) -> Path:
    with working_folder(out, checkpoint) as folder:
        writer = SamplesWriter(folder, SEEDS, count=COUNT, shard=SHARD)
        fill(writer)
        writer.publish(out, about={**ABOUT, **changes}, labels=LABELS, handmade=HANDMADE)
    return out


def test_there_and_back(tmp_path):
    out = make(tmp_path / "samples" / "adagen")
    assert [p.name for p in out.parent.iterdir()] == ["adagen"]
    assert sorted(p.name for p in out.iterdir()) == [
        "about.json",
        *(f"seed{s}-{start:06d}.safetensors" for s in SEEDS for start in (0, 3, 6)),
        "steering.safetensors",
    ]
    samples = Samples.open(out)
    assert (samples.seeds, samples.count, samples.image_shape) == (SEEDS, COUNT, (3, 4, 4))
    assert samples.labels.equal(LABELS) and samples.handmade.equal(HANDMADE)
    assert samples.actions.equal(ACTIONS[0])
    for seed, images in zip(SEEDS, IMAGES, strict=True):
        batches = list(samples.batches(seed))
        assert [len(batch) for batch in batches] == [3, 3, 1]
        assert torch.cat(batches).equal(images)
    about = samples.about
    assert {**about, **{k: v for k, v in ABOUT.items() if k != "cost"}} == about
    assert (about["kind"], about["version"], set(KEYS) - set(about)) == ("samples", 2, set())
    # Six shards of half a second each.
    assert about["cost"] == {**ABOUT["cost"], "images_per_second": 14 / 3}


@given(
    rows=st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=5), seed=st.sampled_from(SEEDS)
)
def test_rows_in_any_order(finished, rows, seed):
    images = Samples.open(finished).images(seed, rows)
    assert images.equal(IMAGES[SEEDS.index(seed)][rows])


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("finished") / "samples")


def test_rows_are_read_from_their_shard_alone(tmp_path):
    out = make(tmp_path / "samples")
    samples = Samples.open(out)
    (out / "seed8-000000.safetensors").unlink()
    assert samples.images(8, [4, 6]).equal(IMAGES[1][[4, 6]])
    with pytest.raises(AdagenError, match=r"seed8-000000\.safetensors is missing"):
        samples.images(8, [2])


# Resuming


@pytest.mark.parametrize("before", range(7))
def test_a_writer_goes_on_from_what_is_there(tmp_path, before):
    folder = tmp_path / "work"
    fill(SamplesWriter(folder, SEEDS, count=COUNT, shard=SHARD), before, seconds=2.0)
    old = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    resumed = SamplesWriter(folder, SEEDS, count=COUNT, shard=SHARD)
    assert len(resumed.missing) == 6 - before
    assert resumed.done == [0, 3, 6, 7, 10, 13, 14][before]
    fill(resumed)
    assert all(path.stat().st_mtime_ns == time for path, time in old.items())
    resumed.publish(tmp_path / "out", about=ABOUT, labels=LABELS, handmade=HANDMADE)
    samples = Samples.open(tmp_path / "out")
    assert torch.cat(list(samples.batches(8))).equal(IMAGES[1])
    # The time of the killed run counts.
    speed = 14 / (2.0 * before + 0.5 * (6 - before))
    assert samples.about["cost"]["images_per_second"] == pytest.approx(speed)


def test_damaged_shards_and_leftovers_of_a_kill_are_made_again(tmp_path):
    folder = tmp_path / "work"
    fill(SamplesWriter(folder, SEEDS, count=COUNT, shard=SHARD))
    cut = folder / "seed3-000003.safetensors"
    cut.write_bytes(cut.read_bytes()[:-1])
    save_tensors(folder / "seed8-000000.safetensors", {"images": IMAGES[1, :2]}, about={})
    (folder / ".seed8-000000-x1y2.safetensors").write_bytes(b"half")
    resumed = SamplesWriter(folder, SEEDS, count=COUNT, shard=SHARD)
    assert resumed.missing == [(3, range(3, 6)), (8, range(3))] and resumed.done == 8
    fill(resumed)
    resumed.publish(tmp_path / "out", about=ABOUT, labels=LABELS, handmade=HANDMADE)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        p.name for p in make(tmp_path / "whole").iterdir()
    }


# Appearing


class Killed(BaseException):
    """Stands for a kill."""


def killed_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """Let the n-th change be the end: it doesn't happen, nor does anything after it."""
    left = iter(range(step - 1, -100, -1))

    def dies(function):
        def call(*arguments, **options):
            if next(left) <= 0:
                raise Killed
            return function(*arguments, **options)

        return call

    for owner, name in ((Path, "rename"), (shutil, "copyfile"), (shutil, "rmtree")):
        patch.setattr(owner, name, dies(getattr(owner, name)))


def another_file_system(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a folder lie in a file system of its own."""
    rename = Path.rename

    def refuses(self, target):
        if self.is_relative_to(folder) != Path(target).is_relative_to(folder):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    patch.setattr(Path, "rename", refuses)


@pytest.mark.parametrize("far", [False, True], ids=["one file system", "two file systems"])
@pytest.mark.parametrize("before", ["nothing", "samples"])
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 10, 11, 12, 13, 14])
def test_killed_while_it_moves_leaves_all_or_nothing(tmp_path, before, far, step):
    out, checkpoint = tmp_path / "here" / "samples", tmp_path / "there"
    if before == "samples":
        make(out, method="tuned")
    with pytest.MonkeyPatch.context() as patch:
        if far:
            another_file_system(patch, checkpoint)
        with working_folder(out, checkpoint) as folder:
            writer = SamplesWriter(folder, SEEDS, count=COUNT, shard=SHARD)
            fill(writer)
            killed_at(patch, step)
            with suppress(Killed):
                writer.publish(out, about=ABOUT, labels=LABELS, handmade=HANDMADE)
    assert not out.exists() or Samples.open(out).about["method"] in ("tuned", "adagen")

    # The next run has nothing left to make, unless all of it is in its place, and tidies up.
    arrived = out.exists() and Samples.open(out).about["method"] == "adagen"
    with pytest.MonkeyPatch.context() as patch:
        if far:
            another_file_system(patch, checkpoint)
        with working_folder(out, checkpoint) as folder:
            writer = SamplesWriter(folder, SEEDS, count=COUNT, shard=SHARD)
            assert arrived or not writer.missing
            fill(writer)
            writer.publish(out, about=ABOUT, labels=LABELS, handmade=HANDMADE)
    assert torch.cat(list(Samples.open(out).batches(3))).equal(IMAGES[0])
    assert [p.name for p in out.parent.iterdir()] == ["samples"]
    assert not list(checkpoint.iterdir())


def test_without_a_checkpoint_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), working_folder(tmp_path / "out", None) as folder:
        fill(SamplesWriter(folder, SEEDS, count=COUNT, shard=SHARD), 2)
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_only_samples_make_way_for_samples(tmp_path):
    mine = tmp_path / "results" / "thesis.tex"
    mine.parent.mkdir()
    mine.write_text("years of work")
    for out, told in ((mine.parent, "is no folder of samples"), (mine, "is a file")):
        with pytest.raises(AdagenError, match=told):
            make(out)
    assert mine.read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    make(make(tmp_path / "empty"))
    notes = tmp_path / "empty" / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(AdagenError, match=r"notes\.txt is no part of samples, and would be lost"):
        make(tmp_path / "empty")
    assert notes.read_text() == "mine"


def test_what_a_kill_left_beside_samples_is_removed_by_the_next_run(tmp_path):
    out = tmp_path / "samples"
    for left in (".samples-a1b2c3d4", ".samples-other"):
        (tmp_path / left / "samples").mkdir(parents=True)
    with working_folder(out, None) as first, working_folder(out, None) as second:
        assert first != second and first.parent.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [".samples-other"]


# Bad input


def damage(out: Path, how: str) -> Path:
    """The folder to open once it is damaged."""
    shard, about = out / "seed8-000003.safetensors", out / "about.json"
    content = json.loads(about.read_text())
    if how == "missing folder":
        return out / "gone"
    if how == "foreign folder":
        about.unlink()
    elif how == "wrong kind":
        write_json(about, {**content, "kind": "metrics"})
    elif how == "not ours":
        write_json(about, [1, 2])
    elif how == "newer":
        write_json(about, {**content, "version": 3})
    elif how == "missing key":
        write_json(about, {k: v for k, v in content.items() if k != "cost"})
    elif how == "edited about":
        write_json(about, {**content, "steps": 8})
    elif how == "shard of another seed":
        shutil.copy(out / "seed3-000003.safetensors", shard)
    elif how == "steering of others":
        labels = {"labels": LABELS.flip(0), "actions": ACTIONS[0], "handmade": HANDMADE}
        save_tensors(out / "steering.safetensors", labels, about={"kind": "samples steering"})
    elif how == "cut about":
        about.write_text(about.read_text()[:-10])
    elif how == "missing shard":
        shard.unlink()
    elif how == "truncated shard":
        shard.write_bytes(shard.read_bytes()[:-9])
    elif how == "foreign shard":
        safetensors.torch.save_file({"weights": torch.ones(3)}, shard)
    elif how == "short shard":
        save_tensors(shard, {"images": IMAGES[1, :2]}, about={})
    elif how == "no steering":
        (out / "steering.safetensors").unlink()
    return out


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("missing folder", r"gone does not exist.*Run `adagen sample` first"),
        ("foreign folder", r"samples is no folder of samples: it has no about\.json"),
        ("wrong kind", r"about\.json describes 'metrics' where 'samples' was expected"),
        ("not ours", r"about\.json describes 'something foreign'"),
        ("newer", r"version 3, but this adagen reads version 2"),
        ("missing key", r"about\.json lacks 'cost'"),
        ("edited about", r"about\.json was changed after it was written"),
        ("shard of another seed", r"seed8-000003\.safetensors belongs to other samples"),
        ("steering of others", r"steering\.safetensors belongs to other samples"),
        ("cut about", r"about\.json is not a whole JSON file"),
        ("missing shard", r"seed8-000003\.safetensors is missing.*adagen sample"),
        ("truncated shard", r"seed8-000003\.safetensors cannot be read.*truncated.*adagen sample"),
        ("foreign shard", r"seed8-000003\.safetensors cannot be read.*something else"),
        ("short shard", r"seed8-000003\.safetensors holds images of shape \(2, 3, 4, 4\), but"),
        ("no steering", r"steering\.safetensors does not exist"),
    ],
)
def test_damage_is_named_before_anything_is_measured(tmp_path, how, told):
    out = damage(make(tmp_path / "samples"), how)
    with pytest.raises(AdagenError, match=told):
        Samples.open(out)


def test_a_seed_that_was_not_sampled(tmp_path):
    samples = Samples.open(make(tmp_path / "samples"))
    with pytest.raises(AdagenError, match="no samples of seed 5, only of 3, 8"):
        next(samples.batches(5))


@given(st.integers(1, 40), st.integers(1, 50))
def test_shards_are_the_samples_in_order(tmp_path_factory, count, shard):
    folder = tmp_path_factory.mktemp("work")
    rows = [rows for _, rows in SamplesWriter(folder, (0,), count=count, shard=shard).missing]
    assert rows[0].start == 0 and rows[-1].stop == count
    assert all(a.stop == b.start for a, b in pairwise(rows))
    assert all(0 < len(r) <= shard for r in rows)
