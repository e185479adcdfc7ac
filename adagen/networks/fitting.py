"""Supervised fitting of all networks that are frozen later.

These are generators, tokenisers, metric networks and reward features.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from adagen.config import Fit
from adagen.data.split import Images
from adagen.runtime.checkpoints import SaveTimer, load_checkpoint, save_checkpoint
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator
from adagen.runtime.optimisers import AdamW
from adagen.runtime.progress import progress

M = TypeVar("M", bound=nn.Module)

CPU = torch.device("cpu")


@dataclass
class Batch:
    """The input of a loss function.

    Attributes:
        images: (B, C, H, W) in [0, 1], or rows of other data such as tokens, on the module's
            device.
        labels: (B,) class indices, or other data that belongs to the rows, on the module's device.
        generator: randomness of this batch. It is on the CPU, so that every device draws the
            same.
    """

    images: torch.Tensor
    labels: torch.Tensor
    generator: torch.Generator


def fit(
    module: M,
    loss: Callable[[M, Batch], torch.Tensor],
    *,
    data: Images,
    settings: Fit,
    name: str,
    checkpoint: Path | None = None,
    device: torch.device = CPU,
) -> M:
    """Train `module` in place with AdamW and a cosine schedule; return it with averaged weights.

    Update n draws its batch and noise from (name, seed, n). A run that was killed and resumed from
    `checkpoint` therefore ends with the same weights as an uninterrupted one. The checkpoint may be
    resumed on another device.

    Args:
        module: is trained in place, and returned in eval mode, on `device`, with its parameters
            frozen.
        loss: maps (module, batch) to a scalar loss.
        data: images or other rows, and their labels.
        settings: number of updates, batch size, learning rate, averaging.
        name: names the run in the progress bar and in errors, and seeds its randomness.
        checkpoint: file of the resumable state, bound to the content of the data; None to keep
            none.
        device: where the module is trained.

    Raises:
        AdagenError: the loss is not finite, an image cannot be read, or the checkpoint belongs to
            something else.
    """
    module.to(device)
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
    average = [p.detach().clone() for p in parameters]
    start, timer = 0, SaveTimer()
    inputs = _inputs(data) if checkpoint else {}
    if checkpoint and (
        state := load_checkpoint(checkpoint, name, settings=settings, inputs=inputs)
    ):
        module.load_state_dict(state["module"])
        optimiser.load_state_dict(state["optimiser"])
        average, start = [mean.to(device) for mean in state["average"]], state["update"]
    module.train()
    bar = progress(range(start, settings.updates), name, total=settings.updates, done=start)
    for update in bar:
        generator = torch_generator("fit", name, settings.seed, update)
        rows = torch.randint(len(data), (settings.batch,), generator=generator)
        images, labels = data.batch(rows, generator).to(device), data.labels[rows].to(device)
        value = loss(module, Batch(images, labels, generator))
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
        # Early weights are poor, so the window of the average grows with the run.
        keep = min(settings.average, (1 + update) / (10 + update))
        for mean, current in zip(average, parameters, strict=True):
            mean.lerp_(current.detach(), 1 - keep)
        if update % 50 == 0:
            bar.set_postfix(loss=f"{value.item():.4f}", refresh=False)
        if checkpoint is not None and timer.due():
            state = {
                "module": module.state_dict(),
                "optimiser": optimiser.state_dict(),
                "average": average,
                "update": update + 1,
            }
            save_checkpoint(checkpoint, name, settings=settings, state=state, inputs=inputs)
    for mean, current in zip(average, parameters, strict=True):
        current.data.copy_(mean)
    return module.eval().requires_grad_(False)


def _inputs(data: Images) -> dict[str, str | int]:
    """The data that the weights depend on: images, however they were encoded."""
    return {"images": data.digest(), "flip": data.flip, "rows": len(data)}


def _cosine(progress: float) -> float:
    """Factor of the learning rate: a short linear warm-up, then a half cosine down to zero."""
    return min(1.0, progress / 0.02 + 0.02) * 0.5 * (1 + math.cos(math.pi * progress))
