"""Main memory that does not suffice, in words: each library says it in its own."""

import errno
import resource

TORCH = 4 * 2**30
"""Bytes of address space that torch and its libraries take by themselves."""

WORDS = ("can't allocate memory", "cannot allocate memory", "failed to map segment", "bad_alloc")
"""Words of libraries that find no memory."""


def limit_of_memory() -> str:
    """A clause on the limit of this process, such as `ulimit -v` sets; empty if there is none."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return ""
    return f"`ulimit -v` limits this process to {limit / 1e9:.1f} GB"


def warning_of_memory() -> str:
    """A sentence where the limit leaves too little for torch, which may then abort; or nothing."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= TORCH:
        return ""
    return f"{limit_of_memory()}, of which torch alone takes about 4: raise it if this ends early."


def explain_memory(error: BaseException) -> str:
    """Advice after an error that says that memory is short; empty for any other error."""
    text = " ".join(str(error).split())
    short = isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno == errno.ENOMEM
    )
    if isinstance(error, RuntimeError | ImportError | OSError):
        short = short or any(words in text.lower() for words in WORDS)
    if not short:
        return ""
    limit = f" ({limit_of_memory()})" if limit_of_memory() else ""
    return (
        f"the main memory does not suffice{limit}: {text[:200] or type(error).__name__}. Give it "
        "more, or lower `batch` or the sizes of networks in the configuration."
    )
