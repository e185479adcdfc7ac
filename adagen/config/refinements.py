"""Refinements: how sampling chooses among candidates (docs/refinement.md)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from adagen.config.base import Model
from adagen.config.curves import require_known
from adagen.config.evaluation import Evaluation
from adagen.config.experiments import DinoFeatures, Experiment, require_norm_groups
from adagen.config.values import Different, Temperature, require_name

SETS = "judges sets of images, and says nothing of one by itself"
UNFIT = {
    "repeated": {"frechet": SETS},
    "resampled": {"frechet": SETS, "classifier": "is no discriminator: there is no D / (1 - D)"},
}
"""Kinds of reward that a kind of refinement can't choose by, and why."""
Candidates = Annotated[int, Field(gt=0, le=1000)]
Several = Annotated[int, Field(ge=2, le=1000)]


class Refinement(Model):
    """Keys that all kinds have: a judge, and looking ahead."""

    kind: str
    """Kind of refinement."""
    judge: Literal["reward", "gaussian"] = "reward"
    """Judge of candidates. `reward`: reward and value network of the training, as they were when
    the policy was kept. `gaussian`: two Gaussians (as in `training.reward` of kind "gaussian"),
    fitted to real images and to samples of the kept policy, and values fitted to their
    log-ratio."""
    experiments: Annotated[tuple[str, ...], Different] = ()
    """Experiments that have this refinement; empty for all whose generator allows it, and that
    repeat no other."""
    k: Candidates = 1
    """Next states that are drawn at every step, of which one is kept by its value; 1 for no
    look-ahead. More take a stochastic generator: `maskgit`, `var`, or a package's."""
    choice: Literal["best", "softmax"] = "best"
    """Which next state is kept: the one with the highest value, or one that is drawn with
    probability proportional to exp(value / temperature)."""
    temperature: Temperature = 1.0
    """Temperature of `softmax`, in standard deviations of the reward over samples."""


class LookaheadRefinement(Refinement):
    """At every step, one of K next states is kept, by its value."""

    kind: Literal["lookahead"]
    """Kind of refinement."""
    k: Several = 4
    """Next states that are drawn at every step, of which one is kept by its value. It takes a
    stochastic generator: `maskgit`, `var`, or a package's."""

    @property
    def n(self) -> int:
        """Number of whole samples that are drawn for each one that is kept."""
        return 1


class RepeatedRefinement(Refinement):
    """Keep the best of N whole samples, according to the judge."""

    kind: Literal["repeated"]
    """Kind of refinement."""
    n: Several = 4
    """Number of whole samples that are drawn for each one that is kept."""


class ResampledRefinement(Refinement):
    """Keep one of N whole samples, drawn with probability proportional to D / (1 - D).

    This protects diversity.
    """

    kind: Literal["resampled"]
    """Kind of refinement."""
    n: Several = 4
    """Number of whole samples that are drawn for each one that is kept."""


AnyRefinement = Annotated[
    LookaheadRefinement | RepeatedRefinement | ResampledRefinement, Field(discriminator="kind")
]


def refinements_of(
    name: str,
    refinements: Mapping[str, AnyRefinement],
    *,
    experiments: Mapping[str, Experiment],
    generators: Mapping[str, Any],
) -> list[str]:
    """Names of the refinements of an experiment: asked for, and possible with its generator."""
    stochastic = generators[experiments[name].generator].stochastic
    default = () if experiments[name].repeats else (name,)
    return [
        key
        for key, refinement in refinements.items()
        if name in (refinement.experiments or default) and (stochastic or refinement.k == 1)
    ]


def check_refinements(
    refinements: Mapping[str, AnyRefinement],
    experiments: Mapping[str, Experiment],
    *,
    generators: Mapping[str, Any],
    features: object,
    evaluation: Evaluation,
) -> None:
    """Raise unless candidates differ, and their judge can tell them apart.

    Raises:
        ValueError: a refinement has a name that no file can have, names an unknown experiment,
            looks ahead with a generator that draws nothing, has a judge that can't choose, or one
            on DINO where images don't come in whole norm groups.
    """
    refined = {
        name: refinements_of(name, refinements, experiments=experiments, generators=generators)
        for name in experiments
    }
    for name, refinement in refinements.items():
        require_name("refinements", name, becomes="the end of a file's name", dots=False)
        require_known(
            f"refinements.{name}.experiments", refinement.experiments, experiments=experiments
        )
        allowing = [experiment for experiment, allowed in refined.items() if name in allowed]
        lost = [experiment for experiment in refinement.experiments if experiment not in allowing]
        if lost or not allowing:
            whose = f"generator of {lost[0]} is a" if lost else "generators of all experiments are"
            raise ValueError(
                f"refinements.{name}.k is {refinement.k}, but the {whose} deterministic "
                f"solver{'' if lost else 's'}: the next state follows from the action, so all "
                "candidates would be the same one. Leave k at 1, with kind 'repeated' or "
                f"'resampled'{', or take the experiment out' if lost else ''}"
            )
        for experiment in allowing:
            training = experiments[experiment].training
            kind = training.reward.kind
            if refinement.judge == "gaussian":
                continue
            if refinement.k > 1 and not training.value_coefficient:
                raise ValueError(
                    f"refinements.{name}.k is {refinement.k}, but experiments.{experiment} has "
                    "training.value_coefficient 0, so no value network to choose by: raise it, or "
                    "take judge 'gaussian'"
                )
            if kind == "tokens" and isinstance(features, DinoFeatures):
                key = experiments[experiment].generator
                shared = {"shard": evaluation.shard, "samples": evaluation.samples}
                counts = {f"evaluation.{name}": count for name, count in shared.items()}
                require_norm_groups({f"generators.{key}.batch": generators[key].batch, **counts})
            if why := UNFIT.get(refinement.kind, {}).get(kind):
                raise ValueError(
                    f"refinements.{name} is of kind {refinement.kind!r}, but the reward of "
                    f"experiments.{experiment} is of kind {kind!r}, which {why}: choose "
                    "judge 'gaussian', another training.reward.kind, or another refinement"
                )
