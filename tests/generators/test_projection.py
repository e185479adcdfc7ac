"""Guidance rules that project, by hand and inside a generator."""

import pytest
import torch
from minimal import complaint, with_value

from adagen.generators.base import guide
from adagen.generators.projection import RULES, projected_null
from adagen.policy.networks import HandMade
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout


def image(*values: float) -> torch.Tensor:
    return torch.tensor([values]).view(1, 1, 1, -1)


def guided(rule, c, u, *, data, w) -> list[float]:
    null = projected_null(c, u, rule=rule, data=data)
    return guide(c, null, w=torch.tensor([w])).flatten().tolist()


def test_steps_by_hand():
    c, u, data = image(3.0, 1.0), image(1.0, 1.0), image(2.0, 0.0)
    # <c, u> / <u, u> = 4 / 2, so c + w (c - 2 u) = (3, 1) + 0.5 (1, -1).
    assert guided("zero_star", c, u, data=data, w=0.5) == pytest.approx([3.5, 0.5])
    # c - u = (2, 0) is parallel to the data: nothing is left of it.
    assert guided("apg", c, u, data=data, w=0.5) == pytest.approx([3.0, 1.0])
    # Orthogonal to (1, 1), half of each of (2, 0) is left: (1, -1).
    assert guided("apg", c, u, data=image(1.0, 1.0), w=0.5) == pytest.approx([3.5, 0.5])
    # Where the null output is orthogonal to the conditional one, it is left out.
    assert guided("zero_star", image(2.0, 0.0), image(0.0, 5.0), data=data, w=1.0) == [4.0, 0.0]
    zeros = projected_null(c, u, rule="apg", data=torch.zeros_like(c))
    assert torch.equal(zeros, u)
    assert torch.isfinite(projected_null(c, 0 * u, rule="zero_star", data=c)).all()
    # Channels that are not guided have no part in the products.
    both = [torch.cat([part, torch.full_like(part, 9.0)], 1) for part in (c, u, data)]
    null = projected_null(both[0], both[1], rule="zero_star", data=both[2], channels=1)
    assert null[:, :1].flatten().tolist() == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize("family", ["dit", "sit"])
def test_a_generator_follows_its_rule(family, tiny_generator):
    generator = tiny_generator(family)
    labels = torch.tensor([0, 3])

    def images() -> torch.Tensor:
        noise = SampleNoise("test", 0, range(2))
        return rollout(generator, HandMade(2), labels=labels, noise=noise)

    made = [images()]
    for rule in RULES:
        generator.guidance_rule = rule
        made.append(images())
    assert all(torch.isfinite(one).all() for one in made)
    assert not torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_tokens_have_no_such_rule():
    told = complaint(with_value("experiments.toy_t4.guidance_rule", "apg"))
    assert "experiments.toy_t4.guidance_rule is 'apg'" in told and "dit and sit" in told
