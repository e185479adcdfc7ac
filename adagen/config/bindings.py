"""The settings that samples and their numbers are bound to: those of every job behind them.

Files of samples, metrics and tables hold these dictionaries, and whoever reads one compares it with
the configuration that it was given (`adagen.data.bound`). What a job depends on is stated once, in
`adagen.config.identity`; which jobs are behind a file is stated here.
"""

from adagen.config import identity
from adagen.config.base import LEARNED, SEARCHED, WITHOUT_POLICY, Model
from adagen.config.dataset import Dataset
from adagen.config.experiments import Experiment
from adagen.config.identity import Identity
from adagen.config.run import Config
from adagen.config.runs import Run

Binding = dict[str, Identity]
"""The identity of each job by its name; of the trainings of a blend, by job and method."""


def asks_preference(settings: Experiment, method: str) -> bool:
    """True if a training asks the preference what it says of an image."""
    return method == "faithful" or settings.training.reward.kind == "classifier"


def starts_tuned(settings: Experiment, method: str) -> bool:
    """True if a training begins at the schedule of the method `tuned`."""
    return method in LEARNED and settings.training.start == "tuned"


def of_policy(config: Config, experiment: str, *, method: str) -> Binding:
    """The settings that a method's policy is bound to, given its generator; empty without one."""
    if method in WITHOUT_POLICY:
        return {}
    if method == "released":
        return {"released": identity.released(config, experiment)}
    chosen_by = {
        "metric_networks": identity.metric_networks(config),
        "reference": identity.reference(config),
    }
    if method in SEARCHED:
        return {f"sweep {method}": identity.sweep(config, experiment, search=method), **chosen_by}
    settings = identity.experiment_of(config, experiment)
    asked = asks_preference(settings, method)
    begun = of_policy(config, experiment, method="tuned") if starts_tuned(settings, method) else {}
    return {
        **begun,
        f"train {method}": identity.train(config, experiment, method=method),
        "reward_features": identity.reward_features(config),
        **({"preference": identity.preference(config)} if asked else {}),
        **chosen_by,
    }


def of_samples(config: Config, run: Run) -> Binding:
    """The settings that the samples of a run are bound to.

    Raises:
        KeyError: the configuration has no such experiment or refinement.
    """
    name = run.experiment
    drawn = (
        {"refine": identity.refine(config, name, refinement=run.refinement)}
        if run.refinement
        else {"sample": identity.sample(config, name)}
    )
    binding: Binding = {
        "samples_of": {"experiment": name, "run": run.name},
        "pretrain": identity.pretrain(config, identity.experiment_of(config, name).generator),
        **drawn,
    }
    for policy in run.policies:
        binding |= of_policy(config, name, method=policy.method)
    return binding


def of_metrics(config: Config, run: Run) -> Binding:
    """The settings that the metrics of a run's samples are bound to; errors as `of_samples`."""
    return {
        **of_samples(config, run),
        "metric_networks": identity.metric_networks(config),
        "reference": identity.reference(config),
        "evaluate": identity.evaluate(config),
        **({"clip_score": scored} if (scored := identity.clip_score(config)) else {}),
    }


def of_alignment(config: Config, run: Run, *, prompts: Identity) -> Binding:
    """The settings that a run's alignment with prompts is bound to; errors as `of_samples`.

    Args:
        config: the configuration.
        run: the run whose images are drawn of the prompts.
        prompts: what they are, and how many images there are of each.
    """
    return {
        **of_samples(config, run),
        "prompts": prompts,
        "alignment": identity.alignment(config),
    }


def of_judgement(config: Config, run: Run, *, experiment: str) -> Binding:
    """The settings that the opinion which an experiment's reward has of samples is bound to.

    Errors are those of `of_samples`.
    """
    return {
        **of_samples(config, run),
        **of_policy(config, experiment, method="adagen"),
        "judge": identity.judge(config, experiment),
        "preference": identity.preference(config),
    }


def of_diagnosis(config: Config, experiment: str) -> Binding:
    """The settings that a report on an experiment's reward is bound to."""
    settings = identity.experiment_of(config, experiment)
    asked = asks_preference(settings, "adagen")
    return {
        "pretrain": identity.pretrain(config, settings.generator),
        "fit_judges": identity.fit_judges(config, experiment),
        "judge": identity.judge(config, experiment),
        "reward_features": identity.reward_features(config),
        **({"preference": identity.preference(config)} if asked else {}),
        "metric_networks": identity.metric_networks(config),
        "reference": identity.reference(config),
        "evaluate": identity.evaluate(config),
    }


def of_judge(settings: Model, dataset: Dataset) -> Binding:
    """The settings and the data set that a network which judges images is bound to."""
    return {
        "settings": settings.model_dump(mode="json"),
        "dataset": dataset.model_dump(mode="json"),
    }
