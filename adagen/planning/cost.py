"""A plan: the jobs of a configuration's target `all` in a fresh clone, and what each takes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from adagen.config import (
    LEARNED,
    SEARCHED,
    ClassifierSettings,
    Config,
    DinoFeatures,
    Experiment,
    Fit,
    InstalledGenerator,
    Preference,
    VarGenerator,
)
from adagen.config.bindings import starts_tuned
from adagen.config.runs import Run, policies_of, prompted_runs, runs_of
from adagen.data.released import catalogue, needed
from adagen.planning.counting import Count
from adagen.planning.image_counts import images_of
from adagen.planning.jobs import Job, fitting
from adagen.planning.network_cost import Networks
from adagen.planning.text_cost import TextCost
from adagen.rewards.pools import VIEWS
from adagen.sampling.fitted_judges import COMPONENTS, FITTED, operations

MEASURED = 1000
"""Images measured at once, at most."""
MOMENTS = 8 * (2048 + 2048**2)
"""Bytes of mean and covariance of Inception's features."""
DESCRIBED = {
    "dino_vits16": 87e6,
    "clip_vit_b_32": 600e6,
    "clip_vit_l_14_openai": 1.7e9,
    "clip_vit_bigg_14": 10e9,
}
"""Bytes of released files, as their entries in the catalogue describe them."""
KEPT = {"float32": 4, "bfloat16": 2, "host": 0}
"""Bytes of a feature that is kept on the device through an update."""


