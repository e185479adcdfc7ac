"""A toy whose best schedule is known, for tests of training."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from adagen.config import PolicySettings, Training
from adagen.data.split import Images
from adagen.generators.actions import SIGMOID, Actions
from adagen.generators.base import Generator, State
from adagen.rewards.base import Reward
from adagen.rewards.pools import KeptPool
from adagen.runtime.noise import SampleNoise, seeded
from adagen.runtime.processes import SINGLE_PROCESS
from adagen.sampling.rollout import rollout
from adagen.training.log import Validation
from adagen.training.loop import PolicyTraining, TrainingParts
from adagen.training.run import build_networks

SIZE = PolicySettings(hidden=16, pointwise=8, first=16, second=16)
SETTINGS = Training(
    updates=40,
    trajectories=128,
    batch=128,
    group=8,
    sigma=(0.5, 0.2),
    learning_rate=1e-2,
    table_learning_rate=0.0,
    static_learning_rate=5e-2,
    validate_every=1000,
)


@dataclass(frozen=True)
class ToyState(State):
    hidden: torch.Tensor
    taken: torch.Tensor


class Toy(Generator[ToyState]):
    """Two levels between 0 and 1 are to be chosen; a sample's hidden sign shows in its features.

    Its image is (sign, first level, second level, 0) as a 2x2 picture.
    """

    actions = Actions(("level",), (SIGMOID,), torch.full((2, 1), 0.5), 0.0)
    grid, feature_width, num_classes, nfe = (2, 2), 4, 3, 2
    raw_width = 1
    device = torch.device("cpu")

    def start(self, labels, noise):
        hidden = noise.uniform("hidden").round()
        return self._state(0, labels, noise, hidden, torch.zeros(len(labels), 0))

    def step(self, state, action):
        taken = torch.cat([state.taken, action], dim=1)
        return self._state(state.call + 1, state.labels, state.noise, state.hidden, taken)

    def decode(self, state):
        zero = torch.zeros_like(state.hidden)
        pixels = [state.hidden, *state.taken.unbind(1), zero]
        return torch.stack(pixels, dim=1).view(-1, 1, 2, 2)

    def raw(self, state):
        return self.decode(state).flatten(1).unsqueeze(2)

    @staticmethod
    def _state(call, labels, noise, hidden, taken):
        sign = (2 * hidden - 1).view(-1, 1, 1)
        features = sign * torch.linspace(-1, 1, 16).view(1, 4, 4)
        return ToyState(call, labels, noise, features, hidden, taken)


class ToyReward(Reward):
    """Pays for levels near a target."""

    warmup, saturates = 0, True

    def __init__(self, adaptive: bool = True, broken_at: int | None = None) -> None:
        self.adaptive, self.broken_at, self.scored = adaptive, broken_at, 0

    def pool(self, images, *source, views=1):
        return KeptPool(images.images.flatten(1), images.labels)

    def score_pool(self, pool, rows, *source):
        if len(pool) == 1:  # the pools of "real" images
            return torch.ones(1)
        self.scored += 1
        return self.logits(pool.features(rows, None))

    def logits(self, features):
        hidden, levels = features[:, 0], features[:, 1:3]
        target = 0.2 + 0.6 * hidden if self.adaptive else torch.full_like(hidden, 0.8)
        error = (levels - target.unsqueeze(1)).square().mean(1)
        return 2 - 20 * error + (math.nan if self.scored == self.broken_at else 0)

    def payoff(self, scores):
        return scores.sigmoid()

    def learn(self, real, fake, steps, generator):
        return 0.5

    def require_norm_groups(self, count, what):
        assert what == "training.trajectories"

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


ONE = Images(torch.zeros(1, 1, 2, 2), torch.zeros(1, dtype=torch.int64))


def toy_training(
    method: str, reward=None, mixture=None, processes=SINGLE_PROCESS, **changes
) -> PolicyTraining:
    settings = SETTINGS.model_copy(update=changes)
    parts = toy_parts(method, Toy(), settings, reward=reward or ToyReward(), mixture=mixture)
    return PolicyTraining(parts, settings, seed=0, processes=processes)


def toy_parts(method, generator, settings, *, reward, real=ONE, mixture=None) -> TrainingParts:
    with seeded("toy", method):
        actor, critic = build_networks(method, generator, policy=SIZE, training=settings)
    return TrainingParts(
        generator=generator,
        actor=actor,
        critic=critic,
        reward=reward,
        train=real,
        heldout=real,
        mixture=mixture,
    )


def validation(fid: float, fid_label_free: float | None = 0.0) -> Validation:
    return Validation(fid=fid, fid_label_free=fid_label_free, recall=0.5, spread={"level": 0.1})


def no_validation(policy: nn.Module) -> Validation:
    return validation(1.0)


def payoff_of(policy: nn.Module, reward: ToyReward) -> float:
    """Mean reward of the policy without exploration, on samples it has not been trained on."""
    labels = torch.zeros(200, dtype=torch.int64)
    images = rollout(Toy(), policy, labels=labels, noise=SampleNoise("report", 0, range(200)))
    return float(reward.logits(images.flatten(1)).sigmoid().mean())
