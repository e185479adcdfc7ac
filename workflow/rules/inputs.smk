"""Where the files of a run lie, and which of them a stage reads."""

ASSETS = {known.file: name for name, known in catalogue(CONFIG.assets).items()}


def asset(name):
    """A released file; its bytes are fixed by its hash, so its time means nothing."""
    return ancient(str(asset_path(CONFIG.assets, name)))


def images():
    """The inventory of the images, for rules that read them; the digits need none."""
    return [rules.dataset.output.inventory] if CONFIG.dataset.folder else []


def dataset_sources(wildcards):
    """The user's folders or zips. Where one isn't there (yet), the job says so, not the plan."""
    sources = (CONFIG.dataset.folder, CONFIG.dataset.heldout_folder)
    return [source for source in sources if source and Path(source).exists()]


def pretrain_sources(wildcards):
    weights = CONFIG.generators[wildcards.generator].weights
    return [asset(weights.network), asset(weights.decoder)] if weights else images()


# What is taken over instead of fitted or computed; empty where nothing is.
INCEPTION = CONFIG.evaluation.inception.weights if CONFIG.evaluation.protocol != "embedded" else ""
DINO = CONFIG.reward_features.weights if CONFIG.reward_features.kind == "dino" else ""
STATISTICS = CONFIG.evaluation.reference


def metric_sources(wildcards):
    return [asset(INCEPTION)] if INCEPTION else images()


def reward_sources(wildcards):
    return [asset(DINO)] if DINO else images()


def preference_sources(wildcards):
    settings = CONFIG.preference
    if settings.kind == "classifier":
        return images()
    return [asset(settings.weights), *images(), *filter(None, [settings.names])]


def reference_sources(wildcards):
    return [asset(STATISTICS)] if STATISTICS else images()


def train_sources(wildcards):
    """What the reward learns from."""
    return images()


def preference_file(wildcards):
    """What a policy is paid by that prefers images which show their class; others don't ask it."""
    kind = EXPERIMENTS[wildcards.experiment].training.reward.kind
    asked = kind == "classifier" or wildcards.get("method") == "faithful"
    return [rules.preference.output.preference] if asked else []


def released_policy(wildcards):
    return asset(EXPERIMENTS[wildcards.experiment].released_policy)


def generator_file(wildcards):
    name = EXPERIMENTS[wildcards.experiment].generator
    return expand(rules.pretrain.output.generator, generator=name)


POLICY = "<results>/{experiment}/policy/{run}.safetensors"
REWARD_STATE = "<results>/{experiment}/policy/{run}.reward.safetensors"
JUDGES = "<results>/{experiment}/policy/{run}.judges.safetensors"
SAMPLES = "<results>/{experiment}/samples/{run}"
METRICS = "<results>/{experiment}/metrics/{run}.json"


def policy_file(wildcards):
    """The policy of a run; a schedule that follows from the settings needs none."""
    return expand(POLICY, **wildcards) if method_of(wildcards.run) in WITH_POLICY else []


def judging_state(wildcards):
    """What candidates are judged by: what the reward of the training knew, or what was fitted."""
    fitted = CONFIG.refinements[wildcards.refinement].judge == "gaussian"
    return expand(JUDGES if fitted else REWARD_STATE, **wildcards)


def samples_of(wildcards):
    """All samples of an experiment."""
    name = wildcards.experiment
    return expand(SAMPLES, experiment=name, run=runs_of(name, *METHODS))
