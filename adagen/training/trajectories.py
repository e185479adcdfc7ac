"""Trajectories: rollouts with a Gaussian around the policy, and everything PPO needs of them."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from adagen.config import Training
from adagen.generators.base import Generator, State
from adagen.generators.stopping import Stopping, StoppingActions
from adagen.policy.by_class import for_labels
from adagen.policy.networks import SURE, Policy
from adagen.runtime.noise import SampleNoise, torch_generator
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.sampling.rollout import sample_once
from adagen.training.ppo import gaussian_log_prob


@dataclass(frozen=True, kw_only=True)
class Trajectories:
    """T policy calls of B trajectories.

    Attributes:
        features: (T, b, N, F) inputs of the policy in the b consecutive trajectories that this
            process generated, stored as `training.keep_features` says. They take nearly all the
            memory.
        raw: (T, B, K) raw actions that were drawn.
        log_prob: (T, B) their log density when they were drawn.
        actions: (T, B, K) the same actions in action units.
        labels: (B,) conditions; consecutive trajectories of one group share label and noise.
        images: (B, C, H, W) in [0, 1].
        start: index of the first trajectory that this process generated.
        stop: what the raw actions mean where the last one is a stop; None where none can stop.
        made: (T, B) bool, the calls up to the one at which a trajectory stopped; None where none
            can. At others features and `log_prob` are zeros, and actions NaN.
    """

    features: torch.Tensor
    raw: torch.Tensor
    log_prob: torch.Tensor
    actions: torch.Tensor
    labels: torch.Tensor
    images: torch.Tensor
    start: int = 0
    stop: StoppingActions | None = None
    made: torch.Tensor | None = None

    @property
    def weights(self) -> torch.Tensor | None:
        """(T, B) weights by which the mean over calls is that over those made; None for all."""
        return None if self.made is None else self.made / self.made.float().mean()

    def log_density(self, mean: torch.Tensor, chunk: slice, *, sigma: float) -> torch.Tensor:
        """(T, b) log density of a slice's raw actions under a policy with outputs (T, b, K)."""
        found = log_density(self.raw[:, chunk], mean, sigma=sigma, stop=self.stop)
        return found if self.made is None else found * self.made[:, chunk]

    @property
    def calls(self) -> torch.Tensor:
        """(T,) index of each policy call."""
        return torch.arange(len(self.log_prob), device=self.raw.device)

    @cached_property
    def begins_alike(self) -> bool:
        """True where the policy saw the same in all trajectories at its first call of several.

        A solver's policy does: nothing is known of a sample before the first evaluation.
        """
        first = self.features[0]
        return len(self.features) > 1 and torch.equal(first, first[:1].expand_as(first))

    def chunks(self, size: int) -> list[slice]:
        """Slices of this process's trajectories, of `size` each; the last may be shorter."""
        end = self.start + self.features.shape[1]
        return [slice(first, min(first + size, end)) for first in range(self.start, end, size)]

    def seen(self, chunk: slice) -> torch.Tensor:
        """(T, b, N, F) inputs of the policy in a slice of this process's trajectories, float32."""
        features = self.features[:, chunk.start - self.start : chunk.stop - self.start]
        return features.to(self.raw.device, torch.float32)


