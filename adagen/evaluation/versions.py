"""Metric networks and references that another version of adagen wrote are refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adagen.runtime.errors import AdagenError
from adagen.runtime.files import MADE_BY


@contextmanager
def require_this_version(path: Path, kind: str) -> Iterator[None]:
    """Refuse a file whose content does not fit what the block builds from it.

    Args:
        path: the file, which could be read.
        kind: its kind, "metrics" or "reference".

    Raises:
        AdagenError: a key is missing, or a value or a tensor is not as this version has it.
    """
    try:
        yield
    except (KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        reason = f"it lacks {reason}" if isinstance(error, KeyError) else reason
        raise AdagenError(
            f"{path} holds {kind} of another version of adagen ({reason}). "
            f"Run {MADE_BY[kind]} again."
        ) from None
