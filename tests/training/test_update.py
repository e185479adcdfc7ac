"""What an update of the policy takes: the memory of its backward pass has a bound."""

import torch
from torch import nn
from torch.profiler import profile

from adagen.config import PolicyNetworkSize, Training
from adagen.generators.conditions import ClassConditions
from adagen.policy.networks import PolicyNetwork
from adagen.runtime.processes import SINGLE_PROCESS
from adagen.training.trajectories import Trajectories
from adagen.training.update import PpoUpdate

COUNT, CALLS, WIDTH = 48, 3, 24
TOGETHER = {"conditions": ClassConditions(3), "processes": SINGLE_PROCESS}


def networks() -> list[nn.Module]:
    torch.manual_seed(0)
    return [
        PolicyNetwork(WIDTH, (8, 8), actions=actions, size=PolicyNetworkSize(hidden=32))
        for actions in (2, 1)
    ]


def drawn() -> Trajectories:
    torch.manual_seed(0)
    return Trajectories(
        features=torch.randn(CALLS, COUNT, 64, WIDTH),
        raw=torch.randn(CALLS, COUNT, 2),
        log_prob=torch.randn(CALLS, COUNT),
        actions=torch.rand(CALLS, COUNT, 2),
        labels=torch.zeros(COUNT, dtype=torch.long),
        images=torch.zeros(COUNT, 1, 8, 8),
    )


def most_memory(megabytes: float) -> tuple[float, int]:
    """The most megabytes in use during an update, beside what was there; and its chunks."""
    settings = Training(
        trajectories=COUNT, baseline="value", epochs=1, backward_memory=megabytes / 1000
    )
    actor, critic = networks()
    update = PpoUpdate(actor, critic, settings=settings, **TOGETHER)
    trajectories, rewards = drawn(), torch.rand(COUNT)
    update.step(trajectories, rewards, n=0, sigma=0.5)  # the optimiser's moments are there, too
    with profile(profile_memory=True) as profiler:
        update.step(trajectories, rewards, n=1, sigma=0.5)
    events = profiler.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    most = int(torch.tensor([size for _, size in changes]).cumsum(0).max())
    return most / 1e6, len(trajectories.chunks(update._chunk))


def test_the_backward_pass_takes_no_more_memory_than_it_may():
    whole, one = most_memory(1000)
    assert one == 1
    # Half of it, as a quarter has hardly more room than the gradients of the weights take.
    taken, parts = most_memory(whole / 2)
    assert 0.8 * whole / 2 < taken < 1.1 * whole / 2 and parts > 1


def test_without_a_value_network_more_trajectories_fit_and_one_is_always_taken():
    found = []
    for coefficient in (0.5, 0.0):
        for gigabytes in (1e-6, 0.01, 0.02, 0.03):
            settings = Training(
                trajectories=COUNT, value_coefficient=coefficient, backward_memory=gigabytes
            )
            update = PpoUpdate(*networks(), settings=settings, **TOGETHER)
            found.append(update._chunk_of(drawn()))
    valued, alone = found[:4], found[4:]
    assert valued[0] == alone[0] == 1 and valued[1] < alone[1]
    assert all(abs(n[3] - 2 * n[2] + n[1]) <= 1 for n in (valued, alone))


def test_a_first_call_that_is_the_same_for_all_changes_nothing_but_the_time(monkeypatch):
    settings = Training(trajectories=COUNT, baseline="value", epochs=3, backward_memory=0.002)
    trajectories, rewards = drawn(), torch.rand(COUNT)
    trajectories.features[0] = trajectories.features[0, 0].clone()
    assert trajectories.begins_alike and not drawn().begins_alike
    found, shown = [], []
    for alike in (True, False):
        actor, critic = networks()
        actor.register_forward_hook(lambda _, given, __: shown.append(len(given[0])))
        monkeypatch.setitem(trajectories.__dict__, "begins_alike", alike)
        update = PpoUpdate(actor, critic, settings=settings, **TOGETHER)
        record = update.step(trajectories, rewards, n=0, sigma=0.5)
        assert len(trajectories.chunks(update._chunk)) > 1
        found.append((record["loss_policy"], record["loss_value"], *actor.parameters()))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)
    assert 1 in shown
