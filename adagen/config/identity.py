"""The part of the configuration that each result depends on.

Snakemake compares these dictionaries between runs (`depends` of a rule) and runs a job again when
one changed. Files hold them, and are refused when they differ. A new key counts by itself, unless
`CHANGES_NO_RESULT` lists it.
"""

from collections.abc import Mapping
from typing import Any

from adagen.config.assets import Asset, Assets
from adagen.config.base import Model
from adagen.config.dataset import Dataset
from adagen.config.evaluation import Evaluation
from adagen.config.experiments import RIVALS, Experiment, Training
from adagen.config.generators import FrozenGenerator, Generator, GeneratorSettings
from adagen.config.run import Config
from adagen.config.text import ClipText

Identity = dict[str, Any]
"""Plain data, as JSON has it."""

CHANGES_NO_RESULT: Mapping[type[Model], frozenset[str]] = {
    # Tables and figures depend on `name` (see `named`). Generator seeds add to other sections.
    Config: frozenset(
        {"name", "results", "resources", "device", "arithmetic", "processes", "generator_seeds"}
    ),
    Assets: frozenset({"folder"}),
    Asset: frozenset(Asset.model_fields) - {"sha256"},
    GeneratorSettings: frozenset({"batch"}),
    FrozenGenerator: frozenset({"decode_batch", "compile"}),
    Training: frozenset({"batch", "backward_memory", "trackers"}),
    Evaluation: frozenset({"shard", "jobs"}),
}
"""Keys that change memory, speed or where files are kept, or what a device changes, too: last
digits. An asset's hash fixes its bytes, and counts where the asset is read. `arithmetic` counts in
jobs and in resumable state, not in files: a policy may be used in the other one."""

# A title is printed by a table (`system`). Precision matters where images are made (`_scheduled`).
NOT_OF_WEIGHTS = ("title", "precision")
NOT_OF_SCHEDULE = ("training", "released_policy", "published", "policy")  # but of its training

SAMPLES_VERSION = 2
"""Format of a folder of samples. Samples of an older one are drawn again."""

ADDED: dict[type, set[str]] = {
    FrozenGenerator: {"text"},
    Experiment: {"schedule", "repeats", *RIVALS},
}
ADDED[Training] = {"condition_learning_rate", "start", "patience", "polish"}
"""Keys that older files don't have. They count where they are not the default."""


def _part(model: Model, *without: str) -> Identity:
    """A section as plain data, less some of its keys and those that change no result."""
    kind = type(model)
    nothing = {key for base in kind.__mro__ for key in CHANGES_NO_RESULT.get(base, ())}
    added = {key for base in kind.__mro__ for key in ADDED.get(base, ())}
    unset = {key for key in added if getattr(model, key) == kind.model_fields[key].default}
    return model.model_dump(mode="json", exclude={*nothing, *unset, *without})


def experiment_of(config: Config, name: str) -> Experiment:
    """The settings of an experiment; all that are derived are made only if it is one of them."""
    known = config.experiments
    return known[name] if name in known else config.every_experiment[name]


def _published(config: Config, *names: str) -> Identity:
    """The hashes that the configuration gives of released files; adagen's own never change."""
    known = config.assets.catalogue
    found = {name: known[name].sha256 for name in names if name in known and known[name].sha256}
    return {"sha256": found} if found else {}


# Files


def generator_weights(settings: Generator) -> Identity:
    """The settings that decide a generator's weights and what they mean."""
    without = (*NOT_OF_WEIGHTS, *settings.not_in_weights)
    return {"settings": _part(settings, *without), **settings.made_by}


def generator_file(name: str, settings: Generator, *, dataset: Dataset) -> Identity:
    """The settings that a generator's file is bound to; released weights, to no data set."""
    return {
        "name": name,
        **generator_weights(settings),
        "dataset": None if settings.weights and not dataset.captions else _part(dataset),
    }


def schedule(experiment: Experiment) -> Identity:
    """The settings that decide an experiment's images, beside generator and policy."""
    return _part(experiment, *NOT_OF_SCHEDULE)


def sampler(generator: GeneratorSettings) -> Identity:
    """The keys of a package's generator that change its images, but not its weights."""
    return generator.model_dump(mode="json", include={*generator.not_in_weights})