class GaussianExploration:
    """A policy that draws raw ~ N(mean, sigma^2) around another policy's output, and records it.

    Args:
        policy: gives the mean.
        sigma: standard deviation in logits.
        noise: the samples' own noise.
        feature_buffer: (T, B, N, F) that the policy's inputs are written to.
        stop: what the outputs mean where the last one is a stop, which is drawn with its own
            probability; None for no such output.
    """

    def __init__(
        self,
        policy: Policy,
        sigma: float,
        *,
        noise: SampleNoise,
        feature_buffer: torch.Tensor,
        stop: StoppingActions | None = None,
    ) -> None:
        self.policy, self.sigma, self.noise = policy, sigma, noise
        self.feature_buffer, self.stop = feature_buffer, stop
        self.raw: list[torch.Tensor] = []
        self.log_prob: list[torch.Tensor] = []

    def __call__(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """(B, K) drawn raw outputs."""
        t = len(self.raw)
        self.feature_buffer[t] = features
        # PPO compares this density with one computed from the stored features, so the policy sees
        # them here as rounded as they are stored.
        stored = features.to(self.feature_buffer.dtype).to(features.dtype)
        mean = self.policy(stored, call)
        raw = mean + self.sigma * self.noise.normal(f"raw/{t}", mean.shape[1])
        if self.stop:
            # Members of a group share the rollout's noise, but decide apart. It then draws what is
            # sure already.
            stops = self.stop.drawn(self.stop.logits(mean, t), call=t, noise=self.noise)
            raw = torch.cat([raw[:, :-1], torch.where(stops, SURE, -SURE)], dim=1)
        self.raw.append(raw)
        self.log_prob.append(log_density(raw, mean, sigma=self.sigma, stop=self.stop, call=t))
        return raw


def log_density(
    raw: torch.Tensor,
    mean: torch.Tensor,
    *,
    sigma: float,
    stop: StoppingActions | None,
    call: int | None = None,
) -> torch.Tensor:
    """Return the log density of raw outputs that were drawn around a policy's.

    Args:
        raw: (B, K) drawn at a call, or (T, B, K) at all calls.
        mean: the policy's outputs, of the same shape.
        sigma: standard deviation of the exploration, in logits.
        stop: what they mean where the last one is a stop; None for no such output.
        call: index of the call; None for all.

    Returns:
        (B,) or (T, B): of a Gaussian, and of a stop its probability.
    """
    if stop is None:
        return gaussian_log_prob(raw, mean, sigma=sigma)
    settings = gaussian_log_prob(raw[..., :-1], mean[..., :-1], sigma=sigma)
    return settings + stop.log_prob(raw, mean, call=call)


def collect(
    generator: Generator[State],
    policy: Policy,
    *,
    sigma: float,
    settings: Training,
    seed: int,
    update: int,
    processes: Processes = SINGLE_PROCESS,
) -> Trajectories:
    """The trajectories of one update, generated in batches that change memory, not results.

    Args:
        generator: the frozen generator.
        policy: gives the mean of the raw actions; it is on the generator's device, where all
            tensors of the result stay.
        sigma: standard deviation of the exploration, in logits.
        settings: number of trajectories, size of groups and batches, storage of features.
        seed: of the training.
        update: number of the update, from 0; no two updates share noise.
        processes: each generates a part of the trajectories; all get everything but the features.
    """
    mine = processes.own_range(settings.trajectories, "training.trajectories")
    groups = settings.trajectories // settings.group
    source = torch_generator("labels", seed, update)
    labels = generator.conditions.draw(groups, source)
    labels = labels.repeat_interleave(settings.group).to(generator.device)
    features, batches = _feature_buffer(generator, settings.keep_features, count=len(mine)), []
    for rows in torch.tensor(mine).split(settings.batch):
        trajectory_ids = rows + update * settings.trajectories
        group_ids = rows // settings.group + update * groups
        first = int(rows[0]) - mine.start
        explore = GaussianExploration(
            for_labels(policy, labels[rows], conditions=generator.conditions),
            sigma,
            noise=SampleNoise("explore", seed, trajectory_ids.tolist(), generator.device),
            feature_buffer=features[:, first : first + len(rows)],
            stop=generator.actions if isinstance(generator, Stopping) else None,
        )
        noise = SampleNoise("train", seed, group_ids.tolist(), generator.device)
        images, actions = sample_once(generator, explore, labels=labels[rows], noise=noise)
        batches.append([torch.stack(explore.raw), torch.stack(explore.log_prob), actions, images])
    *per_call, image_batches = zip(*batches, strict=True)
    raw, log_prob, actions = (
        processes.all_gather(torch.cat(tensors, dim=1), 1) for tensors in per_call
    )
    images = processes.all_gather(torch.cat(image_batches))
    made = stop = None
    if isinstance(generator, Stopping):
        made, stop = generator.made(actions), generator.actions
        actions, log_prob = generator.as_made(actions), log_prob * made
    return Trajectories(
        features=features,
        raw=raw,
        log_prob=log_prob,
        actions=actions,
        labels=labels,
        images=images,
        start=mine.start,
        stop=stop,
        made=made,
    )


def _feature_buffer(generator: Generator[State], keep: str, *, count: int) -> torch.Tensor:
    """An empty (T, count, N, F) tensor for the policy's inputs in `count` trajectories.

    It is allocated at once: concatenating batches would take twice the memory.
    """
    shape = generator.actions.calls, count, math.prod(generator.grid), generator.seen_width
    dtype = torch.bfloat16 if keep == "bfloat16" else torch.float32
    if keep == "host":
        return torch.empty(shape, dtype=dtype, pin_memory=generator.device.type == "cuda")
    return torch.empty(shape, dtype=dtype, device=generator.device)
