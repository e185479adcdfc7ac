"""The C library is told to keep the memory of tensors that are freed."""

import ctypes
import os
from collections.abc import Mapping

# From malloc.h: the least size that has a mapping of its own, and how much may stay free.
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
# Older versions refuse a threshold above 32 MiB.
SETTINGS = {MMAP_THRESHOLD: (2**30, 2**25), TRIM_THRESHOLD: (2**31 - 1,)}
VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which a user sets the same; then nothing is changed."""


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Have this process keep the memory of tensors that are freed, for those that follow.

    By default the GNU C library returns that of every large tensor to the system, and new memory
    has to be zeroed page by page: an eighth of the time of sampling on a CPU. Other C libraries
    have no such function, and stay as they are.

    Returns:
        Whether the C library took the settings.
    """
    if any(name in environment for name in VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # of musl, macOS, Windows
        return False
    taken = [any(mallopt(key, value) for value in values) for key, values in SETTINGS.items()]
    return all(taken)
