"""Planning: what a run takes, told before anything of it runs."""

from pathlib import Path

from adagen.config import Config
from adagen.planning.cost import Plan
from adagen.planning.cost_table import as_csv, as_text
from adagen.planning.devices import assumed
from adagen.runtime.files import atomic_path


def plan(config: Config, device: str, *, measure: bool, out: Path | None) -> str:
    """The table of a plan with what it rests on; all its parts as CSV in `out`.

    Args:
        config: the configuration.
        device: one of `adagen.planning.devices.DEVICES`.
        measure: measure the device of the configuration instead.
        out: file to write; None for none.

    Raises:
        AdagenError: the data set is neither there nor known, or a GPU is to be measured and there
            is none.
    """
    if measure:
        from adagen.cli.common import device_of
        from adagen.planning.measuring import measured

        speed = measured(config, device_of(config))
    else:
        precisions = {name: made.precision for name, made in config.generators.items()}
        speed = assumed(device, precisions)
    planned = Plan(config)
    if out:
        with atomic_path(out) as temporary:
            temporary.write_text(as_csv(planned.jobs, speed))
    notes = [speed.told]
    if planned.guessed:
        notes.append(
            f"no size is published of {', '.join(planned.guessed)}: they are taken to be as large "
            "as their networks in float32"
        )
    if speed.memory:
        large = {job.part for job in planned.jobs if job.memory > speed.memory}
        notes += [f"{name} asks for more than the device's memory" for name in sorted(large)]
    return "\n".join([as_text(planned.jobs, speed), "", *notes])
