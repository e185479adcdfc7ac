"""How much has to be fetched, where sizes are published and where they aren't."""

from adagen.data.released import catalogue, needed
from adagen.planning.counting import weight_bytes
from adagen.planning.jobs import Job
from adagen.planning.network_cost import Networks

MOMENTS = 8 * (2048 + 2048**2)
"""Bytes of mean and covariance of Inception's features."""
DESCRIBED = {"dino_vits16": 87e6, "clip_vit_b_32": 600e6}
"""Sizes as the descriptions of the catalogue put them."""


def fetching(networks: Networks) -> tuple[Job, list[str]]:
    """All files that a configuration needs, and those whose size is nothing but a guess."""
    config = networks.config
    known, guesses = catalogue(config.assets), _guesses(networks)
    names = [*needed(config)]
    total = sum(known[name].size or guesses.get(name, 0) for name in names)
    job = Job("assets", download=total, disk=total)
    return job, [name for name in names if not known[name].size]


def _guesses(networks: Networks) -> dict[str, float]:
    """Sizes of files that hold a network in float32, and nothing else."""
    config = networks.config
    guesses: dict[str, float] = {config.evaluation.reference: MOMENTS, **DESCRIBED}
    for name, settings in config.generators.items():
        if settings.weights:
            backbone = networks.generators.backbone(name)
            own = weight_bytes(backbone.network)  # type: ignore[arg-type]
            guesses[settings.weights.network] = own
            guesses[settings.weights.decoder] = weight_bytes(backbone) - own
    for experiment in config.experiments.values():
        if experiment.released_policy:
            actor, _ = networks.policy_and_value(experiment, "released")
            guesses[experiment.released_policy] = actor.weights
    return guesses
