"""`adagen plan`: what a run takes, before anything of it runs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from adagen.cli.options import Configs
from adagen.cli.paths import load_config
from adagen.config import Config
from adagen.planning.cost_table import DEVICES, as_csv, as_text, assumed
from adagen.runtime.errors import AdagenError
from adagen.runtime.names import listed
from adagen.runtime.outputs import Kind

app = typer.Typer()


@app.command()
def plan(
    config: Configs,
    device: Annotated[
        str, typer.Option("--device-name", help=f"Whose hours: {', '.join(DEVICES)}.")
    ] = "h100",
    *,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Measure the device of the config, on this machine."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--csv", help="CSV file to write, one line a part."), Kind.FILE
    ] = None,
) -> None:
    """Say what all stages take: evaluations, operations, hours, memory, disk, downloads."""
    if device not in DEVICES:
        known = listed(device, DEVICES)
        raise AdagenError(
            f"--device-name is {device!r}, of which nothing is known: choose one of {known}, or "
            "measure the device that is here with --measure."
        )
    with _no_collector():
        typer.echo(make_plan(load_config(config), device, measure=measure, out=out))


@contextmanager
def _no_collector() -> Iterator[None]:
    """Look for no garbage in the block: there is next to none, and looking takes a tenth of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def make_plan(config: Config, device: str, *, measure: bool, out: Path | None) -> str:
    """The table of a plan and what it rests on; all its parts as CSV in `out`.

    Args:
        config: the configuration.
        device: one of `adagen.planning.cost_table.DEVICES`.
        measure: whether to measure the device of the configuration instead.
        out: file to write; None for none.

    Raises:
        AdagenError: the data set is neither there nor known, or a GPU is to be measured and there
            is none.
    """
    from adagen.planning.cost import Plan
    from adagen.runtime.atomic import atomic_path

    if measure:
        from adagen.cli.common import device_of
        from adagen.planning.measuring import measured

        speed = measured(config, device_of(config))
    else:
        precisions = {name: settings.precision for name, settings in config.generators.items()}
        speed = assumed(device, precisions)
    planned = Plan(config)
    if out:
        with atomic_path(out) as temporary:
            temporary.write_text(as_csv(planned.jobs, speed), encoding="utf-8")
    notes = [speed.source]
    if planned.guessed:
        notes.append(
            f"no size is published of {', '.join(planned.guessed)}: they are taken to be as large "
            "as their networks in float32"
        )
    if speed.memory:
        large = {job.part for job in planned.jobs if job.memory > speed.memory}
        notes += [f"{name} asks for more than the device's memory" for name in sorted(large)]
    return "\n".join([as_text(planned.jobs, speed), "", *notes])
