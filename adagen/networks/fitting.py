"""Supervised fitting of every frozen network: generators, tokenisers, metrics, reward features."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from adagen.config import Fit
from adagen.data.sources import ImageRows
from adagen.data.split import Flip, Images
from adagen.runtime.checkpoints import load_checkpoint, save_checkpoint
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator
from adagen.runtime.progress import progress

M = TypeVar("M", bound=nn.Module)

CPU = torch.device("cpu")

CHECKPOINT_SECONDS = 15
"""At most this much work is lost to a kill."""


@dataclass
class Batch:
    """What a loss function sees.

    Attributes:
        images: (B, C, H, W) in [0, 1], or rows of whatever else the module is fitted to (tokens);
            where the module is.
        labels: (B,) class indices, or whatever else belongs to a row; where the module is.
        generator: the batch's own randomness, on the CPU wherever the module is, so that every
            device draws the same.
    """

    images: torch.Tensor
    labels: torch.Tensor
    generator: torch.Generator


def fit(
    module: M,
    loss: Callable[[M, Batch], torch.Tensor],
    images: torch.Tensor | ImageRows,
    labels: torch.Tensor,
    settings: Fit,
    name: str,
    checkpoint: Path | None = None,
    flip: Flip = "never",
    device: torch.device = CPU,
) -> M:
    """Train `module` in place with AdamW and a cosine schedule; return it with averaged weights.

    Update n draws its batch and noise from (name, seed, n), so a run that was killed and resumed
    from `checkpoint` ends with the same weights as one that was not. The checkpoint may be resumed
    on another device.

    Args:
        module: trained in place; returned in eval mode, on `device`, parameters frozen.
        loss: maps (module, batch) to a scalar loss.
        images: (N, C, H, W) in [0, 1], or a source of such.
        labels: (N,) class indices, or whatever else belongs to a row.
        settings: number of updates, batch size, learning rate, averaging.
        name: names the run in the progress bar, in errors, and in its randomness.
        checkpoint: where the resumable state is kept; None to keep none.
        flip: whether images are mirrored at random.
        device: where the module is trained.

    Raises:
        AdagenError: the loss is not finite, or an image cannot be read.
    """
    data = Images(images, labels, flip)
    module.to(device)
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, settings.learning_rate, weight_decay=settings.weight_decay
    )
    average = [p.detach().clone() for p in parameters]
    start, saved = 0, time.monotonic()
    if checkpoint is not None and (state := load_checkpoint(checkpoint, name, settings=settings)):
        module.load_state_dict(state["module"])
        optimiser.load_state_dict(state["optimiser"])
        average, start = [mean.to(device) for mean in state["average"]], state["update"]
    module.train()
    bar = progress(range(start, settings.updates), name, total=settings.updates, done=start)
    for update in bar:
        generator = torch_generator("fit", name, settings.seed, update)
        rows = torch.randint(len(data), (settings.batch,), generator=generator)
        batch = data.batch(rows, generator).to(device), labels[rows].to(device)
        value = loss(module, Batch(*batch, generator))
        if not torch.isfinite(value):
            raise AdagenError(
                f"{name}: the loss is {value.item()} at update {update}. "
                "Lower learning_rate in its settings, or look at the data it reads."
            )
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * _cosine(update / settings.updates)
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        # Early weights are poor: the average forgets them in a window that grows with the run.
        keep = min(settings.average, (1 + update) / (10 + update))
        for mean, current in zip(average, parameters, strict=True):
            mean.lerp_(current.detach(), 1 - keep)
        if update % 50 == 0:
            bar.set_postfix(loss=f"{value.item():.4f}", refresh=False)
        if checkpoint is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
            state = {
                "module": module.state_dict(),
                "optimiser": optimiser.state_dict(),
                "average": average,
                "update": update + 1,
            }
            save_checkpoint(checkpoint, name, settings=settings, state=state)
            saved = time.monotonic()
    for mean, current in zip(average, parameters, strict=True):
        current.data.copy_(mean)
    return module.eval().requires_grad_(False)


def _cosine(progress: float) -> float:
    """Learning rate factor: a short linear warm-up, then a half cosine down to zero."""
    return min(1.0, progress / 0.02 + 0.02) * 0.5 * (1 + math.cos(math.pi * progress))
