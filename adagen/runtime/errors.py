"""The one exception that a user is meant to read."""

from collections.abc import Iterator
from contextlib import contextmanager


class AdagenError(Exception):
    """A mistake in the input: the message names the file and key, what was expected and what to do.

    The command line prints the message as one paragraph and exits with status 2; a traceback is
    reserved for faults of our own.
    """


@contextmanager
def explain_out_of_memory(remedy: str) -> Iterator[None]:
    """Say what to change where a GPU runs out of memory within the block.

    Args:
        remedy: sentences that name the keys to change.

    Raises:
        AdagenError: the memory of a GPU did not suffice.
    """
    try:
        yield
    except RuntimeError as error:
        import torch  # here, as `adagen --help` imports this module

        if not isinstance(error, torch.OutOfMemoryError):
            raise
        summary = str(error).partition(". ")[0]
        raise AdagenError(f"the GPU is out of memory ({summary}). {remedy}") from None
