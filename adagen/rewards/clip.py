"""CLIP as a pre-trained reward: how well an image matches its caption, or the prompt of its class.

The file of the reward holds the image tower and a vector for each caption or class
(`adagen.networks.clip`).
"""

from collections.abc import Sequence
from pathlib import Path

from adagen.config import ClipPreference, Dataset
from adagen.networks.clip import ClipSimilarity, require_prompts
from adagen.rewards.classifier import read_preference


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
    require_prompts(
        path,
        settings,
        names=names,
        about=about,
        count=len(tensors["prompts"]),
        again="adagen pretrain preference",
    )
    return ClipSimilarity.of(settings, tensors)
