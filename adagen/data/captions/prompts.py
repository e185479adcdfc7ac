"""Files of prompts, one on each line."""

from pathlib import Path

from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import CAPTION_BYTES, read_text


def read_prompts(path: Path, given_by: str) -> tuple[str, ...]:
    """Read the prompts of a file; empty lines don't count.

    Args:
        path: the file.
        given_by: option or key that names it, for messages.

    Raises:
        AdagenError: the file is missing, has no prompts, or can't be read as text.
    """
    try:
        lines = read_text(path, most=CAPTION_BYTES).split("\n")
    except FileNotFoundError:
        raise AdagenError(
            f"{given_by} {path} does not exist: check the path of the file."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise AdagenError(
            f"{given_by} {path} cannot be read as text ({error}): give a file in UTF-8."
        ) from None
    texts = tuple(line.strip() for line in lines if line.strip())
    if not texts:
        raise AdagenError(f"{given_by} {path} has no prompts: write one on each line.")
    return texts
