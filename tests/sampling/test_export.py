"""A learned schedule as numbers for other programs."""

import json

import pytest
import torch
from policies import random_policy
from toy_stopping import StoppingToy

from adagen import export_schedule
from adagen.generators.stopping import Stopping
from adagen.policy.networks import HandMade
from adagen.runtime.errors import AdagenError
from adagen.sampling.export import mean_schedule, write_export
from adagen.sampling.sampler import Sampler


@pytest.fixture
def dit(tiny_generator) -> Sampler:
    generator = tiny_generator("dit")
    return Sampler(generator, random_policy(generator))


def test_the_mean_over_samples(dit):
    exported = export_schedule(dit, 20)
    actions = dit(n=20).actions
    assert exported["samples"] == 20 and exported["steps"] == len(actions) - 1
    torch.testing.assert_close(torch.tensor(exported["guidance"]), actions[..., 1].mean(1))
    assert exported["guidance_scale"] == pytest.approx([1 + w for w in exported["guidance"][1:]])


def test_times_are_those_that_the_solver_would_take(dit):
    """They fall, by the least distance at least; a network sees a thousand times as much."""
    actions = torch.rand(5, 3, 2)
    exported = mean_schedule(dit.generator, actions)
    times = torch.tensor(exported["time"])
    assert (times[:-1] - times[1:] >= 0.0099).logical_or(times[1:] < 0.0101).all()
    assert exported["timesteps"] == pytest.approx([1000 * time for time in exported["time"][:-1]])
    alpha, sigma = dit.generator.schedule.alpha_sigma(times)
    torch.testing.assert_close(torch.tensor(exported["sigmas"]), sigma / alpha)


def test_a_flow_has_shares_of_noise(tiny_generator):
    generator = tiny_generator("sit")
    exported = export_schedule(Sampler(generator, HandMade(2)), 2)
    assert exported["sigmas"] == pytest.approx([1 - time for time in exported["time"]], abs=1e-6)


def test_other_families_have_their_own_actions(tiny_generator, tmp_path):
    generator = tiny_generator("maskgit")
    exported = export_schedule(Sampler(generator, HandMade(4)), 2)
    assert set(exported) == {"samples", *generator.actions.names}
    write_export(tmp_path / "s.txt", exported)
    assert len((tmp_path / "s.txt").read_text().splitlines()) == 5


def test_files(dit, tmp_path):
    exported = export_schedule(dit, 4)
    write_export(tmp_path / "s.json", exported)
    assert json.loads((tmp_path / "s.json").read_text()) == exported
    write_export(tmp_path / "s.txt", exported)
    head, *lines = (tmp_path / "s.txt").read_text().splitlines()
    assert head == "# mean over 4 samples"
    assert [line.split(":")[0] for line in lines] == ["timesteps", "sigmas", "guidance_scale"]
    assert len(lines[1].split(",")) == exported["steps"] + 1
    with pytest.raises(AdagenError, match=r"the suffix '\.yaml'"):
        write_export(tmp_path / "s.yaml", exported)


def test_samples_that_stop_have_no_mean_after_the_last_of_them(tmp_path):
    """Nothing that JSON can't hold: the schedule is as long as the longest sample."""
    generator = Stopping(StoppingToy())
    actions = torch.full((4, 2, 2), 0.5)
    actions[1:, 0] = actions[2:, 1] = torch.nan
    exported = mean_schedule(generator, actions)
    assert exported == {"samples": 2, "level": [0.5, 0.5], "stop": [0.5, 0.5]}
    write_export(tmp_path / "stopping.json", exported)
