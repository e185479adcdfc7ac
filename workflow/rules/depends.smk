"""What each stage depends on: the part of the configuration that can change its output.

Snakemake re-runs a job when that part changes, and only then. Numbers that can't change a result
(batch sizes of generation, the device) stand in no part.
"""

UNBOUND = ("title", "batch", "decode_batch", "precision")
"""Keys of a generator that its file doesn't depend on."""


def schedule_of(wildcards):
    """What decides the images of an experiment, besides the files a stage is given."""
    experiment = EXPERIMENTS[wildcards.experiment]
    return {
        "experiment": part(experiment, "training", "released_policy", "published", "policy"),
        # A generator's file is the same at every precision.
        "precision": CONFIG.generators[experiment.generator].precision,
    }


def dataset_depends(wildcards):
    return part(CONFIG.dataset, "flip")


def pretrain_depends(wildcards):
    generator = CONFIG.generators[wildcards.generator]
    if generator.weights:
        return {"generator": part(generator, "pretrain", *UNBOUND)}
    return {
        "dataset": part(CONFIG.dataset),
        "generator": part(generator, *UNBOUND),
        **generator.made_by,
    }


def metrics_depends(wildcards):
    evaluation = CONFIG.evaluation
    if INCEPTION:
        return {"protocol": evaluation.protocol, "inception": part(evaluation.inception)}
    return {"dataset": part(CONFIG.dataset), "networks": part(evaluation.networks)}


def reward_depends(wildcards):
    features = {"features": part(CONFIG.reward_features)}
    return features if DINO else {"dataset": part(CONFIG.dataset), **features}


def preference_depends(wildcards):
    return {"dataset": part(CONFIG.dataset), "preference": part(CONFIG.preference)}


def reference_depends(wildcards):
    if STATISTICS:
        return {"reference": STATISTICS, "dataset": CONFIG.dataset.name}
    return {"dataset": part(CONFIG.dataset)}


def train_depends(wildcards):
    experiment = EXPERIMENTS[wildcards.experiment]
    return {
        "dataset": part(CONFIG.dataset),
        **schedule_of(wildcards),
        "training": part(experiment.training, "batch", "trackers", "keep_features"),
        **({"rounded": True} if experiment.training.keep_features == "bfloat16" else {}),
        "policy": part(experiment.policy),
        **({"dial": part(CONFIG.dial)} if CONFIG.dial and wildcards.method == "faithful" else {}),
    }


def released_depends(wildcards):
    return part(EXPERIMENTS[wildcards.experiment], "training", "published", "policy")


def sweep_depends(wildcards):
    # Its table sees nothing, but its file is bound to the experiment as others are.
    sight = EXPERIMENTS[wildcards.experiment].policy.inputs
    budget = part(CONFIG.sweep_of(wildcards.experiment))
    return {**schedule_of(wildcards), "sweep": budget, "policy": sight}


def sample_depends(wildcards):
    evaluation = CONFIG.evaluation
    return {
        **schedule_of(wildcards),
        "dataset": CONFIG.dataset.name,
        # Decides the order of the classes.
        "protocol": evaluation.protocol,
        "samples": evaluation.samples,
        "seeds": evaluation.seeds,
    }


def fit_judges_depends(wildcards):
    return {**schedule_of(wildcards), "dataset": part(CONFIG.dataset)}


def refine_depends(wildcards):
    reward = EXPERIMENTS[wildcards.experiment].training.reward
    refinement = CONFIG.refinements[wildcards.refinement]
    return {
        **sample_depends(wildcards),
        "refinement": part(refinement, "experiments"),
        **({"reward": part(reward)} if refinement.judge == "reward" else {}),
    }


def system_depends(wildcards):
    """What experiments are called, and what others published of them."""
    experiments = CONFIG.experiments.values()
    return {
        "titles": [CONFIG.generators[experiment.generator].title for experiment in experiments],
        "published": [
            part(published_numbers()[experiment.published]) if experiment.published else {}
            for experiment in experiments
        ],
    }


def judge_depends(wildcards):
    return {"reward": part(EXPERIMENTS[wildcards.experiment].training.reward)}


def evaluate_depends(wildcards):
    evaluation = CONFIG.evaluation
    return {"protocol": evaluation.protocol, "neighbours": evaluation.neighbours}
