"""A plan: the jobs of a configuration's target `all`, begun from nothing, and what each takes."""

import math
from collections.abc import Iterator

from adagen.config import LEARNED, SEARCHED, ClassifierSettings, Config
from adagen.config.runs import Run, policies_of, runs_of
from adagen.planning.assets import MOMENTS, fetching
from adagen.planning.counting import weight_bytes
from adagen.planning.fit_cost import fits
from adagen.planning.image_counts import images_of
from adagen.planning.jobs import Job
from adagen.planning.network_cost import Networks
from adagen.rewards.pools import VIEWS
from adagen.sampling.fitted_judges import COMPONENTS, FITTED, operations
from adagen.training.update import CHUNK_NUMBERS

MEASURED = 1000
"""Images measured at once, at most."""
KEPT = {"float32": 4, "bfloat16": 2, "host": 0}
"""Bytes of a feature that is kept through an update on the device."""


class Plan:
    """What a configuration takes.

    Attributes:
        jobs: in the order of the stages.
        guessed: assets whose size nobody has published.
    """

    def __init__(self, config: Config) -> None:
        """Count everything.

        Raises:
            AdagenError: the data set is neither there nor known.
        """
        self.config, self.images = config, images_of(config)
        self.networks = Networks(config, self.images)
        runs = runs_of(config)
        policies = policies_of(runs)
        self._trained = [p for p in policies if p.method in LEARNED]
        assets, self.guessed = fetching(self.networks)
        self.jobs = [
            assets,
            *self._pretraining(),
            self._reference(),
            *(self._adopting(p) for p in policies if p.method == "released"),
            *map(self._training, self._trained),
            *(self._searching(p) for p in policies if p.method in SEARCHED),
            *self._fitting(runs),
            *map(self._sampling, runs),
            *self._judging(),
            *map(self._evaluating, runs),
        ]

    def _pretraining(self) -> Iterator[Job]:
        """The frozen networks: those that are fitted, and what all of them take on the disk."""
        config, networks = self.config, self.networks
        files = {"metrics": networks.metric.weights}
        learned = [networks.rewarding(config.every_experiment[p.experiment]) for p in self._trained]
        if learned or set(config.methods) & {*LEARNED}:
            files["reward"] = networks.features
        if self._preferred():
            files["preference"] = networks.preferring.weights
        for name in config.generators:
            files[name] = weight_bytes(networks.generators.backbone(name))
        fitted = [*fits(config, self.images, targets={*files})]
        for name, size in files.items():
            own = [fit for fit in fitted if fit.target == name]
            yield Job(
                "pretrain",
                name,
                sum(fit.images for fit in own),
                other=sum(fit.flops for fit in own),
                memory=max((fit.memory for fit in own), default=0),
                disk=size,
            )

    def _preferred(self) -> bool:
        """Whether anything asks what says how well an image shows its class."""
        every = self.config.every_experiment
        rewards = [every[p.experiment].training.reward for p in self._trained]
        asked = any(isinstance(reward, ClassifierSettings) for reward in rewards)
        faithful = any(policy.method == "faithful" for policy in self._trained)
        return asked or faithful or any(map(self.config.dial_of, self.config.experiments))

    def _reference(self) -> Job:
        """Statistics of real images; released ones take nothing."""
        evaluation, metric = self.config.evaluation, self.networks.metric
        count = 0 if evaluation.reference else self.images.train
        width, disk = evaluation.dimension, float(MOMENTS)
        if evaluation.protocol == "embedded":  # features of all images, and twelve Gaussians
            disk = 4 * count * width + 12 * 8 * (width + width**2)
        flops = count * metric.asked.flops
        memory = (metric.weights + self._at_once(count) * metric.asked.peak) if count else 0
        return Job("reference", "", count, other=flops, disk=disk, memory=memory)

    def _at_once(self, images: int) -> int:
        return min(images, MEASURED if self.config.evaluation.protocol == "embedded" else 64)

    def _adopting(self, policy: Run) -> Job:
        """The authors' policies."""
        experiment = self.config.every_experiment[policy.experiment]
        actor, _ = self.networks.policy_and_value(experiment, policy.method)
        return Job("adopt", policy.experiment, disk=actor.weights)

    def _training(self, policy: Run) -> Job:
        """Rollouts, PPO, the reward that learns alongside, and validations."""
        networks, experiment = self.networks, self.config.every_experiment[policy.experiment]
        training, generator = experiment.training, networks.generators.of(experiment)
        reward = networks.rewarding(experiment)
        actor, critic = networks.policy_and_value(experiment, policy.method)
        calls, updates = generator.actions.calls, training.updates
        explored = training.trajectories * (updates + (reward.warmup > 0))
        judged = training.trajectories * updates
        validated = training.validate_samples * math.ceil(updates / training.validate_every)
        images = explored + validated
        learnt = 2 * reward.batch * (reward.warmup + reward.steps * updates)
        probed = 2 * reward.batch * updates
        real = VIEWS * reward.once
        ppo = critic.asked.flops + training.epochs * (actor.taught.flops + critic.taught.flops)
        other = (
            images * calls * actor.asked.flops
            + judged * calls * ppo
            + (explored + learnt + probed + real) * reward.look
            + (judged + probed) * reward.judge.asked.flops
            + learnt * reward.judge.taught.flops
            + validated * networks.metric.asked.flops
        )
        if policy.method == "faithful":
            other += judged * networks.preferring.asked.flops
        count = networks.generators.count(experiment.generator)
        cells = generator.grid[0] * generator.grid[1] * generator.seen_width
        mine = -(-training.trajectories // self.config.processes)
        kept = KEPT[training.keep_features] * cells * calls * mine
        rows = min(max(1, CHUNK_NUMBERS // cells), calls * mine)
        learning = rows * (actor.taught.peak + critic.taught.peak)
        own = 4 * (actor.weights + critic.weights) + reward.weights + networks.metric.weights
        # Rollouts, and learning from them: one after the other.
        most = kept + max(count.memory(training.batch) - count.weights, learning)
        return Job(
            "train",
            policy.experiment,
            images,
            images * generator.nfe,
            experiment.generator,
            images * (generator.nfe * count.evaluation + count.decoding),
            other,
            own + count.weights + most,
            actor.weights + critic.weights + reward.state,
        )

    def _searching(self, policy: Run) -> Job:
        """Schedules tried, each on so many samples."""
        networks, experiment = self.networks, self.config.every_experiment[policy.experiment]
        generator = networks.generators.of(experiment)
        count = networks.generators.count(experiment.generator)
        budget = self.config.sweep_of(policy.experiment)
        images = budget.evaluations * budget.samples
        return Job(
            "search",
            policy.experiment,
            images,
            images * generator.nfe,
            experiment.generator,
            images * (generator.nfe * count.evaluation + count.decoding),
            images * networks.metric.asked.flops,
            count.memory(self.config.generators[experiment.generator].batch),
        )

    def _fitting(self, runs: list[Run]) -> Iterator[Job]:
        """Judges that are fitted to kept policies, from samples of their own."""
        config, networks = self.config, self.networks
        refined = [
            (run.schedules[0], config.refinements[run.refinement]) for run in runs if run.refinement
        ]
        for policy in dict.fromkeys(policy for policy, how in refined if how.judge == "gaussian"):
            experiment = config.every_experiment[policy.experiment]
            generator, reward = networks.generators.of(experiment), networks.rewarding(experiment)
            count = networks.generators.count(experiment.generator)
            actor, _ = networks.policy_and_value(experiment, policy.method)
            calls, evaluations = generator.actions.calls, FITTED * generator.nfe
            other = (FITTED + VIEWS * self.images.train) * reward.look
            other += FITTED * calls * actor.asked.flops
            disk = float(reward.state)
            if generator.stochastic:
                seen = math.prod(generator.grid) * generator.seen_width
                fitting, _ = operations(seen)
                other += FITTED * (reward.look + reward.judge.asked.flops) + (calls - 1) * fitting
                disk += 4 * (calls - 1) * seen * min(COMPONENTS, seen)
            yield Job(
                "fit-judges",
                policy.experiment,
                FITTED,
                evaluations,
                experiment.generator,
                evaluations * count.evaluation + FITTED * count.decoding,
                other,
                actor.weights + count.memory(config.generators[experiment.generator].batch),
                disk,
            )

    def _sampling(self, run: Run) -> Job:
        """Images that are reported on, with all their candidates."""
        config, networks = self.config, self.networks
        experiment = config.every_experiment[run.experiment]
        generator = networks.generators.of(experiment)
        how = config.refinements[run.refinement] if run.refinement else None
        n, k = (how.n, how.k) if how else (1, 1)
        evaluation, calls = config.evaluation, generator.actions.calls
        images = evaluation.samples * len(evaluation.seeds)
        nfe, made = generator.nfe + (k - 1) * generator.candidate_nfe, n * images
        evaluations, other, weights = made * nfe, 0.0, 0.0
        _, asking = operations(math.prod(generator.grid) * generator.seen_width)
        for policy in run.schedules:
            actor, critic = networks.policy_and_value(experiment, policy.method)
            valuing = asking if how and how.judge == "gaussian" else critic.asked.flops
            looks = k * (calls - 1) * valuing if k > 1 else 0
            other += made * (calls * actor.asked.flops + looks)
            weights += actor.weights
        reward = networks.rewarding(experiment)
        judging = reward.look + reward.judge.asked.flops
        if n > 1:
            other += made * judging
        count = networks.generators.count(experiment.generator)
        steered = 4 * calls * len(generator.actions.names)
        shape, _ = self.images.of(config.generators[experiment.generator])
        numbers = 4 * math.prod(shape) + steered
        return Job(
            "refine" if how else "sample",
            run.experiment,
            images,
            evaluations,
            experiment.generator,
            evaluations * count.evaluation + made * count.decoding,
            other,
            weights + count.memory(config.generators[experiment.generator].batch),
            images * numbers + evaluation.samples * (steered + 8),
        )

    def _judging(self) -> Iterator[Job]:
        """What rewards say of both dials, of the first sampling seed."""
        config, networks = self.config, self.networks
        for name, experiment in config.experiments.items():
            runs = len(config.dial_of(name)) + len(config.guidance_of(name))
            images = runs * config.evaluation.samples * len(config.training_seeds)
            if config.dial_of(name):
                reward, preference = networks.rewarding(experiment), networks.preferring
                asked = reward.look + reward.judge.asked.flops + preference.asked.flops
                yield Job("judge", name, images, other=images * asked)

    def _evaluating(self, run: Run) -> Job:
        """The numbers of a run."""
        evaluation, metric = self.config.evaluation, self.networks.metric
        images = evaluation.samples * len(evaluation.seeds)
        memory = metric.weights + self._at_once(images) * metric.asked.peak
        flops = images * metric.asked.flops
        return Job("evaluate", run.experiment, images, other=flops, memory=memory)
