"""Names that become files and folders, arguments of commands, and targets of Snakemake and DVC."""

from collections.abc import Iterable

from adagen.config.values import require_name

OF_NETWORKS = {"alignment", "metrics", "clip_score", "reward", "preference"}
"""Arguments of `adagen pretrain` other than generators."""
OF_RESULTS = {"tables", "figures"}
"""Folders of results that belong to no experiment."""
OF_RESOURCES = {"generators", "resume", "text"}
"""Folders of resources, which may be the same place."""


def check_names(
    generators: Iterable[str], experiments: Iterable[str], *, results: str, resources: str
) -> None:
    """Raise unless every name is free and can be used everywhere.

    Args:
        generators: names of generators.
        experiments: names of experiments.
        results: the key of that name.
        resources: the key of that name.

    Raises:
        ValueError: a name is taken, or has characters that mean something else to a program.
    """
    for key, names in (("generators", generators), ("experiments", experiments)):
        for name in names:
            require_name(key, name)
    if reserved := OF_NETWORKS & set(generators):
        raise ValueError(
            f"generators has the name {min(reserved)!r}, which `adagen pretrain` takes for "
            "another network: choose a different one"
        )
    taken = OF_RESULTS | (OF_RESOURCES if results == resources else set())
    if reserved := taken & set(experiments):
        raise ValueError(
            f"experiments has the name {min(reserved)!r}, which is that of another folder there: "
            "choose a different one"
        )
