"""The sampler of a policy that was found for a generator object."""

from typing import Any

import pandas as pd
from torch import nn

from adagen.config import Experiment, PolicyNetworkSize, PolicySettings
from adagen.config.identity import policy_file
from adagen.generators.base import Generator
from adagen.policy.files import PolicyFile, steered
from adagen.sampling.sampler import Sampler


def trained_sampler(
    generator: Generator[Any],
    actor: nn.Module,
    *,
    critic: nn.Module | None = None,
    method: str,
    seed: int,
    network: PolicySettings,
    batch: int,
    log: pd.DataFrame,
) -> Sampler:
    """A sampler whose policy can be saved, bound to what it steers.

    Args:
        generator: what is steered.
        actor: the policy.
        critic: the value network that was trained beside it.
        method: what the policy was made as.
        seed: of the training or search.
        network: sizes of the policy network, and its input.
        batch: images at once.
        log: a row for each update or trial.
    """
    # A generator built by hand has no file: its policy is bound to what it steers.
    experiment = generator.experiment or Experiment(generator="")
    identity = policy_file(
        "adagen.tune" if method == "tuned" else "adagen.train",
        experiment.model_copy(update={"policy": network}),
        generator_hash=generator.hash,
        sampler=generator.sampler,
    )
    size = network.model_dump(include=set(PolicyNetworkSize.model_fields))
    metadata = {**identity, "method": method, "size": size, "training_seed": seed}
    if not generator.hash:
        metadata["steers"] = steered(generator)
    return Sampler(
        generator,
        actor.eval().requires_grad_(False),
        batch=batch,
        policy_file=PolicyFile(metadata, critic and critic.eval().requires_grad_(False)),
        log=log,
    )
