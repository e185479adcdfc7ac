"""The conditions of a generator in its file, and as its settings describe them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adagen import config
from adagen.config.paradigms import is_built_in
from adagen.data.captions.words import Words
from adagen.generators.base import Backbone, FittedBackbone
from adagen.generators.conditions import ClassConditions, Conditions
from adagen.generators.installed import installed_backbone
from adagen.generators.reloading import build_empty
from adagen.generators.stored_text import (
    SizedCaptions,
    StoredCaptions,
    described,
    open_stored,
)
from adagen.generators.text import CaptionConditions, empty_captions
from adagen.networks.text_encoder import DEPTH, HEADS, WordEncoder
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_tensors

KIND = "generator"
WORDS = 90
"""Words that a vocabulary is taken to have before it is known, which costs next to nothing."""


def without_values(settings: config.BuiltInGenerator, count: int) -> Conditions:
    """Return conditions of the sizes in a generator's settings, for counting.

    Args:
        settings: its section of the configuration.
        count: number of classes or captions.
    """
    if settings.text is None:
        return ClassConditions(count)
    if isinstance(settings.text, config.ClipText):
        sizes = settings.text.model_dump(include={"positions", "width", "vectors"})
        return SizedCaptions(count, **sizes)
    words = Words([str(number) for number in range(WORDS)], settings.text.positions)
    encoder = WordEncoder(words, settings.text.width, depth=DEPTH, heads=HEADS)
    return CaptionConditions(count, encoder)


def about_conditions(backbone: Backbone, path: Path) -> dict[str, Any]:
    """Return what the file of a generator says of its conditions beside their tensors.

    Args:
        backbone: the generator's networks.
        path: the file.
    """
    conditions = backbone.conditions if isinstance(backbone, FittedBackbone) else None
    if isinstance(conditions, StoredCaptions):
        return {"text": {"kind": "clip", **described(conditions, path)}}
    return {"text": conditions.about} if isinstance(conditions, CaptionConditions) else {}


def described_conditions(about: Mapping[str, Any], path: Path) -> Conditions:
    """Return the conditions that the description of a file speaks of.

    They have no values yet, but for embeddings that stay in their own files.

    Raises:
        AdagenError: as `open_stored`.
    """
    text = about.get("text")
    if text and text.get("kind") == "clip":
        return open_stored(path, text)
    return empty_captions(text) if text else ClassConditions(about["num_classes"])


def _without_values(about: Mapping[str, Any], path: Path) -> Conditions:
    """Return the conditions that a description speaks of, of a package's generator too."""
    if is_built_in(about["settings"]["paradigm"]):
        return described_conditions(about, path)
    settings = config.InstalledGenerator.model_validate(about["settings"])
    shape, count = tuple(about["image_shape"]), about["num_classes"]
    backbone = installed_backbone(settings, shape, num_classes=count)
    conditions: Conditions = getattr(backbone, "conditions", ClassConditions(count))
    return conditions


def load_conditions(path: Path) -> Conditions:
    """Read the conditions that the labels of a generator stand for from its file.

    Raises:
        AdagenError: the file is missing, damaged or of another kind.
    """
    tensors, about = load_tensors(path, KIND)
    conditions = build_empty(lambda: _without_values(about, path))
    prefix = "conditions."
    found = {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }
    try:
        conditions.load_state_dict(found, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise AdagenError(
            f"{path} does not hold its captions ({reason}): run `adagen pretrain` again."
        ) from None
    return conditions.eval().requires_grad_(False)
