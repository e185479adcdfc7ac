"""Opening the sampler of a run: an experiment under a method, refined or blended or neither."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from adagen.cli.common import open_experiment
from adagen.config import LEARNED, AnyRefinement, Config, Experiment, Method, identity
from adagen.config.runs import Run
from adagen.runtime.errors import AdagenError
from adagen.runtime.names import listed

if TYPE_CHECKING:
    from adagen.policy.files import PolicyFile
    from adagen.sampling.judges import RewardFiles, TrainingIdentity
    from adagen.sampling.sampler import Sampler


class Blended(BaseModel):
    """The second part of a blend: its weight lambda, and the hash of the other policy's file."""

    fidelity: float
    faithful: str


@dataclass(frozen=True)
class SamplingInputs:
    """The files that images are made from.

    Attributes:
        generator: written by `adagen pretrain <generator>`.
        policy: the method's policy; None for a method without one.
        faithful: the policy of the method `faithful` to blend it with; None for no blend.
        features: frozen features of the reward that judges candidates.
        reward_state: what that reward had learnt, or the fitted judges.
        preference: the classifier, where that is the reward.
    """

    generator: Path
    policy: Path | None = None
    faithful: Path | None = None
    features: Path | None = None
    reward_state: Path | None = None
    preference: Path | None = None

    @property
    def reward(self) -> "RewardFiles":
        """The files of the reward."""
        from adagen.sampling.judges import RewardFiles

        return RewardFiles(self.features, self.reward_state, self.preference)

    @property
    def files(self) -> list[Path]:
        """The files that were given, without missing ones and the one that is blended in."""
        policy = [self.policy] if self.policy else []
        return [self.generator, *policy, *self.reward.given]


@dataclass(frozen=True)
class SampleRun:
    """A sampler, and the run of a configuration that it makes the images of.

    Attributes:
        experiment: name of the experiment.
        settings: its settings.
        method: how it is scheduled.
        sampler: makes the images.
        dial: how far the policy is blended with the faithful one; None for no blend.
        refinement: name of the refinement; empty for a plain run.
        refined_by: its settings; None for a plain run.
        prompts: texts that images are made of; empty for the captions or classes of the data set.
        each: number of images of each prompt.
    """

    experiment: str
    settings: Experiment
    method: str
    sampler: "Sampler"
    dial: Blended | None = None
    refinement: str = ""
    refined_by: AnyRefinement | None = None
    prompts: tuple[str, ...] = ()
    each: int = 1

    @property
    def name(self) -> str:
        """Name of the run, for progress bars and messages: "flow_t4 adagen+best4"."""
        return f"{self.experiment} {self.method}" + (
            f"+{self.refinement}" if self.refinement else ""
        )

    @property
    def run(self) -> Run:
        """The run of the configuration, as files are named after it."""
        fidelity = self.dial.fidelity if self.dial else None
        method = cast(Method, self.method)
        return Run(self.experiment, method, self.training_seed, self.refinement, fidelity)

    @property
    def training_seed(self) -> int | None:
        """Seed of the training that made the policy; None where nothing was trained."""
        file = self.sampler.policy_file
        seed: int | None = file.metadata["training_seed"] if file else None
        return seed

    @property
    def description(self) -> dict[str, Any]:
        """Entries of about.json on the refinement; empty for a plain run."""
        if self.refined_by is None:
            return {}
        settings = self.refined_by.model_dump(mode="json", exclude={"experiments"})
        return {"refinement": {"name": self.refinement, **settings, "n": self.refined_by.n}}