def policy_file(
    name: str,
    experiment: Experiment,
    *,
    generator_hash: str,
    sampler: Mapping[str, Any] | None = None,
) -> Identity:
    """Everything that a policy's file is bound to: experiment, schedule, inputs and generator.

    `sampler` is what the function of that name returns for a package's generator.
    """
    return {
        "experiment": name,
        "settings": schedule(experiment),
        "policy": experiment.policy.inputs,
        "generator": generator_hash,
        **({"sampler": dict(sampler)} if sampler else {}),
    }


# Resumable state: the sections that a checkpoint is bound to


def resumable(training: Training) -> Training:
    """The settings of a training that its resumable state is bound to.

    It goes on with others of those that change no result: they are the defaults here. So a key that
    is lowered where memory ran out costs nothing that was done before.
    """
    fields = Training.model_fields
    free = {key: fields[key].default for key in CHANGES_NO_RESULT[Training]}
    if training.keep_features == "host":
        free["keep_features"] = "float32"
    return training.model_copy(update=free)


def training_state(config: Config, experiment: str, *, method: str) -> list[Model | Identity]:
    """The sections that a training in progress is bound to."""
    settings = experiment_of(config, experiment)
    training = resumable(settings.training)
    dial = [config.dial] if config.dial and method == "faithful" else []
    own = settings.model_copy(update={"training": training})
    return [config.dataset, _in_progress(own), *dial]


def search_state(config: Config, experiment: str) -> list[Model | Identity]:
    """The sections that a search in progress is bound to."""
    settings = experiment_of(config, experiment)
    return [config.dataset, _in_progress(settings), config.sweep_of(experiment)]


def _in_progress(settings: Experiment) -> Identity:
    """An experiment as resumable state names it, which may be older than its newest keys."""
    fields = Experiment.model_fields
    newest = {key for key in ("repeats", "times") if getattr(settings, key) == fields[key].default}
    named = settings.model_dump(mode="json", exclude=newest)
    training = Training.model_fields
    for key in ("patience", "polish"):
        if named["training"][key] == training[key].default:
            del named["training"][key]
    return {"Experiment": named}


# Jobs: the `depends` of the rule of the same name, which `computed` completes


def computed(config: Config, found: Any) -> Any:
    """The settings that a job depends on, `found` and the arithmetic, which is that of all jobs.

    A processor's own arithmetic isn't named, as it was the only one for long.
    """
    return found if config.arithmetic == "native" else [found, {"arithmetic": config.arithmetic}]


def dataset(config: Config) -> Identity:
    """The settings that the list of the images depends on.

    How training mirrors them does not matter.
    """
    return _part(config.dataset, "flip")


def embeddings(config: Config, generator: str) -> Identity:
    """The settings that the embeddings of captions depend on, and the encoder that makes them."""
    text = getattr(config.generators[generator], "text", None)
    released = _published(config, text.weights) if isinstance(text, ClipText) else {}
    return {"dataset": _part(config.dataset), "text": _part(text) if text else None, **released}


def pretrain(config: Config, generator: str) -> Identity:
    """The settings that a generator's weights depend on, whether fitted or taken over."""
    settings = config.generators[generator]
    if settings.weights:
        network, decoder = settings.weights.network, settings.weights.decoder
        own = _part(settings, *NOT_OF_WEIGHTS, "pretrain")
        captions = {"dataset": _part(config.dataset)} if config.dataset.captions else {}
        return {"generator": own, **captions, **_published(config, network, decoder)}
    weights = generator_weights(settings)
    return {"dataset": _part(config.dataset), "generator": weights.pop("settings"), **weights}


def metric_networks(config: Config) -> Identity:
    """The settings that the networks which measure depend on."""
    evaluation = config.evaluation
    if evaluation.protocol == "embedded":
        return {"dataset": _part(config.dataset), "networks": _part(evaluation.networks)}
    inception = evaluation.inception
    return {
        "protocol": evaluation.protocol,
        "inception": _part(inception),
        **_published(config, inception.weights),
    }


def alignment(config: Config) -> Identity:
    """The settings that the network which judges alignment depends on; empty without one."""
    settings = config.evaluation.alignment
    return {"size": config.dataset.size, "fit": _part(settings.fit)} if settings else {}


def clip_score(config: Config) -> Identity:
    """The settings that the CLIP score depends on; empty without one."""
    settings = config.evaluation.clip_score
    if settings is None:
        return {}
    released = _published(config, settings.weights)
    return {"dataset": _part(config.dataset), "clip_score": _part(settings), **released}


