"""CLIP as a pre-trained reward: how well an image matches the prompt of its class.

The weights are released ones, and the architecture is open_clip's, which takes seconds to import.
The text tower runs once, when the weights are imported: the file of the reward holds the image
tower and an embedding for each class.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import ClipPreference, Dataset
from adagen.data.weights import load_released
from adagen.rewards.classifier import KIND, origin, read_preference
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import save_tensors
from adagen.runtime.limits import read_text

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation, by channel, of the pixels that CLIP was trained with (openai/CLIP:
clip/clip.py)."""
TOWER = "visual."
"""Prefix of the image tower's keys."""


class ClipSimilarity(nn.Module):
    """Cosine of the embeddings of an image and of its class, in [-1, 1]; frozen."""

    prompts: torch.Tensor

    def __init__(self, clip: Any, prompts: torch.Tensor) -> None:
        """The image tower of an open_clip network, and the prompts' embeddings (classes, D)."""
        super().__init__()
        self.visual, size = clip.visual, clip.visual.image_size
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.register_buffer("prompts", F.normalize(prompts, dim=1))

    @torch.no_grad()
    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Images (B, 3 or 1, H, W) in [0, 1] and classes (B,) to cosines (B,).

        Images of any size are resized as open_clip does (bicubic); grey ones get three equal
        channels.
        """
        x = images.expand(-1, 3, -1, -1)
        if x.shape[2:] != self.size:
            x = F.interpolate(x, self.size, mode="bicubic", antialias=True).clamp(0, 1)
        mean, std = (x.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        embedded = F.normalize(self.visual((x - mean) / std), dim=1)
        return (embedded * self.prompts[labels]).sum(1)


def adopt_clip(
    asset: Path, settings: ClipPreference, *, dataset: Dataset, names: Sequence[str], out: Path
) -> None:
    """Turn released weights and the names of the classes into a preference file.

    Args:
        asset: a whole network of open_clip, as safetensors or a file of `torch.save`.
        settings: the network and the prompt.
        dataset: the data set with these classes.
        names: the class names of the data set, in the order of their labels.
        out: file to write.

    Raises:
        AdagenError: open_clip has no such network, the weights are those of another one, or the
            number of names differs from that of classes.
    """
    import open_clip

    clip = _network(settings)
    load_released(clip, asset)
    tokens = open_clip.get_tokenizer(settings.model)
    prompts = prompts_of(settings, names)
    with torch.no_grad():
        parts = [clip.encode_text(tokens(prompts[i : i + 64])) for i in range(0, len(prompts), 64)]
    tower = {f"{TOWER}{key}": value for key, value in clip.visual.state_dict().items()}
    about = {"kind": KIND, **origin(settings, dataset), "prompts": prompts}
    about["class_names"] = list(names)
    save_tensors(out, {**tower, "prompts": torch.cat(parts)}, about=about)


def load_clip(
    path: Path, settings: ClipPreference, *, dataset: Dataset, names: Sequence[str]
) -> ClipSimilarity:
    """Read a file that `adopt_clip` wrote, and check that its prompts are those of the classes.

    Args:
        path: the file.
        settings: the network and the prompt.
        dataset: the data set with these classes.
        names: the class names of the data set, in the order of their labels.

    Raises:
        AdagenError: the file is missing, damaged, or was made with other settings or names.
    """
    tensors, about = read_preference(path, settings, dataset=dataset)
    prompts = tensors.pop("prompts")
    if len(prompts) != len(names):
        raise AdagenError(
            f"{path} knows {len(prompts)} classes, but the data set has {len(names)}. Run "
            "`adagen pretrain preference` again."
        )
    expected = prompts_of(settings, names)
    if wrong := [pair for pair in zip(about["prompts"], expected, strict=True) if len({*pair}) > 1]:
        raise AdagenError(
            f"{path} was made with the prompt {wrong[0][0]!r}, where {wrong[0][1]!r} is the one of "
            "its class now. Run `adagen pretrain preference` again, or restore the names of the "
            "classes."
        )
    clip = _network(settings)
    clip.visual.load_state_dict({k.removeprefix(TOWER): v for k, v in tensors.items()})
    return ClipSimilarity(clip, prompts).eval().requires_grad_(False)


def prompts_of(settings: ClipPreference, known: Sequence[str]) -> list[str]:
    """The prompt of each class; errors are those of `class_names`."""
    return [settings.prompt.format(name) for name in class_names(settings, known)]


def class_names(settings: ClipPreference, known: Sequence[str]) -> list[str]:
    """The names of the classes in prompts: the lines of a file, or else their `known` names.

    Raises:
        AdagenError: the file is missing, or its lines are not one name for each class.
    """
    if not settings.names:
        return list(known)
    path = Path(settings.names)
    try:
        names = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError):
        raise AdagenError(
            f"key 'preference.names' is {settings.names!r}, but there is no such file: give a text "
            "file with the name of a class on each line."
        ) from None
    if len(names) != len(known) or not all(map(str.strip, names)):
        raise AdagenError(
            f"{path} (key 'preference.names') has {len(names)} lines, but there are {len(known)} "
            "classes: give each a line with its name, in the order of the labels."
        )
    return names


def _network(settings: ClipPreference) -> Any:
    """The network with random weights; nothing is downloaded.

    Raises:
        AdagenError: open_clip has no CLIP of that name.
    """
    import open_clip

    sizes = open_clip.get_model_config(settings.model)
    # Variants of CLIP have text towers that open_clip would download.
    if sizes is None or "custom_text" in sizes or "hf_model_name" in sizes["text_cfg"]:
        raise AdagenError(
            f"key 'preference.model' is {settings.model!r}, which is no CLIP that open_clip knows: "
            "choose the one that the weights were trained as, ViT-B-32 or ViT-L-14 for example."
        )
    return open_clip.CLIP(**sizes).eval()
