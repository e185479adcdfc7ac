import pytest
import torch

from adagen.runtime import optimisers


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_steps_and_states_are_torch_s(name):
    """From the same slopes to the same bits, resumed on the way."""
    results = []
    for kind in (getattr(optimisers, name), getattr(torch.optim, name)):
        weights = [torch.linspace(-1, 1, 6).view(2, 3), torch.ones(4)]
        for weight in weights:
            weight.requires_grad_()
        groups = [{"params": weights[:1], "lr": 0.1}, {"params": weights[1:], "lr": 0.02}]
        optimiser = kind(groups, betas=(0.5, 0.99))
        for update in range(6):
            if update == 3:
                state = optimiser.state_dict()
                optimiser = kind(groups, betas=(0.5, 0.99))
                optimiser.load_state_dict(state)
            optimiser.zero_grad()
            sum((weight - update).square().sum() for weight in weights).backward()
            optimiser.step()
        results.append((*weights, optimiser.state_dict()["state"][1]["exp_avg_sq"]))
    for own, torchs in zip(*results, strict=True):
        assert torch.equal(own, torchs)
    assert not results[0][0].grad_fn
