"""`adagen plan`: what a run takes, before anything of it runs."""

from pathlib import Path
from typing import Annotated

import typer

from adagen.config import load_config
from adagen.planning.devices import DEVICES
from adagen.runtime.errors import AdagenError

PlannedConfigs = Annotated[
    list[Path],
    typer.Option(
        "--config",
        "--configfile",
        help="Config file; repeat to lay later ones over earlier ones.",
    ),
]


def plan(
    config: PlannedConfigs,
    device: Annotated[
        str, typer.Option("--device-name", help=f"Whose hours: {', '.join(DEVICES)}.")
    ] = "h100",
    *,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Measure the config's own device, here, instead."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--csv", help="CSV file to write, one line a part.")
    ] = None,
) -> None:
    """Say what all stages take: evaluations, operations, hours, memory, disk, downloads."""
    if device not in DEVICES:
        known = ", ".join(DEVICES)
        raise AdagenError(
            f"--device-name is {device!r}, of which nothing is known: choose one of {known}, or "
            "measure the device that is here with --measure."
        )
    settings = load_config(config)
    from adagen.cli import plan as planning

    typer.echo(planning.plan(settings, device, measure=measure, out=out))


COMMANDS = (plan,)
