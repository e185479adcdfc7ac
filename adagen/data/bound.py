"""Samples and numbers are read by the configuration that made them, and by no other.

Every file of them holds the settings that it depends on (`adagen.config.bindings`). Commands that
read one compare these with their own configuration here.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adagen.config import SEARCHED, Config
from adagen.config.bindings import Binding, of_policy, of_samples
from adagen.config.runs import Run
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import first_difference
from adagen.runtime.hashing import file_hash

if TYPE_CHECKING:
    from adagen.data.samples import Samples

SETTINGS = "settings"
"""Key of the settings in a file that is bound to them."""
MADE_WITH = "made_with"
"""Key of the settings that made a policy, in its file, whose `settings` are an experiment's."""


def open_configured(folder: Path, config: Config) -> "Samples":
    """Open samples of a configuration.

    Raises:
        AdagenError: as `Samples.open`; or they were made with other settings.
    """
    from adagen.data.samples import Samples  # torch, which tables need not wait for

    samples = Samples.open(folder)
    require_configured(
        folder, samples.about[SETTINGS], run=samples.run, config=config, expected=of_samples
    )
    return samples


def require_made_from(samples: "Samples", files: Sequence[Path]) -> None:
    """Refuse samples of another generator or policy than these files; without files accept all.

    Raises:
        AdagenError: none of the files is one that the samples were made from.
    """
    known = {file_hash(path) for path in files}
    for name, found in samples.about["hashes"].items():
        if known and found and found not in known:
            given = ", ".join(map(str, files))
            raise AdagenError(
                f"{samples.folder} was made from a {name} with SHA-256 {found[:12]}..., which is "
                f"none of {given}. Make the samples again: {_again(samples.run)}."
            )


def require_configured(
    path: Path,
    found: Mapping[str, Any],
    *,
    run: Run,
    config: Config,
    expected: Callable[[Config, Run], Binding],
) -> None:
    """Refuse what was made with other settings than those of the configuration.

    Args:
        path: where it was read, for the message.
        found: the settings that it was made with.
        run: the run that it is of.
        config: the configuration.
        expected: the settings by which the configuration would make it.

    Raises:
        AdagenError: the configuration has no such run, or a setting differs.
    """
    remedy = f"Give the configuration that it was made with, or make it again: {_again(run)}."
    require_experiment(path, run.experiment, config=config)
    if run.refinement and run.refinement not in config.refinements:
        raise AdagenError(
            f"{path} is of refinement {run.refinement!r}, which the configuration doesn't have. "
            f"{remedy}"
        )
    require_settings(path, found, expected=expected(config, run), remedy=remedy)


def require_policy(
    path: Path, metadata: Mapping[str, Any], *, config: Config, experiment: str
) -> None:
    """Refuse a policy that was trained or searched for with other settings than these.

    Args:
        path: its file, for the message.
        metadata: the description in the file.
        config: the configuration.
        experiment: the experiment that it is for.

    Raises:
        AdagenError: a setting differs; or the file doesn't say how it was made, as older ones.
    """
    method = metadata["method"]
    rule = "sweep" if method in SEARCHED else method if method == "released" else "train"
    again = f"make the policy again (`snakemake --cores all --forcerun {rule}`)"
    if not metadata.get(MADE_WITH):
        raise AdagenError(
            f"{path} doesn't say with what settings the policy was made, so it is of an older "
            f"version of adagen: {again}."
        )
    expected = of_policy(config, experiment, method=method)
    remedy = f"Give the configuration that made the policy, or {again}."
    require_settings(path, metadata[MADE_WITH], expected=expected, remedy=remedy)


def require_experiment(path: Path, experiment: str, *, config: Config) -> None:
    """Refuse what is of an experiment that the configuration doesn't have.

    Raises:
        AdagenError: there is no such experiment.
    """
    if experiment in config.experiments:
        return
    if experiment not in (known := config.every_experiment):
        raise AdagenError(
            f"{path} is of experiment {experiment!r}, which the configuration doesn't have; it "
            f"has {', '.join(known)}. Give the configuration that it was made with."
        )


def require_settings(
    path: Path, found: Mapping[str, Any], *, expected: Binding, remedy: str
) -> None:
    """Refuse a file unless the settings of every job behind it are the expected ones.

    Raises:
        AdagenError: a setting differs, which is named as in the configuration.
    """
    wanted = json.loads(json.dumps(expected))  # as a file gives it back
    for job in {**wanted, **found}:
        if differs := first_difference(found.get(job, {}), wanted.get(job, {})):
            key, was, asked = differs
            raise AdagenError(
                f"{path} was made with {key or job}: {was!r}, but the configuration says "
                f"{asked!r}. {remedy}"
            )


def _again(run: Run) -> str:
    """The commands that make the samples and metrics of a run again."""
    rule = "refine" if run.refinement else "sample" if run.fidelity is None else "blend"
    return (
        f"`snakemake --cores all --forcerun {rule}`, or by hand `adagen sample` and `adagen "
        "evaluate`"
    )
