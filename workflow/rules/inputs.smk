"""Which files a stage reads."""

from adagen.data.released import asset_path, catalogue

POLICY = "<results>/{experiment}/policy/{run}.safetensors"
REWARD_STATE = "<results>/{experiment}/policy/{run}.reward.safetensors"
JUDGES = "<results>/{experiment}/policy/{run}.judges.safetensors"
SAMPLES = "<results>/{experiment}/samples/{run}"
METRICS = "<results>/{experiment}/metrics/{run}.json"
JUDGED = expand(
    "<results>/{experiment}/judged/adagen_seed{seed}.json",
    experiment=[name for name in CONFIG.experiments if dial_runs(CONFIG, [name])],
    seed=CONFIG.training_seeds,
)

ASSETS = {known.file: name for name, known in catalogue(CONFIG.assets).items()}

# Released files that take the place of fitted networks; empty if there are none.
INCEPTION = CONFIG.evaluation.inception.weights if CONFIG.evaluation.protocol != "embedded" else ""
DINO = CONFIG.reward_features.weights if CONFIG.reward_features.kind == "dino" else ""


def asset(name):
    """A link to a released file, whose hash fixes its bytes, so that its time means nothing."""
    return ancient(f"<resources>/{RELEASED}/{asset_path(CONFIG.assets, name).name}")


def images(wildcards=None):
    """The list of the images, as an input of rules that read them; the digits have none."""
    return [rules.dataset.output.inventory] if CONFIG.dataset.folder else []


def asset_or_images(name):
    """The released file of this name, or without a name the images, to make it from."""
    return [asset(name)] if name else images()


def dataset_sources(wildcards):
    """The user's folders or zips. If one is missing, the job fails with a message, not the plan."""
    sources = [CONFIG.dataset.folder, CONFIG.dataset.heldout_folder]
    if captions := CONFIG.dataset.captions:
        sources += [captions.train, captions.heldout, captions.reported]
    return [source for source in dict.fromkeys(sources) if source and Path(source).exists()]


def pretrain_sources(wildcards):
    weights = CONFIG.generators[wildcards.generator].weights
    if not weights:
        return images()
    released = [asset(weights.network), asset(weights.decoder)]
    # Which captions there are is no matter of the released files.
    return [*released, *(images() if CONFIG.dataset.captions else [])]


def embeddings_sources(wildcards):
    """The captions, and a released text encoder if it is one."""
    text = CONFIG.generators[wildcards.generator].text
    return [*images(), *([asset(text.weights)] if text.kind == "clip" else [])]


def text_files(wildcards):
    """The text encoder of a generator of captions, and the embeddings that it made."""
    text = getattr(CONFIG.generators[wildcards.generator], "text", None)
    if text is None:
        return {}
    first = next(n for n, s in CONFIG.generators.items() if getattr(s, "text", None) == text)
    return {
        "encoder": rules.embeddings.output.encoder.format(generator=first),
        "embeddings": rules.embeddings.output.embeddings.format(generator=first),
    }


def metric_sources(wildcards):
    return asset_or_images(INCEPTION)


def clip_score_sources(wildcards):
    settings = CONFIG.evaluation.clip_score
    return [asset(settings.weights), *images(), *filter(None, [settings.names])]


def clip_score_file(wildcards):
    """The CLIP that gives samples a score, if one is asked for."""
    return [rules.clip_score.output.clip] if CONFIG.evaluation.clip_score else []


def reward_sources(wildcards):
    return asset_or_images(DINO)


def reference_sources(wildcards):
    """The released file; with captions the images, too, as the list belongs to the protocol."""
    released = asset_or_images(CONFIG.evaluation.reference)
    return [*dict.fromkeys([*released, *images()])] if CONFIG.dataset.captions else released


def preference_sources(wildcards):
    settings = CONFIG.preference
    if settings.kind == "classifier":
        return images()
    released = [settings.weights, *([settings.head] if settings.kind == "aesthetic" else [])]
    names = [settings.names] if settings.kind == "clip" else []
    return [*map(asset, released), *images(), *filter(None, names)]


def preference_file(wildcards):
    """The network that says how well an image shows its class, for rewards that ask it."""
    settings = EXPERIMENTS[wildcards.experiment]
    asked = asks_preference(settings, wildcards.get("method"))
    return [rules.preference.output.preference] if asked else []


def start_file(wildcards):
    """The searched schedule that a training begins at, if it does."""
    begins = starts_tuned(EXPERIMENTS[wildcards.experiment], wildcards.method)
    return expand(POLICY, experiment=wildcards.experiment, run="tuned") if begins else []


def released_policy(wildcards):
    return asset(EXPERIMENTS[wildcards.experiment].released_policy)


def generator_file(wildcards):
    name = EXPERIMENTS[wildcards.experiment].generator
    return expand(rules.pretrain.output.generator, generator=name)


def policy_file(wildcards):
    """The policy of a run; a schedule that follows from the settings has no file."""
    return expand_runs(POLICY, run_of(wildcards).policies)


def judging_state(wildcards):
    """What judges candidates: the state of the training's reward, or judges that were fitted."""
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
