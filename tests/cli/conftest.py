"""`adagen ...` called in a folder of its own: what `tests/console.py` has."""

from console import console, prepared, ready

__all__ = ["console", "prepared", "ready"]
