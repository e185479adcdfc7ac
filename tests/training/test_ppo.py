import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.config import Training
from adagen.training import ppo


def test_log_prob_and_entropy_against_torch():
    raw, mean = torch.randn(7, 3), torch.randn(7, 3)
    normal = torch.distributions.Normal(mean, 0.4)
    assert torch.allclose(ppo.gaussian_log_prob(raw, mean, sigma=0.4), normal.log_prob(raw).sum(-1))
    assert math.isclose(ppo.gaussian_entropy(3, 0.4), normal.entropy()[0].sum(), rel_tol=1e-6)


def test_clipping_by_hand():
    ratio = torch.tensor([[0.5, 1.0, 1.5]])
    for sign, policy in ((1.0, (0.5 + 1 + 1.2) / 3), (-1.0, -(0.8 + 1 + 1.5) / 3)):
        loss = ppo.ppo_loss(
            ratio.log(), torch.zeros(1, 3), advantage=torch.full((1, 3), sign),
            values=torch.zeros(1, 3), returns=torch.full((1, 3), 2.0), entropy=3.0,
            settings=Training(clip=0.2, value_coefficient=0.5, entropy_coefficient=0.01),
        )  # fmt: skip
        assert math.isclose(loss.policy, -policy, rel_tol=1e-6)
        assert math.isclose(loss.value, 4.0)
        assert math.isclose(loss.total, -policy + 2.0 - 0.03, rel_tol=1e-6)
        assert math.isclose(loss.clip_fraction, 2 / 3, rel_tol=1e-6)


@given(st.integers(2, 8), st.integers(2, 8), st.integers(0, 1000))
def test_group_advantage_ignores_what_a_group_shares(groups, size, seed):
    torch.manual_seed(seed)
    inside = torch.randn(groups * size)
    shared = 100 * torch.randn(groups).repeat_interleave(size)
    advantage = ppo.group_advantage(inside + shared, size)
    assert torch.allclose(advantage, ppo.group_advantage(inside, size), atol=1e-2)
    assert advantage.unflatten(0, (groups, size)).mean(1).abs().max() < 1e-4


def test_within_share_and_explained_variance_known_cases():
    between = torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert ppo.within_group_share(between, 2) == 0
    assert math.isclose(ppo.within_group_share(torch.tensor([0.0, 1.0, 0.0, 1.0]), 2), 1)
    returns = torch.randn(3, 5)
    assert ppo.explained_variance(returns, returns) == 1
    assert math.isclose(ppo.explained_variance(torch.zeros(3, 5), returns), 0, abs_tol=1e-6)


def test_value_advantage_by_hand():
    """Three calls with values 1, 2, 4 and the reward 10."""
    returns, values = torch.full((3, 1), 10.0), torch.tensor([[1.0], [2.0], [4.0]])
    assert ppo.value_advantage(returns, values).flatten().tolist() == [9, 8, 6]