def open_run(
    config: Config,
    experiment: str,
    *,
    method: str,
    inputs: SamplingInputs,
    fidelity: float | None = None,
    refinement: str = "",
) -> SampleRun:
    """Open all that the images of a run are made with.

    Args:
        config: the configuration.
        experiment: key of `experiments`.
        method: how it is scheduled.
        inputs: the files.
        fidelity: lambda of the blend: at 0 the policy alone decides, at 1 the faithful one.
        refinement: key of `refinements`; empty for none.

    Raises:
        AdagenError: the config has no such experiment or refinement, a file is missing or belongs
            to something else, `fidelity` is out of range or alone, or the method can't be refined
            in this way.
    """
    from adagen.policy.files import open_policy
    from adagen.sampling.judges import TrainingIdentity
    from adagen.sampling.sampler import Sampler

    settings, generator = open_experiment(
        config, experiment, generator_file=inputs.generator, method=method
    )
    expected = identity.policy_file(
        experiment, settings, generator_hash=generator.hash, sampler=generator.sampler
    )
    policy, file = open_policy(generator, method=method, path=inputs.policy, expected=expected)
    _require_made_with(file, config, experiment=experiment)
    sampler = Sampler(
        generator,
        policy,
        batch=config.generators[settings.generator].batch,
        policy_file=file,
        generator_file=inputs.generator,
    )
    dial = _blended(fidelity, inputs.faithful)
    if dial:
        faithful, other = open_policy(
            generator, method="faithful", path=inputs.faithful, expected=expected
        )
        _require_made_with(other, config, experiment=experiment)
        dial = dial.model_copy(update={"faithful": other.hash if other else ""})
        blended = sampler.blend(replace(sampler, policy=faithful), dial.fidelity)
        # The run is still described by the first policy's training.
        sampler = replace(blended, policy_file=file)
    run = SampleRun(experiment, settings, method, sampler, dial)
    if not refinement:
        return run
    training = TrainingIdentity(
        experiment=experiment,
        settings=settings,
        method=method,
        seed=run.training_seed,
        generator_hash=generator.hash,
        sampler=generator.sampler,
    )
    refined = _refine(config, refinement, sampler=sampler, training=training, inputs=inputs)
    # Which experiments a run makes it for changes no image.
    refined_by = config.refinements[refinement].model_copy(update={"experiments": ()})
    return replace(run, sampler=refined, refinement=refinement, refined_by=refined_by)


def _require_made_with(file: "PolicyFile | None", config: Config, *, experiment: str) -> None:
    """Refuse a policy that was trained or searched for with other settings than these."""
    from adagen.data.bound import require_policy

    if file is not None and file.path is not None:
        require_policy(file.path, file.metadata, config=config, experiment=experiment)


def _blended(fidelity: float | None, faithful_file: Path | None) -> Blended | None:
    from adagen.runtime.hashing import file_hash

    if fidelity is None and faithful_file is None:
        return None
    if fidelity is None or faithful_file is None:
        raise AdagenError(
            "--fidelity and --faithful go together: how far, and towards which policy. Give both "
            "for a blend, or neither."
        )
    return Blended(fidelity=fidelity, faithful=file_hash(faithful_file))


def _refine(
    config: Config,
    name: str,
    *,
    sampler: "Sampler",
    training: "TrainingIdentity",
    inputs: SamplingInputs,
) -> "Sampler":
    """The sampler of a trained policy that looks ahead, or keeps one of several, or both.

    Raises:
        AdagenError: the config has no such refinement; the method, the generator or the reward
            can't be refined in this way; or a file is missing or belongs to something else.
    """
    from adagen.sampling.judges import fitted_judges, trained_judges
    from adagen.sampling.refinement import LookAhead

    if name not in config.refinements:
        known = listed(name, config.refinements)
        raise AdagenError(f"the config has no refinement {name!r}; it has: {known}.")
    if training.method not in LEARNED or sampler.policy_file is None:
        raise AdagenError(
            f"method {training.method!r} can't be refined: candidates are chosen by the reward and "
            f"the value network of a training. Refine one of {', '.join(LEARNED)}."
        )
    settings = config.refinements[name]
    open_judges = fitted_judges if settings.judge == "gaussian" else trained_judges
    judges = open_judges(
        config,
        training,
        policy=sampler.policy_file,
        files=inputs.reward,
        conditions=sampler.generator.conditions,
        device=sampler.generator.device,
    )
    if settings.k > 1:
        ahead = LookAhead(
            sampler.generator,
            judges.value().to(sampler.generator.device),
            k=settings.k,
            choice=settings.choice,
            temperature=settings.temperature,
        )
        sampler = replace(sampler, generator=ahead)
    if settings.kind == "lookahead":
        return sampler
    resample = settings.kind == "resampled"
    return sampler.with_candidates(settings.n, judges.score(), resample=resample)
