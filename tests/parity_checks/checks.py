"""All checks, and what runs them over a folder."""

from collections.abc import Callable, Iterator
from fnmatch import fnmatch

from . import adanat, autoencoders, maskgit, metrics, policies, solvers, var, weights
from .folder import Folder, Golden
from .report import Line, failure

TOPICS = (policies, solvers, maskgit, var, autoencoders, metrics, adanat)
GOLDEN_CHECKS: dict[str, Callable[[Folder, Golden], Iterator[Line]]] = {
    pattern: check for topic in TOPICS for pattern, check in topic.CHECKS.items()
}
"""For each .npz file, by its name."""
WEIGHT_CHECKS: dict[str, Callable[[Folder, str], Iterator[Line]]] = weights.CHECKS
"""For each .pth file, by its name."""


def names(folder: Folder) -> list[str]:
    """All files that are compared: weights first, then goldens."""
    return [f"{name}.pth" for name in folder.weights] + [f"{name}.npz" for name in folder.names]


def matching(folder: Folder, pattern: str) -> list[str]:
    """The files that one check is for."""
    kind = "npz" if pattern in GOLDEN_CHECKS else "pth"
    return [file for file in names(folder) if fnmatch(file, f"{pattern}.{kind}")]


def run(folder: Folder, file: str) -> Iterator[Line]:
    """The lines of one file; whatever goes wrong is a line as well."""
    name, kind = file.rsplit(".", 1)
    try:
        yield from _golden(folder, name) if kind == "npz" else _weights(folder, name)
    except Exception as error:  # one file that can't be compared mustn't hide the others
        told = " ".join(str(error).split())
        yield failure(name, "-", f"ERROR: {type(error).__name__}: {told}")


def _golden(folder: Folder, name: str) -> Iterator[Line]:
    """The lines of a golden file, and one for each of its arrays that nobody compares."""
    check = _find(GOLDEN_CHECKS, name)
    if check is None:
        yield failure(name, "-", f"no check for {name}.npz")
        return
    golden = folder.golden(name)
    yield from check(folder, golden)
    for key in golden.unread:
        yield failure(name, key, f"no check for {key}")


def _weights(folder: Folder, name: str) -> Iterator[Line]:
    check = _find(WEIGHT_CHECKS, name)
    if check is None:
        yield failure(name, "-", f"no check for {name}.pth")
        return
    yield from check(folder, name)


def _find(
    checks: dict[str, Callable[..., Iterator[Line]]], name: str
) -> Callable[..., Iterator[Line]] | None:
    return next((check for pattern, check in checks.items() if fnmatch(name, pattern)), None)
