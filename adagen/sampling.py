"""Sampling a run: images 0 .. n-1 of a seed, in batches that change memory and nothing else."""

from collections.abc import Iterator

import torch

from adagen.errors import AdagenError
from adagen.generators.base import Generator, State
from adagen.noise import SampleNoise
from adagen.policies import Policy
from adagen.rollout import rollout


def class_labels(indices: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Sample i shows class i mod C, so that every class comes equally often."""
    return indices % num_classes


def sample(
    generator: Generator[State],
    policy: Policy,
    purpose: str,
    seed: int,
    samples: int,
    batch: int,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches of images and of the actions that made them.

    Args:
        generator: the frozen generator.
        policy: its schedule.
        purpose: "report", "search" or "validate"; different purposes never share noise.
        seed: sampling seed within the purpose.
        samples: number of images.
        batch: images at once.

    Yields:
        Images (b, C, H, W) in [0, 1] and actions (T, b, K), samples in order.

    Raises:
        AdagenError: an image is not finite.
    """
    for indices in torch.arange(samples).split(batch):
        actions: list[torch.Tensor] = []

        def watch(
            call: int,
            features: torch.Tensor,
            action: torch.Tensor,
            actions: list[torch.Tensor] = actions,
        ) -> None:
            actions.append(action)

        labels = class_labels(indices, generator.num_classes)
        noise = SampleNoise(purpose, seed, indices.tolist())
        images = rollout(generator, policy, labels, noise, watch)
        if not torch.isfinite(images).all():
            bad = indices[(~torch.isfinite(images)).flatten(1).any(1)]
            raise AdagenError(
                f"sample {int(bad[0])} of seed {seed} ({purpose}) is not finite: the generator or "
                "the policy returned NaN or infinity. Check both files; train again if need be."
            )
        yield images, torch.stack(actions)


def sample_images(
    generator: Generator[State],
    policy: Policy,
    purpose: str,
    seed: int,
    samples: int,
    batch: int,
) -> torch.Tensor:
    """The images of `sample` as one tensor (N, C, H, W)."""
    return torch.cat([i for i, _ in sample(generator, policy, purpose, seed, samples, batch)])