class Plan:
    """The jobs of a configuration, and what each takes.

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
        self._experiments = config.every_experiment  # which takes a while to derive
        self.networks, self.text = Networks(config, self.images), TextCost(config, self.images)
        runs = runs_of(config)
        policies = policies_of(runs)
        self._trained = [policy for policy in policies if policy.method in LEARNED]
        begun = [one for one in self._trained if starts_tuned(self._experiment(one), one.method)]
        searched = [policy for policy in policies if policy.method in SEARCHED]
        searched += [Run(policy.experiment, "tuned") for policy in begun]
        assets = [*needed(config)]
        sizes = {name: catalogue(config.assets)[name].size for name in assets}
        self.guessed = [name for name in assets if not sizes[name]]
        self.jobs = [
            self._fetching(sizes),
            *self.text.embedding(),
            *self._pretraining(),
            *self.text.judges(),
            self._reference(),
            *(self._adopting(policy) for policy in policies if policy.method == "released"),
            *map(self._training, self._trained),
            *map(self._searching, dict.fromkeys(searched)),
            *self._fitting_judges(runs),
            *map(self._sampling, runs),
            *self._judging(),
            *map(self._evaluating, runs),
            *map(self._prompted, prompted_runs(config)),
            *self.text.aligning(),
        ]

    def _experiment(self, run: Run) -> Experiment:
        """The settings of a run's experiment."""
        return self._experiments[run.experiment]

    def _fetching(self, sizes: Mapping[str, int | None]) -> Job:
        """All released files; one of unknown size is a network in float32, and nothing else."""
        guesses: dict[str, float] = {self.config.evaluation.reference: MOMENTS, **DESCRIBED}
        for name, settings in self.config.generators.items():
            if settings.weights:
                network, together = self.networks.generators.weight_bytes(name)
                guesses[settings.weights.network] = network
                guesses[settings.weights.decoder] = together - network
        for experiment in self.config.experiments.values():
            if experiment.released_policy:
                actor, _ = self.networks.policy_and_value(experiment, "released")
                guesses[experiment.released_policy] = actor.weights
        total = sum(size or guesses.get(name, 0) for name, size in sizes.items())
        return Job("assets", download=total, disk=total)

    def _pretraining(self) -> Iterator[Job]:
        """The frozen networks: the cost of fitting them, and their size on the disk."""
        config, networks = self.config, self.networks
        files = {"metrics": networks.metric.weights}
        if self._trained or set(config.methods) & {*LEARNED}:
            files["reward"] = networks.features.weights
        if self._has_preference() and isinstance(config.preference, Preference):
            files["preference"] = networks.preference.weights
        for name in config.generators:
            _, files[name] = networks.generators.weight_bytes(name)
        for name, size in files.items():
            yield fitting("pretrain", name, size=size, fits=self._fits(name))
        if self._has_preference() and not isinstance(config.preference, Preference):
            yield self.text.preference()

    def _has_preference(self) -> bool:
        """True if anything asks the network that says how well an image shows its class."""
        rewards = [self._experiment(policy).training.reward for policy in self._trained]
        is_reward = any(isinstance(reward, ClassifierSettings) for reward in rewards)
        faithful = any(policy.method == "faithful" for policy in self._trained)
        return is_reward or faithful or any(map(self.config.dial_of, self.config.experiments))

    def _fits(self, name: str) -> list[tuple[Fit, Count]]:
        """The one or two fits of a network, each with the cost of a forward pass.

        There are none for released weights, nor for networks of a package, whose fits are unknown.
        """
        config, networks = self.config, self.networks
        if name == "metrics" and config.evaluation.protocol == "embedded":
            fits, both = config.evaluation.networks, networks.metric.forward
            # Of the autoencoder the encoder alone measures, and a decoder makes as much again.
            one = Count(both.flops / 2, made=both.made * 2 / 3)
            return [(fits.classifier, one), (fits.autoencoder, one)]
        if name == "reward" and not isinstance(config.reward_features, DinoFeatures):
            return [(config.reward_features.fit, networks.features.forward)]
        if name == "preference" and isinstance(config.preference, Preference):
            return [(config.preference.fit, networks.preference.forward)]
        settings = config.generators.get(name)
        if settings is None or settings.weights or isinstance(settings, InstalledGenerator):
            return []
        cost = networks.generators.cost(name)
        if isinstance(settings, VarGenerator):
            # The tokeniser's encoder is about as large as its decoder. Then, all scales at once.
            n, tokeniser = (
                len(settings.scales),
                Count(2 * cost.decoding, made=2 * cost.decoding_made),
            )
            every_scale = Count(n * cost.evaluation, made=n * cost.made)
            return [(settings.tokeniser.fit, tokeniser), (settings.pretrain, every_scale)]
        return [(settings.pretrain, Count(cost.evaluation, made=cost.made))]

    def _reference(self) -> Job:
        """The job that computes statistics of real images; released ones take nothing."""
        evaluation, metric = self.config.evaluation, self.networks.metric
        images = 0 if evaluation.reference else self.images.reference
        width, disk = evaluation.dimension, float(MOMENTS)
        if evaluation.protocol == "embedded":  # features of all images, and twelve Gaussians
            disk = 4 * images * width + 12 * 8 * (width + width**2)
        flops = images * metric.forward.flops
        memory = self._memory_of_measuring(images) if images else 0
        return Job("reference", images=images, other=flops, disk=disk, memory=memory)

    def _memory_of_measuring(self, images: int) -> float:
        most = MEASURED if self.config.evaluation.protocol == "embedded" else 64
        metric = self.networks.metric
        return metric.weights + min(images, most) * metric.forward.peak

    def _adopting(self, policy: Run) -> Job:
        """The job that takes over a released policy."""
        actor, _ = self.networks.policy_and_value(self._experiment(policy), policy.method)
        return Job("adopt", policy.experiment, disk=actor.weights)

    def _training(self, policy: Run) -> Job:
        """The job of a training: rollouts, PPO, the reward that learns alongside, distances."""
        networks, experiment = self.networks, self._experiment(policy)
        training, generator = experiment.training, networks.generators.of(experiment)
        reward = networks.reward(experiment)
        actor, critic = networks.policy_and_value(experiment, policy.method)
        calls, updates = generator.actions.calls, training.updates
        explored, images = training.explored, training.images(policy.method)
        scored = training.trajectories * updates
        learned_from = 2 * reward.batch * (reward.warmup + reward.steps * updates)
        probed = 2 * reward.batch * updates
        real = VIEWS * reward.once
        epoch = actor.training.flops + critic.training.flops
        other = (
            images * calls * actor.forward.flops
            + scored * calls * (critic.forward.flops + training.epochs * epoch)
            + (explored + learned_from + probed + real) * reward.features_flops
            + (scored + probed) * reward.head.forward.flops
            + learned_from * reward.head.training.flops
            + (images - explored) * networks.metric.forward.flops
        )
        if policy.method == "faithful":
            other += scored * networks.preference.forward.flops
        cost = networks.generators.cost(experiment.generator)
        cells = generator.grid[0] * generator.grid[1] * generator.seen_width
        trajectories = -(-training.trajectories // self.config.processes)
        kept = KEPT[training.keep_features] * cells * calls * trajectories
        # Trajectories are learned from in parts, of one at least.
        one = calls * (actor.training.peak + critic.training.peak)
        learning = min(max(one, 1e9 * training.backward_memory), trajectories * one)
        # Rollouts, and learning from them, one after the other.
        working = kept + max(cost.memory(training.batch) - cost.weights, learning)
        weights = 4 * (actor.weights + critic.weights) + reward.weights + networks.metric.weights
        return Job(
            "train",
            policy.experiment,
            images=images,
            evaluations=images * generator.nfe,
            generator=experiment.generator,
            generating=images * (generator.nfe * cost.evaluation + cost.decoding),
            other=other,
            memory=weights + cost.weights + working,
            disk=actor.weights + critic.weights + reward.state,
        )

    def _searching(self, policy: Run) -> Job:
        """Schedules tried, each on so many samples."""
        networks, experiment = self.networks, self._experiment(policy)
        generator = networks.generators.of(experiment)
        cost = networks.generators.cost(experiment.generator)
        search = self.config.sweep_of(policy.experiment)
        images = search.images(policy.method, steps=experiment.steps)
        return Job(
            "search",
            policy.experiment,
            images=images,
            evaluations=images * generator.nfe,
            generator=experiment.generator,
            generating=images * (generator.nfe * cost.evaluation + cost.decoding),
            other=images * networks.metric.forward.flops,
            memory=cost.memory(self.config.generators[experiment.generator].batch),
        )

    def _fitting_judges(self, runs: list[Run]) -> Iterator[Job]:
        """Judges that are fitted to trained policies, from samples of their own."""
        config, networks = self.config, self.networks
        judged = [
            run.schedules[0]
            for run in runs
            if run.refinement and config.refinements[run.refinement].judge == "gaussian"
        ]
        for policy in dict.fromkeys(judged):
            experiment = self._experiment(policy)
            generator, reward = networks.generators.of(experiment), networks.reward(experiment)
            cost = networks.generators.cost(experiment.generator)
            actor, _ = networks.policy_and_value(experiment, policy.method)
            calls, evaluations = generator.actions.calls, FITTED * generator.nfe
            other = (FITTED + VIEWS * self.images.train) * reward.features_flops
            other += FITTED * calls * actor.forward.flops
            disk = float(reward.state)
            if generator.stochastic:
                numbers = math.prod(generator.grid) * generator.seen_width
                fitting, _ = operations(numbers)
                other += FITTED * reward.score_flops + (calls - 1) * fitting
                disk += 4 * (calls - 1) * numbers * min(COMPONENTS, numbers)
            yield Job(
                "fit-judges",
                policy.experiment,
                images=FITTED,
                evaluations=evaluations,
                generator=experiment.generator,
                generating=evaluations * cost.evaluation + FITTED * cost.decoding,
                other=other,
                memory=actor.weights + cost.memory(config.generators[experiment.generator].batch),
                disk=disk,
            )

    def _prompted(self, run: Run) -> Job:
        """Images of the prompts by which alignment is measured."""
        return replace(self._sampling(run, self.text.prompted), stage="prompts")

    def _sampling(self, run: Run, samples: int = 0) -> Job:
        """Images that are reported on, with all their candidates; or so many of a seed."""
        config, networks, experiment = self.config, self.networks, self._experiment(run)
        generator = networks.generators.of(experiment)
        refinement = config.refinements[run.refinement] if run.refinement else None
        n, k = (refinement.n, refinement.k) if refinement else (1, 1)
        evaluation, calls = config.evaluation, generator.actions.calls
        samples = samples or evaluation.samples
        images = samples * len(evaluation.seeds)
        candidates = n * images
        evaluations = candidates * (generator.nfe + (k - 1) * generator.candidate_nfe)
        other = weights = 0.0
        _, judging = operations(math.prod(generator.grid) * generator.seen_width)
        for policy in run.schedules:
            actor, critic = networks.policy_and_value(experiment, policy.method)
            gaussian = refinement is not None and refinement.judge == "gaussian"
            value = judging if gaussian else critic.forward.flops
            looking_ahead = k * (calls - 1) * value if k > 1 else 0
            other += candidates * (calls * actor.forward.flops + looking_ahead)
            weights += actor.weights
        if n > 1:
            other += candidates * networks.reward(experiment).score_flops
        cost = networks.generators.cost(experiment.generator)
        actions = 4 * calls * len(generator.actions.names)
        shape, _ = self.images.of(config.generators[experiment.generator])
        numbers = 4 * math.prod(shape) + actions
        return Job(
            "refine" if refinement else "sample",
            run.experiment,
            images=images,
            evaluations=evaluations,
            generator=experiment.generator,
            generating=evaluations * cost.evaluation + candidates * cost.decoding,
            other=other,
            memory=weights + cost.memory(config.generators[experiment.generator].batch),
            disk=images * numbers + samples * (actions + 8),
        )

    def _judging(self) -> Iterator[Job]:
        """Scores of the images of both dials, those of the first sampling seed."""
        config, networks = self.config, self.networks
        for name, experiment in config.experiments.items():
            runs = len(config.dial_of(name)) + len(config.guidance_of(name))
            images = runs * config.evaluation.samples * len(config.training_seeds)
            if config.dial_of(name):
                scores = networks.reward(experiment).score_flops
                scores += networks.preference.forward.flops
                yield Job("judge", name, images=images, other=images * scores)

    def _evaluating(self, run: Run) -> Job:
        """The metrics of a run."""
        images = self.config.evaluation.samples * len(self.config.evaluation.seeds)
        flops = images * (self.networks.metric.forward.flops + self.text.score_flops)
        memory = self._memory_of_measuring(images)
        return Job("evaluate", run.experiment, images=images, other=flops, memory=memory)
