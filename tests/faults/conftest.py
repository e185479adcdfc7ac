"""What goes wrong around `adagen`, in the folder and with the files of its own tests."""

from cli.conftest import console, made, ready

__all__ = ["console", "made", "ready"]
