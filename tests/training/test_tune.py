"""`adagen.tune`: the best static schedule that a search finds in so many images."""

from dataclasses import replace
from functools import partial

import pytest
import torch

import adagen
from adagen import AdagenError
from adagen.config import Training
from adagen.generators.stopping import Stopping
from adagen.training import tune as tuning
from adagen.training.default_searches import drawn_in_all, with_searches
from adagen.training.objective import SampledDistance

BRIEF = {"updates": 2, "trajectories": 32, "group": 4, "validate_every": 1, "validate_samples": 40}


def test_a_search_finds_no_worse_a_schedule_and_can_be_saved(hasty, tiny_generator, tmp_path):
    generator = tiny_generator("sit")
    sampler = adagen.tune(generator, "digits", images=240, seed=3, progress=False)
    log = sampler.log
    assert log["evaluation"].tolist() == [*range(1, 13)]
    assert log["fid"].min() < log["fid"][0]  # the hand-made schedule's
    assert sampler.policy.table.abs().max() > 0.01
    sampler.save(tmp_path / "tuned.safetensors")
    again = adagen.load(tmp_path / "tuned.safetensors", generator)
    made = again.policy_file.metadata
    assert (made["experiment"], made["method"]) == ("adagen.tune", "tuned")
    assert again(n=4, seed=1).images.equal(sampler(n=4, seed=1).images)
    with pytest.raises(AdagenError, match="made for something else"):
        adagen.load(tmp_path / "tuned.safetensors", tiny_generator("dit"))


def test_it_draws_what_it_may_and_by_default_what_a_training_draws(
    hasty, tiny_generator, monkeypatch
):
    searches = []

    def searched(generator, validator, *, sweep, name, checkpoint):
        searches.append(sweep)
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "searched", searched)
    generator = tiny_generator("maskgit")
    for images in (None, 40, 59, 1000):
        with pytest.raises(KeyboardInterrupt):
            adagen.tune(generator, "digits", images=images, progress=False)
    training = with_searches(Training(), generator, method="adagen", given=())
    budget = drawn_in_all(training, generator, method="adagen")
    assert budget > 1.6 * Training().images("adagen")
    drawn = [sweep.images("tuned") for sweep in searches]
    assert 0 <= budget - drawn[0] < 20 and drawn[1:] == [40, 40, 1000]
    assert (searches[-1].evaluations, searches[-1].table.evaluations) == (9, 41)
    # As many as a training with these settings.
    with pytest.raises(KeyboardInterrupt):
        adagen.tune(generator, "digits", progress=False, **BRIEF)
    brief = with_searches(Training(**BRIEF), generator, method="adagen", given=BRIEF)
    drawn = drawn_in_all(brief, generator, method="adagen")
    assert 100 < searches[-1].images("tuned") <= drawn < searches[-1].images("tuned") + 20


class Killed(Exception):
    """Stands for a kill."""


def test_a_search_that_was_killed_goes_on(hasty, tiny_generator, tmp_path, monkeypatch):
    run = partial(adagen.tune, tiny_generator("sit"), "digits", images=200, progress=False)
    whole, distance = run(), SampledDistance.__call__
    count = iter(range(100))

    def dies(objective, schedule):
        if next(count) == 5:
            raise Killed
        return distance(objective, schedule)

    monkeypatch.setattr(SampledDistance, "__call__", dies)
    with pytest.raises(Killed):
        run(checkpoint=tmp_path / "run")
    # Five schedules are known, so that five are left.
    resumed = run(checkpoint=tmp_path / "run")
    assert next(count) == 11 and torch.equal(resumed.policy.table, whole.policy.table)
    with pytest.raises(AdagenError, match="seed"):
        run(checkpoint=tmp_path / "run", seed=1)


def test_what_can_not_be_searched_is_told(hasty, tiny_generator, monkeypatch):
    generator = tiny_generator("sit")
    still = generator.actions.without_effect | dict.fromkeys(generator.actions.names, range(5))
    with monkeypatch.context() as patch:
        patch.setattr(generator, "actions", replace(generator.actions, without_effect=still))
        with pytest.raises(AdagenError, match="nothing to search for"):
            adagen.tune(generator, "digits")
    with pytest.raises(AdagenError, match=r"39 images are too few, .* on 20 .*give images=40"):
        adagen.tune(generator, "digits", images=39)
    for images in (1e5, True, "1000", 0, -20):
        with pytest.raises(AdagenError, match=r"images is .* whole number, 1 or more"):
            adagen.tune(generator, "digits", images=images)
    with pytest.raises(AdagenError, match=r"adagen\.tune: .*evaluations"):
        adagen.tune(generator, "digits", images=10**10)
    for seed in (-1, 2**32, 1.5, None, True):
        for call in (adagen.tune, adagen.train):
            with pytest.raises(AdagenError, match="seed is"):
                call(generator, "digits", seed=seed)
    with pytest.raises(AdagenError, match=r"adagen\.tune: .*'updats'"):
        adagen.tune(generator, "digits", updats=3)
    with pytest.raises(AdagenError, match="may stop"):
        adagen.tune(Stopping(generator), "digits")
    few = torch.rand(60, 1, 8, 8), torch.arange(60) % 10
    with pytest.raises(AdagenError, match=r"no distance to search by, as .* held-out images"):
        adagen.tune(generator, few, images=100)
    with pytest.raises(AdagenError, match=r"adagen\.tune"):
        adagen.tune(torch.nn.Linear(1, 1), "digits")
