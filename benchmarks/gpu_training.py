"""A training update at the size of DiT-XL/2: seconds, shares and memory, with random weights."""

from collections.abc import Callable

import torch

from adagen.config import DinoFeatures, TokenSettings
from adagen.data.split import Images
from adagen.generators.conditions import ClassConditions
from adagen.rewards.dino import Dino
from adagen.rewards.projected import ProjectedReward
from adagen.runtime.noise import seeded
from adagen.training.loop import PolicyTraining, TrainingParts
from adagen.training.run import build_networks
from benchmarks.adanat import frozen
from benchmarks.cases import Case
from benchmarks.manners import Ours


def update_numbers(case: Case, *, clock: Callable[[], float], tiny: bool) -> dict[str, float]:
    """Seconds, shares and memory of the second update of a training with the paper's reward.

    Args:
        case: the generator, with the settings of its training.
        clock: waits for the device.
        tiny: whether everything is as small as it can be.
    """
    settings, device, classes = case.experiment.training, case.device, case.classes
    dino = DinoFeatures(kind="dino")
    if tiny:
        small = dino.network.model_copy(update={"width": 16, "depth": 2, "heads": 2})
        dino = dino.model_copy(update={"network": small, "image": 32, "blocks": (0, 1)})
        reward_settings = settings.reward.model_copy(update={"batch": 8, "steps": 1})
        settings = settings.model_copy(update={"reward": reward_settings})
    assert isinstance(settings.reward, TokenSettings)
    with seeded("benchmark", "training"):
        actor, critic = build_networks(
            "adagen", case.generator, policy=case.experiment.policy, training=settings
        )
        features = frozen(Dino(dino)).to(device)
        assert isinstance(features, Dino)
        reward = ProjectedReward(
            features, ClassConditions(classes), settings=settings.reward, device=device
        )
    real = Images(torch.rand(256, *case.shape), torch.arange(256) % classes)
    parts = TrainingParts(
        generator=case.generator,
        actor=actor,
        critic=critic,
        reward=reward,
        train=real,
        heldout=real,
    )
    training = Ours(PolicyTraining(parts, settings, seed=0), clock=clock)
    training.update()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = clock()
    training.update()
    seconds = clock() - began
    rollout, ppo = (values[-1] / seconds for values in training.seconds.values())
    found = {"seconds": seconds, "rollout": rollout, "ppo": ppo, "reward": 1 - rollout - ppo}
    if device.type == "cuda":
        found["memory_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
    return found
