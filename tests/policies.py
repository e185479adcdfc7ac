"""A policy network for tests that isn't hand-made: it looks at the features, and acts."""

import torch
from torch import nn

from adagen.config import PolicySettings
from adagen.policy.files import build_actor
from adagen.policy.networks import PolicyNetwork

SIZE = PolicySettings(hidden=16, pointwise=8, first=16, second=16)


def random_policy(generator, seed=0) -> PolicyNetwork:
    torch.manual_seed(seed)
    actor = build_actor("adagen", generator, settings=SIZE)
    for parameter in actor.parameters():
        nn.init.normal_(parameter, std=0.2)
    return actor.requires_grad_(False)
