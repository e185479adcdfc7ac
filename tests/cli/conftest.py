"""`adagen ...` called in a folder of its own: what `tests/console.py` has."""

from console import console, made, ready

__all__ = ["console", "made", "ready"]
