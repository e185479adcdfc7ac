"""Which files a stage reads."""

from adagen.data.released import asset_path, catalogue

POLICY = "<results>/{experiment}/policy/{run}.safetensors"
REWARD_STATE = "<results>/{experiment}/policy/{run}.reward.safetensors"
JUDGES = "<results>/{experiment}/policy/{run}.judges.safetensors"
SAMPLES = "<results>/{experiment}/samples/{run}"
METRICS = "<results>/{experiment}/metrics/{run}.json"

ASSETS = {known.file: name for name, known in catalogue(CONFIG.assets).items()}

# What is taken over instead of fitted or computed; empty where nothing is.
INCEPTION = CONFIG.evaluation.inception.weights if CONFIG.evaluation.protocol != "embedded" else ""
DINO = CONFIG.reward_features.weights if CONFIG.reward_features.kind == "dino" else ""


def asset(name):
    """A released file; its bytes are fixed by its hash, so its time means nothing."""
    return ancient(str(asset_path(CONFIG.assets, name)))


def images(wildcards=None):
    """The inventory of the images, for rules that read them; the digits need none."""
    return [rules.dataset.output.inventory] if CONFIG.dataset.folder else []


def asset_or_images(name):
    """A released file that is taken over, or else the images, from which it is made."""
    return [asset(name)] if name else images()


def dataset_sources(wildcards):
    """The user's folders or zips. Where one isn't there (yet), the job says so, not the plan."""
    sources = (CONFIG.dataset.folder, CONFIG.dataset.heldout_folder)
    return [source for source in sources if source and Path(source).exists()]


def pretrain_sources(wildcards):
    weights = CONFIG.generators[wildcards.generator].weights
    return [asset(weights.network), asset(weights.decoder)] if weights else images()


def metric_sources(wildcards):
    return asset_or_images(INCEPTION)


def reward_sources(wildcards):
    return asset_or_images(DINO)


def reference_sources(wildcards):
    return asset_or_images(CONFIG.evaluation.reference)


def preference_sources(wildcards):
    settings = CONFIG.preference
    if settings.kind == "classifier":
        return images()
    return [asset(settings.weights), *images(), *filter(None, [settings.names])]


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


def policy_file(wildcards):
    """The policy of a run; a schedule that follows from the settings needs none."""
    return expand_runs(POLICY, run_of(wildcards).policies)


def judging_state(wildcards):
    """What candidates are judged by: what the reward of the training knew, or what was fitted."""
    fitted = CONFIG.refinements[wildcards.refinement].judge == "gaussian"
    return expand(JUDGES if fitted else REWARD_STATE, **wildcards)


def samples_of(wildcards):
    """All samples of an experiment."""
    return expand_runs(SAMPLES, plain_runs(CONFIG, wildcards.experiment))


def judged_samples(wildcards):
    """Samples of both dials of an experiment, with one training seed."""
    name, seed = wildcards.experiment, int(wildcards.seed)
    dial = [run for run in dial_runs(CONFIG, [name]) if run.seed == seed]
    return expand_runs(SAMPLES, [*dial, *guidance_runs(CONFIG, [name])])
