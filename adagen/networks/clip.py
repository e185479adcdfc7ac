"""CLIP with released weights: how well images match texts, by a network of open_clip.

The text tower runs once, when the weights are taken over: a file holds the image tower and a vector
for each text. The pre-trained reward and the CLIP score are such files. open_clip takes seconds to
import.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import Dataset
from adagen.config.bindings import of_judge
from adagen.config.clip import Clip
from adagen.data.captions.pairs import list_hash
from adagen.data.weights import load_released
from adagen.networks.fitting import CPU
from adagen.networks.text_encoder import OpenClipText
from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import save_tensors
from adagen.runtime.hashing import reading
from adagen.runtime.limits import CAPTION_BYTES, read_text
from adagen.runtime.progress import progress

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation, by channel, of the pixels that CLIP was trained with (openai/CLIP:
clip/clip.py)."""
TOWER = "visual."
"""Prefix of the image tower's keys."""
TEXTS = 64
"""Number of texts that are encoded at once."""
LISTED = 1000
"""Most texts that the description of a file lists; of longer lists it has the hash."""


class ClipImages(nn.Module):
    """The image tower of CLIP, with its preparation of images; frozen."""

    def __init__(self, clip: Any) -> None:
        """The image tower of an open_clip network."""
        super().__init__()
        self.visual, size = clip.visual, clip.visual.image_size
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    @classmethod
    def of(cls, model: str, key: str, *, tower: Mapping[str, torch.Tensor]) -> Self:
        """The tower of a network with the weights of a file, by their keys there.

        Raises:
            AdagenError: as `clip_network`.
        """
        images = cls(clip_network(model, key))
        images.load_state_dict(tower)
        return images.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3 or 1, H, W) in [0, 1] to vectors (B, D) of length one.

        Images of any size are resized as open_clip does (bicubic); grey ones get three equal
        channels.
        """
        x = images.expand(-1, 3, -1, -1)
        if x.shape[2:] != self.size:
            x = F.interpolate(x, self.size, mode="bicubic", antialias=True).clamp(0, 1)
        mean, std = (x.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        return F.normalize(self.visual((x - mean) / std), dim=1)


class ClipSimilarity(nn.Module):
    """Cosine of the vectors of an image and of the text of its label, in [-1, 1]; frozen."""

    prompts: torch.Tensor

    def __init__(self, images: ClipImages, prompts: torch.Tensor) -> None:
        """The image tower, and the texts' vectors (N, D), of any length."""
        super().__init__()
        self.images = images
        self.register_buffer("prompts", F.normalize(prompts, dim=1))

    @classmethod
    def of(cls, settings: Clip, tensors: Mapping[str, torch.Tensor]) -> Self:
        """The network of a file that `adopt_clip` wrote; errors are those of `clip_network`.

        Args:
            settings: the network.
            tensors: content of the file.
        """
        tower = {name: value for name, value in tensors.items() if name != "prompts"}
        images = ClipImages.of(settings.model, f"{settings.section}.model", tower=tower)
        return cls(images, tensors["prompts"]).eval()

    @torch.no_grad()
    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Images (B, 3 or 1, H, W) in [0, 1] and labels (B,) to cosines (B,)."""
        cosines: torch.Tensor = (self.images(images) * self.prompts[labels]).sum(1)
        return cosines


def adopt_clip(
    asset: Path,
    settings: Clip,
    *,
    kind: str,
    dataset: Dataset,
    names: Sequence[str],
    out: Path,
    device: torch.device = CPU,
) -> None:
    """Write the image tower of released weights, and the vectors of the texts of all labels.

    Args:
        asset: a whole network of open_clip, as safetensors or a file of `torch.save`.
        settings: the network and the texts.
        kind: what the file is for.
        dataset: the data set with these captions or classes.
        names: its captions, or the names of its classes, in the order of their labels.
        out: file to write.
        device: where texts are encoded.

    Raises:
        AdagenError: open_clip has no such network, the weights are those of another one, or the
            number of names in a file differs from that of classes.
    """
    prompts, key = prompts_of(settings, names), f"{settings.section}.model"
    clip, weights_hash = released_clip(asset, settings.model, key=key)
    tower = {f"{TOWER}{name}": value for name, value in clip.visual.state_dict().items()}
    tokens, clip = clip_tokenizer(settings.model, key), clip.to(device)
    parts = [prompts[start : start + TEXTS] for start in range(0, len(prompts), TEXTS)]
    with torch.no_grad():
        bar = progress(parts, "texts", total=len(parts))
        vectors = [clip.encode_text(tokens(part).to(device)).cpu() for part in bar]
    about = {
        "kind": kind,
        **of_judge(settings, dataset),
        **({"class_names": list(names)} if len(names) <= LISTED else {}),
        "weights_hash": weights_hash,
        "prompts_hash": list_hash(prompts),
        "prompts": prompts if len(prompts) <= LISTED else [],
    }
    save_tensors(out, {**tower, "prompts": torch.cat(vectors)}, about=about)


def require_prompts(
    path: Path,
    settings: Clip,
    *,
    names: Sequence[str],
    about: Mapping[str, Any],
    count: int,
    again: str,
) -> None:
    """Refuse a file that `adopt_clip` wrote for other texts than these.

    Args:
        path: the file, for messages.
        settings: the network and the texts.
        names: captions, or names of the classes, in the order of their labels.
        about: description of the file.
        count: number of texts in it.
        again: the command that makes the file again.

    Raises:
        AdagenError: the texts are others, or in another order.
    """
    if count != len(names):
        raise AdagenError(
            f"{path} knows {count} classes, but the data set has {len(names)}. Run `{again}` again."
        )
    expected = prompts_of(settings, names)
    known = about["prompts"] or [""] * count
    if about.get("prompts_hash", list_hash(known)) != list_hash(expected):
        wrong = next(pair for pair in zip(known, expected, strict=True) if len({*pair}) > 1)
        found = f"the prompt {wrong[0]!r}" if wrong[0] else "other texts"
        raise AdagenError(
            f"{path} was made with {found}, where {wrong[1]!r} is the one of its class now. Run "
            f"`{again}` again, or restore the names of the classes."
        )


def released_clip(asset: Path, model: str, *, key: str) -> tuple[Any, str]:
    """A network of open_clip with released weights, and the SHA-256 of their file.

    Raises:
        AdagenError: as `clip_network`; or the weights are those of another network.
    """
    clip = clip_network(model, key)
    with reading(asset) as file:
        load_released(clip, asset)
    return clip, file.hash


def released_text(asset: Path, model: str, *, key: str, device: torch.device) -> OpenClipText:
    """The text tower of released weights, as a text encoder.

    Raises:
        AdagenError: as `released_clip`.
    """
    clip, weights_hash = released_clip(asset, model, key=key)
    del clip.visual  # most of the weights
    tokens, name = clip_tokenizer(model, key), Path(model).stem
    frozen = clip.requires_grad_(False).to(device)
    return OpenClipText(frozen, tokens, name=name, weights=weights_hash)


def clip_network(model: str, key: str) -> Any:
    """A network of open_clip with random weights; nothing is downloaded.

    Args:
        model: its name in open_clip, or the path of a JSON file that describes one as open_clip's
            own files do.
        key: config key of the name, for the message.

    Raises:
        AdagenError: open_clip has no CLIP of that name, or the file describes none.
    """
    import open_clip

    return open_clip.CLIP(**_sizes(model, key)).eval()


def clip_tokenizer(model: str, key: str) -> Any:
    """The tokenizer of a network of open_clip; arguments and errors are those of `clip_network`."""
    from open_clip.tokenizer import SimpleTokenizer

    text = _sizes(model, key)["text_cfg"]
    words = text.get("tokenizer_kwargs", {})
    return SimpleTokenizer(context_length=text.get("context_length", 77), **words)


def _sizes(model: str, key: str) -> dict[str, Any]:
    """The description of a network of open_clip."""
    import open_clip

    described = model.endswith(".json")
    if described and not Path(model).is_file():
        raise AdagenError(f"key {key!r} is {model!r}, but there is no such file: check the path.")
    sizes = read_json(Path(model)) if described else open_clip.get_model_config(model)
    towers = [sizes.get(tower) for tower in ("vision_cfg", "text_cfg")] if sizes else [None]
    # Variants of CLIP have text towers, or words, that open_clip would download.
    other = {"hf_model_name", "hf_tokenizer_name"}
    if not all(isinstance(tower, dict) and not other & {*tower} for tower in towers) or (
        "custom_text" in sizes
    ):
        kind = "describes no CLIP" if described else "is no CLIP that open_clip knows"
        raise AdagenError(
            f"key {key!r} is {model!r}, which {kind}: choose the one that the weights were trained "
            "as, ViT-B-32 or ViT-L-14 for example."
        )
    return dict(sizes)


def prompts_of(settings: Clip, known: Sequence[str]) -> list[str]:
    """The text of each label; errors are those of `class_names`."""
    return [settings.prompt.format(name) for name in class_names(settings, known)]


def class_names(settings: Clip, known: Sequence[str]) -> list[str]:
    """The names of the classes in texts: the lines of a file, or else their `known` names.

    Raises:
        AdagenError: the file is missing, or its lines are not one name for each class.
    """
    if not settings.names:
        return list(known)
    path = Path(settings.names)
    try:
        names = read_text(path, most=CAPTION_BYTES).splitlines()
    except (OSError, UnicodeDecodeError):
        raise AdagenError(
            f"key '{settings.section}.names' is {settings.names!r}, but there is no such file: "
            "give a text file with the name of a class on each line."
        ) from None
    if len(names) != len(known) or not all(map(str.strip, names)):
        raise AdagenError(
            f"{path} (key '{settings.section}.names') has {len(names)} lines, but there are "
            f"{len(known)} classes: give each a line with its name, in the order of the labels."
        )
    return names
