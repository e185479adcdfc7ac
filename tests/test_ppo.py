import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen import ppo
from adagen.config import PolicyNetworkSize
from adagen.policies import PolicyNetwork


def test_log_prob_and_entropy_against_torch():
    raw, mean = torch.randn(7, 3), torch.randn(7, 3)
    normal = torch.distributions.Normal(mean, 0.4)
    assert torch.allclose(ppo.gaussian_log_prob(raw, mean, 0.4), normal.log_prob(raw).sum(-1))
    assert math.isclose(ppo.gaussian_entropy(3, 0.4), normal.entropy()[0].sum(), rel_tol=1e-6)


def test_clipping_by_hand():
    ratio = torch.tensor([[0.5, 1.0, 1.5]])
    for sign, policy in ((1.0, (0.5 + 1 + 1.2) / 3), (-1.0, -(0.8 + 1 + 1.5) / 3)):
        loss = ppo.ppo_loss(
            ratio.log(), torch.zeros(1, 3), torch.full((1, 3), sign), torch.zeros(1, 3),
            torch.full((1, 3), 2.0), entropy=3.0, clip=0.2, value_coefficient=0.5,
            entropy_coefficient=0.01,
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


def test_five_updates_equal_the_predecessors(shared, recipe):
    golden = np.load(shared / "goldens" / "adanat_ppo.npz")
    meta = json.loads(str(golden["meta"]))
    calls, batch, width, seed = meta["T"], meta["batch"], meta["feat_dim"], meta["recipe"]["seed"]
    size = PolicyNetworkSize(hidden=512, pointwise=128, first=1024, second=512)
    networks = {}
    for name, outputs in (("actor", 4), ("critic", 1)):
        network = PolicyNetwork(width, (16, 16), outputs, size)
        shapes = {f"policy.{name}.{k}": v.shape for k, v in network.state_dict().items()}
        weights = recipe.fill_all(shapes, seed, [["linear3", 0.5]])
        network.load_state_dict(
            {k.removeprefix(f"policy.{name}."): torch.from_numpy(v) for k, v in weights.items()}
        )
        networks[name] = network
    actor, critic = networks["actor"], networks["critic"]
    features = torch.cat(
        [
            torch.from_numpy(2 * recipe.u(f"ppo_feat{t}", seed, (batch, 256, width))).float()
            for t in range(calls)
        ]
    )
    steps = torch.from_numpy(golden["timestep"]).long()
    raw = torch.from_numpy(golden["actions"]).view(calls, batch, 4)
    old_log_prob = torch.from_numpy(golden["old_logprobs"]).view(calls, batch)
    reward = torch.from_numpy(golden["terminal_reward"])
    returns = ppo.normalise(reward.expand(calls, batch))
    np.testing.assert_allclose(returns.flatten(), golden["returns_normalised"], atol=1e-6)
    advantage = ppo.value_advantage(
        returns, torch.from_numpy(golden["old_values"]).view(calls, batch)
    )
    np.testing.assert_allclose(advantage.flatten(), golden["advantages"], atol=1e-6)
    np.testing.assert_allclose(
        actor(features, steps).detach(), golden["mean_before"], atol=2e-6, rtol=0
    )
    np.testing.assert_allclose(
        critic(features, steps).detach().flatten(), golden["old_values"], atol=2e-6, rtol=0
    )
    assert golden["entropy"] == pytest.approx(ppo.gaussian_entropy(4, meta["std"]), abs=1e-6)
    optimiser = torch.optim.Adam([*actor.parameters(), *critic.parameters()], meta["lr"])
    assert len(golden["losses"]) == 5
    for epoch, expected in enumerate(golden["losses"]):
        mean = actor(features, steps).view(calls, batch, 4)
        log_prob = ppo.gaussian_log_prob(raw, mean, meta["std"])
        if epoch == 0:
            np.testing.assert_allclose(log_prob.detach(), old_log_prob, atol=1e-5, rtol=0)
        loss = ppo.ppo_loss(
            log_prob,
            old_log_prob,
            advantage,
            critic(features, steps).view(calls, batch),
            returns,
            ppo.gaussian_entropy(4, meta["std"]),
            meta["eps_clip"],
            meta["value_coef"],
            meta["entropy_coef"],
        )
        assert loss.total.item() == pytest.approx(expected, abs=1e-6)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
    with torch.no_grad():
        mean, values = actor(features, steps), critic(features, steps)
        log_prob = ppo.gaussian_log_prob(raw, mean.view_as(raw), meta["std"]).flatten()
    np.testing.assert_allclose(mean, golden["mean_after"], atol=2e-5, rtol=0)
    np.testing.assert_allclose(values, golden["values_after"], atol=2e-5, rtol=0)
    np.testing.assert_allclose(log_prob, golden["logprob_after"], atol=2e-5, rtol=1e-5)
