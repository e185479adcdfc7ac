"""Fitting judges to a kept policy, once for all of its refinements."""

from pathlib import Path

from adagen.cli.candidates import Trained, fresh_gaussians
from adagen.cli.common import open_experiment
from adagen.cli.sample import open_policy
from adagen.config import LEARNED, Config
from adagen.data.split import load_dataset
from adagen.rewards.states import save_state
from adagen.runtime.errors import AdagenError
from adagen.runtime.processes import SINGLE_PROCESS, Processes
from adagen.sampling.fitted_judges import KIND, fit_score, fit_value, sample_policy


def fit_judges(
    config: Config,
    experiment: str,
    method: str,
    generator_file: Path,
    policy_file: Path,
    features: Path,
    out: Path,
    processes: Processes = SINGLE_PROCESS,
) -> None:
    """Write two Gaussians, and values under them, fitted to real images and to a policy's samples.

    Several processes draw these samples together. Where nothing can look ahead, there are no
    values.

    Raises:
        AdagenError: a file is missing or belongs to something else, or the method isn't learned.
    """
    if method not in LEARNED:
        raise AdagenError(
            f"method {method!r} can't be refined, so nothing is fitted to it: choose one of "
            f"{', '.join(LEARNED)}."
        )
    settings, generator = open_experiment(
        config, experiment, generator_file=generator_file, method=method
    )
    belongs = experiment, settings, generator, generator_file
    policy, seed = open_policy(*belongs, method, policy_file)
    reward = fresh_gaussians(config, features)
    batch = config.generators[settings.generator].batch
    own = sample_policy(generator, policy, batch=batch, seed=seed or 0, processes=processes)
    if not processes.first:
        return
    score = fit_score(reward, own, real=load_dataset(config.dataset).train)
    judges = {"score": reward.judging_state()}
    if generator.stochastic:
        judges["value"] = fit_value(generator, own, score=score).state()
    trained = Trained(experiment, settings, method, seed, generator_file)
    save_state(out, judges, about=trained.judges_binding(policy_file, features), kind=KIND)
