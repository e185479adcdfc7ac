"""Images of a data set that were decoded before, kept as one array of bytes.

Decoding 50,000 files takes longer than many a training on a GPU, and every stage would start with
it. The array is mapped into memory, which all processes of a machine share. It belongs to the
content of the image files, to their size and mode, and to the program that decoded them; a file of
anything else, or a damaged one, is as good as none.
"""

from pathlib import Path
from typing import Any

import PIL
import torch

from adagen.data.pixels import Form
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_bound, save_tensors
from adagen.runtime.launch import is_first_process

KIND = "decoded images"
VERSION = 1
"""Changes whenever the same files would be decoded to other bytes."""


def decoded_file(seen: Path, part: str) -> Path:
    """The file of a part ("train" or "heldout") of a data set, beside that of its hashes."""
    return seen.with_name(f"dataset.{part}.safetensors")


def load_decoded(path: Path, shape: torch.Size, *, form: Form, digest: str) -> torch.Tensor | None:
    """The images of a file; None if there are none, or not of these image files.

    Args:
        path: the file.
        shape: (N, C, H, W) of all images.
        form: size and mode that the images were brought to.
        digest: of the content of the image files.

    Returns:
        (N, C, H, W) uint8.
    """
    try:
        tensors, _ = load_bound(path, KIND, expected=_description(form, digest))
    except AdagenError:
        return None
    images = tensors.get("images")
    return images if images is not None and images.shape == shape else None


def keep_decoded(path: Path, images: torch.Tensor, *, form: Form, digest: str) -> None:
    """Keep images (N, C, H, W) uint8 for later stages, which decode them where it can't be done."""
    if not is_first_process():
        return
    try:
        save_tensors(path, {"images": images}, about=_description(form, digest))
    except (AdagenError, OSError):
        return


def _description(form: Form, digest: str) -> dict[str, Any]:
    """All that the bytes of an array depend on."""
    return {
        "kind": KIND,
        "version": VERSION,
        "files": digest,
        "form": [form.mode, form.width, form.height, form.crop],
        "decoder": f"Pillow {PIL.__version__}",
    }
