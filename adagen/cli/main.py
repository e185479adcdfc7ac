"""`adagen <command>`: puts the commands together, and turns errors into one paragraph."""

import os
import sys
from io import TextIOWrapper
from pathlib import Path

import typer

from adagen.cli import (
    align,
    dataset,
    embed,
    evaluate,
    fetch,
    headroom,
    judge,
    paper,
    plan,
    pretrain,
    sample,
    schedule,
    sweep,
    train,
)
from adagen.cli.paths import Stage
from adagen.runtime.errors import AdagenError
from adagen.runtime.memory import explain_memory, warning_of_memory
from adagen.runtime.shutdown import STATUS, Stopped, exit_when_workflow_exits, restore_stop_signals
from adagen.runtime.usage import say_at_the_end

app = typer.Typer(
    help="Learned, sample-adaptive schedules for multi-step image generators (AdaGen).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# The order of the commands is that of `adagen --help`.
for commands in (
    fetch,
    dataset,
    embed,
    pretrain,
    evaluate,
    train,
    sweep,
    sample,
    schedule,
    judge,
    align,
    paper,
    plan,
):
    app.add_typer(commands.app)
app.add_typer(headroom.app, name="diagnose")  # the group of diagnose.py, with one more command
for group in app.registered_groups:
    for command in group.typer_instance.registered_commands if group.typer_instance else ():
        command.cls = Stage


def main() -> None:
    """Run the command line; an error that is meant for the user is one paragraph, and status 2."""
    _open_streams()
    say_at_the_end()
    exit_when_workflow_exits()
    restore_stop_signals()
    if warning := warning_of_memory():
        typer.echo(f"adagen: {warning}", err=True)
    try:
        app()
    except Stopped as stopped:
        typer.echo(f"adagen: {stopped}", err=True)
        sys.exit(STATUS)
    except Exception as error:
        memory = explain_memory(error)
        if not memory and not isinstance(error, AdagenError | OSError):
            raise
        typer.echo(f"adagen: {memory or paragraph(str(error))}", err=True)
        sys.exit(2)


def _open_streams() -> None:
    """Open standard streams that are closed, and let them print any letters of names.

    Without, the next file that is opened would take their place, and bars have none to print to.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


LONGEST = 2000
"""Most characters of a message."""


def paragraph(text: str) -> str:
    """A message as one paragraph; names in it, from files of others, may have any characters."""
    line = "".join(letter if letter >= " " and letter != "\x7f" else " " for letter in text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 3 :]}"
