"""The samples that a sampler returns."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from adagen.data.listing import EXTENSIONS
from adagen.runtime.arguments import require_count, require_path
from adagen.runtime.errors import AdagenError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class GeneratedSamples:
    """Images, and how they were made.

    Attributes:
        images: (B, C, H, W) float32 in [0, 1], on the CPU.
        labels: (B,) int64 classes, or rows of the prompts.
        actions: (T, B, K) what each sample was steered by at each call, in action units; NaN at
            calls after a sample has stopped.
        action_names: K names.
        handmade: (T, K) the hand-made schedule.
        effective: (T, K) bool, whether an action changes the image at that call.
        nfe: (B,) network evaluations of each image; a guided step counts two.
        prompts: the texts that were given; empty where labels were.
    """

    images: torch.Tensor
    labels: torch.Tensor
    actions: torch.Tensor
    action_names: tuple[str, ...]
    handmade: torch.Tensor
    effective: torch.Tensor
    nfe: torch.Tensor
    prompts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = "x".join(str(side) for side in self.images.shape[1:])
        names = ", ".join(self.action_names)
        calls = len(self.actions)
        parts = f"{len(self)} images of {shape}", f"{calls} policy calls", f"actions {names}"
        return f"GeneratedSamples({', '.join(parts)})"

    def schedule(self) -> "pd.DataFrame":
        """The distribution of every action at every step over the samples.

        Returns:
            One row for each action and step, with columns `action`, `step`, `handmade`, `mean`,
            `std`, `q05` and `q95` (quantiles, between which nine samples in ten lie), `count`, and
            `effective`, which is false where the action changes no image.
        """
        from adagen.paper.schedule import schedule_rows

        actions, handmade = self.actions.double().numpy(), self.handmade.numpy()
        table = schedule_rows(actions, handmade, names=self.action_names)
        return table.assign(effective=self.effective.T.flatten().numpy())

    def save(self, path: str | Path, *, columns: int | None = None) -> None:
        """Write the images as one picture, row after row.

        Args:
            path: the file; its suffix says in which format (.png, .jpg and more).
            columns: images in a row; by default about as many as there are rows.

        Raises:
            AdagenError: the suffix is not that of a picture, or `columns` is less than 1.
        """
        path = require_path("path", path, content="the file of the picture to write")
        if path.suffix.lower() not in EXTENSIONS:
            raise AdagenError(
                f"{path} has the suffix {path.suffix!r}, but the suffix says in which format a "
                f"picture is written: give one of {', '.join(EXTENSIONS)}."
            )
        columns = round(len(self) ** 0.5) if columns is None else require_count("columns", columns)
        from torchvision.utils import save_image

        from adagen.runtime.atomic import atomic_path

        with atomic_path(path) as temporary:
            save_image(self.images, temporary, nrow=columns, padding=1)
