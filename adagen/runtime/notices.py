"""Warnings that a user should read, whether or not a progress bar is on the screen."""

import sys

from adagen.runtime.launch import is_first_process


def warn(text: str) -> None:
    """Print a warning to standard error; of several processes only the first prints it."""
    if is_first_process():
        from tqdm import tqdm  # here, as `adagen --help` imports modules that warn

        tqdm.write(f"adagen: warning: {text}", file=sys.stderr)
