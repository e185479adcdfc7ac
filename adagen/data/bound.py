"""Samples and numbers are read by the configuration that made them, and by no other.

Every file of them holds the settings that it depends on (`adagen.config.bindings`). Commands that
read one compare these with their own configuration here.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adagen.config import SEARCHED, Alignment, Config
from adagen.config.bindings import Binding, of_alignment, of_policy, of_samples
from adagen.config.identity import Identity
from adagen.config.runs import Run
from adagen.data.captions.prompts import read_prompts
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


def open_prompted(folder: Path, config: Config) -> "Samples":
    """Open samples of the prompts of a configuration, as `adagen sample --prompts` writes them.

    Raises:
        AdagenError: as `Samples.open`; or they are of no prompts or of others, or were made with
            other settings.
    """
    from adagen.data.samples import Samples  # torch, which tables need not wait for

    samples = Samples.open(folder)
    settings = dict(samples.about[SETTINGS])
    found = settings.pop("prompts", None)
    again = "`snakemake --cores all --forcerun prompts`, or by hand `adagen sample --prompts`"
    if found is None:
        raise AdagenError(
            f"{folder} holds samples of no prompts: give what `adagen sample --prompts` wrote."
        )
    if (found["texts"], found["each"]) != (list(_prompts(config)), _alignment(config).images):
        raise AdagenError(
            f"{folder} holds samples of other prompts, or another number of each, than the "
            f"configuration has (key evaluation.alignment). Make them again: {again}."
        )
    require_configured(
        folder, settings, run=samples.run, config=config, expected=of_samples, again=again
    )
    return samples


def alignment_of(config: Config, run: Run) -> Binding:
    """The settings that a run's alignment with the configuration's prompts is bound to.

    Raises:
        AdagenError: there are no prompts.
        KeyError: the configuration has no such experiment.
    """
    from adagen.data.captions.pairs import list_hash  # torch, too

    prompts: Identity = {"texts": list_hash(_prompts(config)), "each": _alignment(config).images}
    return of_alignment(config, run, prompts=prompts)


def _alignment(config: Config) -> Alignment:
    if config.evaluation.alignment is None:
        raise AdagenError("the config has no section evaluation.alignment, which names prompts.")
    return config.evaluation.alignment


def _prompts(config: Config) -> tuple[str, ...]:
    key = "key 'evaluation.alignment.prompts':"
    return read_prompts(Path(_alignment(config).prompts), key)


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
    again: str = "",
) -> None:
    """Refuse what was made with other settings than those of the configuration.

    Args:
        path: where it was read, for the message.
        found: the settings that it was made with.
        run: the run that it is of.
        config: the configuration.
        expected: the settings by which the configuration would make it.
        again: the commands that make it again, where they are others than those of samples.

    Raises:
        AdagenError: the configuration has no such run, or a setting differs.
    """
    again = again or _again(run)
    remedy = f"Give the configuration that it was made with, or make it again: {again}."
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