def reward_features(config: Config) -> Identity:
    """The settings that the frozen features of the reward depend on."""
    settings = config.reward_features
    features = {"features": _part(settings)}
    if settings.kind == "dino":
        return {**features, **_published(config, settings.weights)}
    return {"dataset": _part(config.dataset), **features}


def preference(config: Config) -> Identity:
    """The settings that the preference depends on, a network that judges images by their class."""
    settings = config.preference
    assets = [getattr(settings, key, "") for key in ("weights", "head")]
    released = _published(config, *filter(None, assets))
    return {"dataset": _part(config.dataset), "preference": _part(settings), **released}


def reference(config: Config) -> Identity:
    """The settings that the statistics of real images depend on."""
    if asset := config.evaluation.reference:
        captions = {"captions": _part(config.dataset)} if config.dataset.captions else {}
        named = {"reference": asset, "dataset": config.dataset.name}
        return {**named, **captions, **_published(config, asset)}
    return {"dataset": _part(config.dataset)}


def _scheduled(config: Config, experiment: str) -> Identity:
    """The settings that images of an experiment depend on, given the weights of its networks."""
    settings = experiment_of(config, experiment)
    generator = config.generators[settings.generator]
    chosen = sampler(generator)
    return {
        "experiment": schedule(settings),
        "precision": generator.precision,
        **({"sampler": chosen} if chosen else {}),
    }


def train(config: Config, experiment: str, *, method: str) -> Identity:
    """The settings that a trained policy depends on."""
    settings = experiment_of(config, experiment)
    rounds = settings.training.keep_features == "bfloat16"  # and so changes the policy
    apart = ("price",) if settings.training.polish_of(method) else ("price", "polish")
    return {
        "dataset": _part(config.dataset),
        **_scheduled(config, experiment),
        "training": _part(settings.training, "keep_features", *apart),
        **({"price": settings.training.price} if method == "stopping" else {}),
        **({"rounded": True} if rounds else {}),
        "policy": _part(settings.policy),
        **({"dial": _part(config.dial)} if config.dial and method == "faithful" else {}),
    }


def released(config: Config, experiment: str) -> Identity:
    """The settings that a policy which is taken over from the authors depends on."""
    settings = experiment_of(config, experiment)
    own = _part(settings, "training", "published", "policy")
    return {**own, **_published(config, settings.released_policy)}


def sweep(config: Config, experiment: str, *, search: str) -> Identity:
    """The settings that the schedule of a searched method depends on.

    Its file is bound to the inputs of policies too, as all policy files.
    """
    return {
        **_scheduled(config, experiment),
        "sweep": config.sweep_of(experiment).phases_of(search),
        "policy": experiment_of(config, experiment).policy.inputs,
    }


def sample(config: Config, experiment: str) -> Identity:
    """The settings that samples depend on; the protocol decides the order of their classes."""
    evaluation = config.evaluation
    return {
        **_scheduled(config, experiment),
        "dataset": config.dataset.name,
        "protocol": evaluation.protocol,
        "samples": evaluation.samples,
        "seeds": [*evaluation.seeds],
        "version": SAMPLES_VERSION,
    }


def fit_judges(config: Config, experiment: str) -> Identity:
    """The settings that judges of candidates depend on.

    They are fitted to real images and to samples of a policy.
    """
    return {**_scheduled(config, experiment), "dataset": _part(config.dataset)}


def refine(config: Config, experiment: str, *, refinement: str) -> Identity:
    """The settings that samples which are chosen among candidates depend on."""
    settings = config.refinements[refinement]
    reward = experiment_of(config, experiment).training.reward
    return {
        **sample(config, experiment),
        "refinement": _part(settings, "experiments"),
        **({"reward": _part(reward)} if settings.judge == "reward" else {}),
    }


def judge(config: Config, experiment: str) -> Identity:
    """The settings that a training's judgement of samples depends on."""
    return {"reward": _part(experiment_of(config, experiment).training.reward)}


def evaluate(config: Config) -> Identity:
    """The settings that the metrics of samples depend on, given networks and reference."""
    evaluation = config.evaluation
    return {"protocol": evaluation.protocol, "neighbours": evaluation.neighbours}
