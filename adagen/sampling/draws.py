"""Sampling a run: images 0 .. n-1 of a seed, in batches that change memory and nothing else."""

from collections.abc import Iterator

import torch

from adagen import config
from adagen.generators.base import Generator, State
from adagen.policy.networks import Policy
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.sampling.rollout import BatchSampler, Generated, sample_once


def class_labels(samples: int, num_classes: int) -> torch.Tensor:
    """(n,) sample i shows class i mod C: every class comes equally often, in any run of C."""
    return torch.arange(samples) % num_classes


def report_labels(evaluation: config.Evaluation, num_classes: int) -> torch.Tensor:
    """(n,) classes of the samples that are reported on.

    Protocol `authors` samples class after class, n / C images of each: i div (n / C). The other
    protocols go round the classes, i mod C.

    Raises:
        AdagenError: protocol `authors` is asked for a number of samples that C doesn't divide.
    """
    n = evaluation.samples
    if evaluation.protocol != "authors":
        return class_labels(n, num_classes)
    if n % num_classes:
        raise AdagenError(
            f"key 'evaluation.samples' is {n}, but protocol 'authors' samples all "
            f"{num_classes} classes equally often: choose a multiple of {num_classes}, "
            f"{num_classes * max(1, round(n / num_classes))} for example."
        )
    return torch.arange(n) // (n // num_classes)


def sample(
    generator: Generator[State],
    policy: Policy,
    purpose: str,
    seed: int,
    indices: torch.Tensor,
    labels: torch.Tensor,
    batch: int,
    way: BatchSampler = sample_once,
    processes: Processes = SINGLE_PROCESS,
) -> Iterator[Generated]:
    """Yield batches of images and of the actions that made them.

    Args:
        generator: the frozen generator.
        policy: its schedule, on the generator's device.
        purpose: "report", "search" or "validate"; different purposes never share noise.
        seed: sampling seed within the purpose.
        indices: (n,) int64 which samples of the seed to make.
        labels: (n,) int64 their classes.
        batch: images at once.
        way: how a batch is made; plainly, or refined (`adagen.sampling.refinement`).
        processes: make the batches in turn, and all see all of them.

    Yields:
        Images (b, C, H, W) in [0, 1] and actions (T, b, K), samples in order, on the CPU.

    Raises:
        AdagenError: a label is none of the generator's classes, or an image is not finite.
    """

    def made(part: tuple[torch.Tensor, torch.Tensor]) -> Generated:
        rows, classes = part
        noise = SampleNoise(purpose, seed, rows.tolist(), generator.device)
        generated = way(generator, policy, labels=classes.to(noise.device), noise=noise)
        images, actions = (tensor.cpu() for tensor in generated)
        if not torch.isfinite(images).all():
            bad = rows[(~torch.isfinite(images)).flatten(1).any(1)]
            raise AdagenError(
                f"sample {int(bad[0])} of seed {seed} ({purpose}) is not finite: the generator or "
                "the policy returned NaN or infinity. Check both files; train again if need be."
            )
        return images, actions

    parts = zip(indices.split(batch), labels.split(batch), strict=True)
    return processes.map_in_order(parts, made)


def batches(
    generator: Generator[State],
    policy: Policy,
    purpose: str,
    seed: int,
    samples: int,
    batch: int,
    way: BatchSampler = sample_once,
    processes: Processes = SINGLE_PROCESS,
) -> Iterator[torch.Tensor]:
    """Yield the images of samples 0 .. n-1, going round the classes: (b, C, H, W) in [0, 1].

    For search and validation, which look at each batch once and keep none. Arguments and errors
    are those of `sample`.
    """
    labels = class_labels(samples, generator.num_classes)
    indices = torch.arange(samples)
    run = generator, policy, purpose, seed
    for images, _ in sample(*run, indices, labels, batch, way, processes):
        yield images
