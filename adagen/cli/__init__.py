"""The command line, `adagen <command>`: each command stands in one file with what it does.

Rules of the workflow call these commands too. Functions import torch and pandas themselves, so that
`adagen --help`, and a mistake in an option or in the configuration, answer at once.
"""

from adagen.cli.main import main

__all__ = ["main"]
