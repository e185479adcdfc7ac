"""What to do where the memory of a GPU doesn't suffice."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from adagen.runtime.errors import AdagenError


@contextmanager
def explain_out_of_memory(remedy: str) -> Iterator[None]:
    """Say which key to change where memory runs out within the block.

    Raises:
        AdagenError: it did.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        told = str(error).partition(". ")[0]
        raise AdagenError(f"the GPU is out of memory ({told}). {remedy}") from None
