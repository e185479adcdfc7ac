"""CLIP as a pre-trained reward: how well an image matches its caption, or the prompt of its class.

The file of the reward holds the image tower and a vector for each caption or class
(`adagen.networks.clip`).
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from adagen.config import ClipPreference, Dataset
from adagen.networks.clip import LISTED, ClipSimilarity, require_texts, save_similarity
from adagen.networks.fitting import CPU
from adagen.rewards.classifier import KIND, origin, read_preference


def adopt_clip(
    asset: Path,
    settings: ClipPreference,
    *,
    dataset: Dataset,
    names: Sequence[str],
    out: Path,
    device: torch.device = CPU,
) -> None:
    """Turn released weights and the captions, or names of the classes, into a preference file.

    Args:
        asset: a whole network of open_clip, as safetensors or a file of `torch.save`.
        settings: the network and the prompt.
        dataset: the data set with these captions or classes.
        names: its captions, or the names of its classes, in the order of their labels.
        out: file to write.
        device: where texts are encoded.

    Raises:
        AdagenError: as `save_similarity`.
    """
    about = {"kind": KIND, **origin(settings, dataset)}
    if len(names) <= LISTED:
        about["class_names"] = list(names)
    save_similarity(
        asset, settings, key="preference", names=names, about=about, out=out, device=device
    )


def load_clip(
    path: Path, settings: ClipPreference, *, dataset: Dataset, names: Sequence[str]
) -> ClipSimilarity:
    """Read a file that `adopt_clip` wrote, whose prompts must be those of these names.

    Args:
        path: the file.
        settings: the network and the prompt.
        dataset: the data set with these captions or classes.
        names: its captions, or the names of its classes, in the order of their labels.

    Raises:
        AdagenError: the file is missing, damaged, or was made with other settings or names.
    """
    tensors, about = read_preference(path, settings, dataset=dataset)
    require_texts(
        path,
        settings,
        key="preference",
        names=names,
        about=about,
        count=len(tensors["prompts"]),
        again="adagen pretrain preference",
    )
    return ClipSimilarity.of(settings.model, "preference.model", tensors=tensors)
