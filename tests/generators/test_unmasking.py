"""Unmasking by rule: counts by hand, and samples that unmask as many as they are sure of."""

import math

import pytest
import torch
from minimal import complaint, with_value

from adagen.config import Experiment
from adagen.generators.build import build_generator
from adagen.generators.unmasking import RULES, guided_entropy, left_masked
from adagen.policy.networks import HandMade
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout

ALL = torch.ones(1, 4, dtype=torch.bool)


def left(rule, values, bound, unknown=ALL) -> int:
    bounds = torch.tensor([bound])
    return int(left_masked(rule, torch.tensor([values]), unknown=unknown, bound=bounds))


def test_counts_by_hand():
    p = [math.log(value) for value in (0.95, 0.5, 0.91, 0.1)]
    assert [left("confidence", p, bound) for bound in (0.9, 0.93, 0.99, 0.0)] == [2, 3, 3, 0]
    # Entropies .1 .2 .4 .8 in rising order: sums less the largest are 0, .1, .3 and .7.
    h = [-0.4, -0.1, -0.8, -0.2]
    bounds = (0.0, 0.1 + 1e-6, 0.3 + 1e-6, 0.6, 0.8)
    assert [left("entropy", h, bound) for bound in bounds] == [3, 2, 1, 1, 0]
    # What is known is neither counted nor unmasked again.
    unknown = torch.tensor([[True, False, True, True]])
    assert left("entropy", h, 0.2 + 1e-6, unknown) == 1
    assert left("confidence", p, 0.93, unknown) == 2
    for rule in RULES:
        assert left(rule, h, 0.5, torch.zeros(1, 4, dtype=torch.bool)) == 0


def test_entropy_is_that_of_the_guided_distribution():
    conditional, null = torch.tensor([[[0.0, 0.0, 0.0]]]), torch.tensor([[[-1.0, 0.0, 0.0]]])
    (even,) = guided_entropy(conditional, null=null, w=torch.tensor([0.0]))
    assert float(even) == pytest.approx(math.log(3))
    (guided,) = guided_entropy(conditional, null=null, w=torch.tensor([2.0]))
    p = torch.tensor([2.0, 0.0, 0.0]).softmax(0)
    assert float(guided) == pytest.approx(float(-(p * p.log()).sum()))


@pytest.mark.parametrize(("rule", "sure", "unsure"), [("confidence", 0, 1), ("entropy", 999, 0)])
def test_a_generator_unmasks_what_its_samples_are_sure_of(tiny_generator, rule, sure, unsure):
    backbone = tiny_generator("maskgit").backbone
    labels, noise = torch.tensor([0, 3]), SampleNoise("test", 0, range(2))
    for bound, masked in ((sure, 0), (unsure, 1)):
        experiment = Experiment(generator="t", unmasking=rule, unmasking_bound=bound)
        generator = build_generator(backbone, experiment)
        state = generator.start(labels, noise)
        positions = generator.positions
        state = generator.step(state, generator.actions.handmade[0].expand(2, -1))
        left = (state.ids == generator.mask).sum(1).tolist()
        assert left == [masked * (positions - 1)] * 2
        assert generator.actions.names[0] == "bound"
        assert generator.actions.effective[:-1, 0].all()
        assert not generator.actions.effective[:, 1].any()  # no confidence temperature
        images = rollout(generator, HandMade(4), labels=labels, noise=noise)
        assert torch.isfinite(images).all()


def test_solvers_have_no_such_rule():
    content = with_value("experiments.toy_t4", {"generator": "flow", "unmasking": "entropy"})
    assert "experiments.toy_t4.unmasking is 'entropy'" in complaint(content)
