"""The script of docs/experiments/own_generators.md: its generators, budgets, rows and summary."""

import csv
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import adagen
from adagen.generators.flow import StraightPath
from adagen.generators.multistep import multistep

pytest.importorskip("diffusers")
FOLDER = Path(__file__).parents[2] / "docs" / "experiments" / "own_generators"


@pytest.fixture(scope="module")
def script():
    """The script's modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import compare
        import dit
        import flow

        yield SimpleNamespace(compare=compare, dit=dit, flow=flow)
    for name in ("compare", "dit", "flow"):
        sys.modules.pop(name)


def untrained(script, name: str, **options):
    """A generator whose network is random."""
    network, kind = script.compare.GENERATORS[name]
    torch.manual_seed(0)
    return kind(network().eval().requires_grad_(False), **options)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("name", ["dit", "flow"])
def test_both_are_what_adagen_expects_of_a_generator(script, name, ordered):
    generator = untrained(script, name, ordered=ordered)
    adagen.check_generator(generator)  # raises an error otherwise
    assert generator.actions.ordered == (("time",) if ordered else ())


@torch.no_grad()
def test_the_solver_is_that_of_adagen(script):
    """At times and guidance of each sample; the last step goes to the image itself."""
    generator = untrained(script, "dit")
    labels, noise = torch.tensor([3, 1, 4]), adagen.SampleNoise("test", 0, range(3))
    state, past = generator.start(labels, noise), ()
    for call in range(4):
        action = torch.tensor([[0.8, 0.0], [0.7, 1.0], [0.9, 3.0]]) * torch.tensor([0.7**call, 1])
        wide = state.level.view(-1, 1, 1, 1)
        velocity = adagen.guide(state.conditional, state.unconditional, w=action[:, 1])
        past = (*past, (1 - state.level, state.x - wide * velocity))[-2:]
        after = generator.step(state, action)
        expected = past[-1][1]
        if call < 3:
            torch.testing.assert_close(after.level, action[:, 0])
            chosen = 1 - action[:, 0]
            expected = multistep(StraightPath(), state.x, past=past, chosen=chosen, solver="2m")
        torch.testing.assert_close(after.x, expected, atol=1e-5, rtol=1e-5)
        state = after


@torch.no_grad()
def test_the_flow_shows_every_pixel_once(script):
    generator = untrained(script, "flow")
    state = generator.start(torch.arange(10), adagen.SampleNoise("test", 0, range(10)))
    for action in generator.actions.handmade:
        after = generator.step(state, action.expand(10, -1))
        shown = state.pixels != script.flow.MASK
        assert torch.equal(after.pixels[shown], state.pixels[shown])
        state = after
        time = 1 if state.call == 4 else action[0]
        assert torch.equal(state.pixels != script.flow.MASK, state.shown_at < time)
    assert generator.decode(state).unique().numel() > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dit", "flow"])
def test_a_table_is_made_once_and_its_searches_draw_equally_many_images(
    script, name, tmp_path, monkeypatch, capsys
):
    kind, drawn, during = script.compare.GENERATORS[name][1], Counter(), [""]
    decode, sampler = kind.decode, script.compare.Comparison.sampler

    def counting(generator, state):
        drawn[during[0]] += len(state.labels)
        return decode(generator, state)

    def named(comparison, method, seed):
        during[0] = method
        found = sampler(comparison, method, seed)
        during[0] = ""
        return found

    monkeypatch.setattr(kind, "decode", counting)
    monkeypatch.setattr(script.compare.Comparison, "sampler", named)
    call = ["--out", str(tmp_path), "--tiny", "--generator", name, "--seeds", "1"]
    script.compare.main(call)
    printed = capsys.readouterr().out
    assert f"{name} adagen - tuned" in printed

    table = tmp_path / "tiny" / "own_generators.csv"
    with table.open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert [*rows] == ["handmade", "tuned", "adagen"]
    assert [row["seed"] for row in rows.values()] == ["", "1", "1"]
    assert all(float(row["fid"]) > 0 and 0 <= float(row["recall"]) <= 1 for row in rows.values())
    images = {method: int(row["images"]) for method, row in rows.items()}
    assert images["handmade"] == 0 and 0 <= images["adagen"] - images["tuned"] < 20
    # What the rows say was drawn, but for a few images that a checkpoint is bound by.
    assert all(0 <= drawn[method] - images[method] <= 10 for method in ("tuned", "adagen"))

    def again(*given, **named):
        raise AssertionError("nothing is left to compute")

    content = table.read_bytes()
    monkeypatch.setattr(script.compare, "Comparison", again)
    script.compare.main(call)
    assert table.read_bytes() == content and capsys.readouterr().out in printed
    with pytest.raises(AssertionError, match="nothing is left"):
        script.compare.main([*call, "2"])


def test_the_summary_has_means_and_paired_differences(script):
    def rows(method, images, numbers):
        return [
            {
                "generator": "dit",
                "method": method,
                "seed": str(seed),
                "images": str(images),
                **dict.fromkeys(script.compare.SCORES, f"{number}"),
            }
            for seed, number in numbers.items()
        ]

    found = script.compare.summary(
        [*rows("tuned", 1000, {0: 0.5, 1: 0.4, 2: 0.6}), *rows("adagen", 1010, {2: 0.5, 1: 0.2})]
    )
    tuned, adagen_, difference = (line.split() for line in found.splitlines()[1:-1])
    assert tuned[1:5] == ["tuned", "3", "1000", "0.5000"]
    assert adagen_[1:5] == ["adagen", "2", "1010", "0.3500"]
    # Differences -.2 and -.1: their error is .05, and Student's quantile of two is 12.7062.
    assert " ".join(difference[:8]) == "dit adagen - tuned 2 -0.1500 +- 0.6353"
    # A single seed has no interval.
    single = script.compare.summary(
        [*rows("tuned", 1000, {0: 0.5}), *rows("adagen", 1010, {0: 0.4})]
    )
    assert single.splitlines()[3].split()[4:] == ["1", *["-0.1000"] * 3]
