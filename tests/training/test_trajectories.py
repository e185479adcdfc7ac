"""Trajectories: what is drawn is what is remembered, and who shares which noise."""

import pytest
import torch

from adagen.config import Training
from adagen.policy.networks import ConstantTable
from adagen.training.ppo import gaussian_log_prob
from adagen.training.trajectories import Trajectories, collect

SETTINGS = Training(trajectories=24, group=4, batch=24)
SIGMA = 0.3


@pytest.fixture
def gather(tiny_generator):
    generator = tiny_generator("sit")
    policy = ConstantTable(generator.actions.calls, len(generator.actions.names))
    policy.table.data.copy_(torch.linspace(-1, 1, policy.table.numel()).view_as(policy.table))

    def run(update: int = 0, seed: int = 0, sigma: float = SIGMA, **changes) -> Trajectories:
        settings = SETTINGS.model_copy(update=changes)
        return collect(generator, policy, sigma=sigma, settings=settings, seed=seed, update=update)

    run.generator, run.table = generator, policy.table.detach()
    return run


def deviations(gather, *arguments) -> torch.Tensor:
    """(T, B, K) what exploration added, in units of sigma."""
    return (gather(*arguments).raw - gather.table.unsqueeze(1)) / SIGMA


def test_shapes_and_what_is_remembered(gather):
    got, (t, k) = gather(), gather.table.shape
    assert got.features.shape == (t, 24, 16, 16)
    assert got.raw.shape == got.actions.shape == (t, 24, k)
    assert got.log_prob.shape == (t, 24)
    assert got.images.shape == (24, 1, 8, 8) and got.labels.shape == (24,)
    assert torch.equal(got.calls, torch.arange(t))
    expected = gaussian_log_prob(got.raw, gather.table.unsqueeze(1), sigma=SIGMA)
    assert torch.allclose(got.log_prob, expected, atol=1e-4)
    # What the raw outputs became: without smoothing, the residual added, then squashed.
    residual = gather.generator.actions.residual.unsqueeze(1)
    expected = gather.generator.actions.squash(got.raw + residual)
    assert torch.allclose(got.actions, expected, atol=1e-6)


def test_a_group_shares_label_and_noise_and_explores_apart(gather):
    got = gather()
    groups = got.labels.unflatten(0, (6, 4))
    assert (groups == groups[:, :1]).all() and len(groups.unique()) > 2
    drawn = deviations(gather)
    assert len(drawn.flatten().unique()) == drawn.numel()
    # Without exploration the trajectories of a group are one trajectory, and groups differ.
    still = gather(sigma=1e-9).images.unflatten(0, (6, 4))
    assert (still - still[:, :1]).abs().max() < 1e-4
    assert (still[0] - still[1]).abs().max() > 1e-2


def test_exploration_is_standard_normal_in_units_of_sigma(gather):
    drawn = torch.cat([deviations(gather, update) for update in range(8)], dim=1).flatten()
    assert abs(drawn.mean()) < 0.1 and abs(drawn.std() - 1) < 0.1


def test_updates_and_seeds_share_nothing(gather):
    base = deviations(gather)
    assert torch.equal(base, deviations(gather))
    for arguments in ((1, 0), (0, 1)):
        assert not torch.isin(deviations(gather, *arguments), base).any()
    still = [gather(update, seed, 1e-9).images for update, seed in ((0, 0), (1, 0), (0, 1))]
    assert not any(torch.allclose(still[0], other, atol=1e-2) for other in still[1:])


@pytest.mark.parametrize(("size", "sizes"), [(1, [1] * 24), (7, [7, 7, 7, 3]), (24, [24])])
def test_parts_hold_every_trajectory_once(gather, size, sizes):
    got = gather()
    parts = got.chunks(size)
    assert [len(got.labels[part]) for part in parts] == sizes
    assert torch.equal(torch.cat([got.raw[:, part] for part in parts], dim=1), got.raw)


@pytest.mark.parametrize("batch", [5, 8, 100])
def test_batches_change_nothing(gather, batch):
    whole, parts = gather(), gather(batch=batch)
    for name in ("features", "raw", "log_prob", "actions", "images"):
        one, other = getattr(whole, name), getattr(parts, name)
        # Rounding grows with the numbers: features reach 30.
        assert torch.allclose(one, other, atol=1e-5 * max(10, one.abs().max())), name
    assert torch.equal(whole.labels, parts.labels)


def test_features_are_kept_as_asked_for(gather):
    plain = gather()
    assert plain.features.dtype == torch.float32
    everything = slice(0, 24)
    assert plain.seen(everything).equal(plain.features)
    host = gather(keep_features="host")
    assert host.features.device.type == "cpu" and host.seen(everything).equal(plain.features)
    rounded = gather(keep_features="bfloat16")
    assert rounded.features.dtype == torch.bfloat16
    seen = rounded.seen(slice(3, 9))
    assert seen.dtype == torch.float32 and seen.shape == (*plain.features.shape[:1], 6, 16, 16)
    assert torch.allclose(seen, plain.features[:, 3:9], rtol=2**-7, atol=1e-3)


def test_the_policy_sees_what_is_kept(tiny_generator):
    """Or the first epoch would begin with densities that aren't those of the rollout."""
    generator, saw = tiny_generator("maskgit"), []

    def policy(features, call):
        saw.append(features)
        return features.mean((1, 2)).unsqueeze(1).expand(-1, len(generator.actions.names))

    settings = SETTINGS.model_copy(update={"keep_features": "bfloat16"})
    got = collect(generator, policy, sigma=SIGMA, settings=settings, seed=0, update=0)
    assert torch.stack(saw).equal(got.seen(slice(0, 24)))
    exact = collect(generator, policy, sigma=SIGMA, settings=SETTINGS, seed=0, update=0)
    assert not torch.stack(saw).equal(exact.features)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_what_is_learnt_from_is_float32_whatever_the_precision(family, tiny_generator, precision):
    generator = tiny_generator(family)
    generator.backbone.precision = precision
    policy = ConstantTable(generator.actions.calls, len(generator.actions.names))
    settings = SETTINGS.model_copy(update={"trajectories": 4})
    got = collect(generator, policy, sigma=SIGMA, settings=settings, seed=0, update=0)
    for name in ("features", "raw", "log_prob", "actions", "images"):
        assert getattr(got, name).dtype == torch.float32, name
