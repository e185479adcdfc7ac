import pytest
import torch

from adagen.runtime import optimisers


def optimised(kind, *, resumed_as, **settings):
    """Weights and a state after six steps on two groups, the last three by another optimiser."""
    weights = [torch.linspace(-1, 1, 6).view(2, 3), torch.ones(4)]
    for weight in weights:
        weight.requires_grad_()
    groups = [{"params": weights[:1], "lr": 0.1}, {"params": weights[1:], "lr": 0.02}]
    optimiser = kind(groups, betas=(0.5, 0.99), **settings)
    for update in range(6):
        if update == 3:
            state = optimiser.state_dict()
            optimiser = resumed_as(groups, betas=(0.5, 0.99))
            optimiser.load_state_dict(state)
        optimiser.zero_grad()
        sum((weight - update).square().sum() for weight in weights).backward()
        optimiser.step()
    assert not weights[0].grad_fn
    assert [group["fused"] for group in optimiser.param_groups] == [True, True]
    return *weights, optimiser.state_dict()["state"][1]["exp_avg_sq"]


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_steps_and_states_are_torch_s(name):
    """From the same slopes to the same bits, resumed on the way."""
    own, torchs = getattr(optimisers, name), getattr(torch.optim, name)

    def fused(*arguments, **settings):
        return torchs(*arguments, **settings, fused=True)

    for pair in zip(
        optimised(own, resumed_as=own), optimised(fused, resumed_as=fused), strict=True
    ):
        assert torch.equal(*pair)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_a_state_that_was_written_without_the_kernel_goes_on_with_it(name):
    own = getattr(optimisers, name)
    torchs = optimised(getattr(torch.optim, name), resumed_as=own, fused=False)
    for pair in zip(optimised(own, resumed_as=own), torchs, strict=True):
        torch.testing.assert_close(*pair)
