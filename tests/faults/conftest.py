"""What goes wrong around `adagen`, in the folder and with the files of its own tests."""

from cli.conftest import console, prepared, ready

__all__ = ["console", "prepared", "ready"]
