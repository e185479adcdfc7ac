"""Mistakes in a configuration: one paragraph that names the key and says what to do."""

import pytest
from minimal import MINIMAL, complaint, with_value

from adagen.config import Text, parse_config
from adagen.config.overlay import DEFAULT_KINDS, overlay
from adagen.config.runs import dial_runs

WEIGHTS = {"network": "net", "decoder": "dec"}


def guidance(scales: list[float]) -> dict[str, object]:
    """The section `curves` with these guidance scales."""
    return {"guidance": {"experiments": ["toy_t4"], "scales": scales}}


def test_the_minimal_config_is_whole():
    config = parse_config(MINIMAL, "toy.yaml")
    assert config.experiments["toy_t4"].steps == 4
    assert config.methods == ("handmade", "tuned", "static", "adagen")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        # unknown keys
        ("evalution", {}, ["unknown key 'evalution'", "'evaluation'"]),
        ("generators.flow.network.widht", 8, ["'generators.flow.network.widht'", "'width'"]),
        ("updates", 3, ["unknown key 'updates'", "another section", "config/README.md"]),
        ("zzzzqqqq", 3, ["unknown key 'zzzzqqqq'", "config/README.md"]),
        ("training.sigmas", [1, 1], ["'training.sigmas'", "'sigma'"]),
        # wrong types and ranges
        ("experiments.toy_t4.steps", "four", ["'experiments.toy_t4.steps' is 'four'", "integer"]),
        ("experiments.toy_t4.steps", 0, ["'experiments.toy_t4.steps' is 0", "greater than 0"]),
        ("experiments.toy_t4.steps", True, ["experiments.toy_t4", "steps is True"]),
        ("experiments.toy_t4.handmade.guidance", float("nan"), ["guidance", "finite"]),
        ("experiments.toy_t4.smoothing", 1, ["'experiments.toy_t4.smoothing' is 1", "less than 1"]),
        ("experiments.toy_t4", None, ["'experiments.toy_t4' is None", "section"]),
        ("experiments", [1], ["'experiments' is [1]", "section"]),
        ("training", 3, ["'training' is 3", "section"]),
        ("methods", ["tuned", "magic"], ["'methods.1' is 'magic'", "'handmade'", "'adagen'"]),
        ("dataset.name", "cats", ["name is 'cats'", "digits"]),
        # names that resemble what was given stand first
        ("methods", ["tund"], ["'methods.0' is 'tund'", "one of 'tuned', 'handmade', "]),
        ("training.reward.kind", "tokns", ["is 'tokns'", "must be one of 'tokens', "]),
        ("generators.flow.paradigm", "dti", ["is 'dti'", "must be one of 'dit', "]),
        ("experiments.toy_t4.generator", "scale", ["none of the generators: scales, tokens"]),
        ("sweep.actions", ["guidanc"], ["the actions of experiments.toy_t4 are guidance, ratio"]),
        ("curves.steps.toy_t5", {}, ["'toy_t5', which is none of the experiments: toy_t4"]),
        # a null that takes out what isn't there
        ("experiments.toy_t5", None, ["'experiments.toy_t5' is None", "there are: toy_t4. "]),
        ("generators.nois", None, ["'generators.nois' is None", "are: noise, tokens, scales"]),
        ("generators.nois", "null", ["'generators.nois' is None", "are: noise, tokens, scales"]),
        ("refinements.best", None, ["'refinements.best' is None", "there are: none. "]),
        # the dial
        ("methods", ["faithful"], ["methods has 'faithful'", "`dial: {}`"]),
        ("dial", {"weight": 0}, ["'dial.weight' is 0", "greater than or equal to 0.000001"]),
        ("preference", {"kind": "clap"}, ["'preference.kind' is 'clap'", "'clip'"]),
        ("preference", {"kind": "clip", "prompt": "a"}, ["'preference.prompt'", "pattern"]),
        # paradigms and generators
        ("generators.flow.paradigm", "gan", ["'generators.flow.paradigm' is 'gan'", "'sit'"]),
        ("generators.flow", {}, ["'generators.flow.paradigm' is missing"]),
        ("experiments.toy_t4.generator", "gone", ["toy_t4.generator is 'gone'", "tokens, scales"]),
        # what a generator or its solver can't do
        ("experiments.odd", {"generator": "noise", "steps": 5}, ["odd.steps is 5", "even"]),
        ("experiments.odd", {"generator": "flow", "steps": 3}, ["odd.steps is 3", "even"]),
        ("experiments.v", {"generator": "scales", "steps": 5}, ["v.steps is 5", "4 scales"]),
        ("generators.scales.scales", [8], ["'generators.scales'", "[8]", "at least two"]),
        ("generators.scales.scales", [1, 4, 2, 8], ["'generators.scales'", "larger than the last"]),
        ("generators.tokens.network.width", 66, ["generators.tokens.network", "heads (4)"]),
        ("generators.noise.network", {"width": 6, "heads": 2}, ["generators.noise", "of 4"]),
        ("generators.scales.tokeniser.width", 48, ["scales.tokeniser.width' is 48", "of 32"]),
        # numbers that make no sense together
        ("training.trajectories", 1001, ["'training'", "multiple of group (8)"]),
        ("training.group", 1, ["'training'", "group is 1"]),
        (
            "training",
            {"trajectories": 64, "reward": {"kind": "frechet"}},
            ["experiments.toy_t4.training: trajectories is 64", "64 components takes more"],
        ),
        (
            "training",
            {"baseline": "value", "group": 1, "value_coefficient": 0},
            ["'training'", "value_coefficient is 0"],
        ),
        ("training.reward", {"kind": "gan"}, ["'training.reward.kind' is 'gan'", "'gaussian'"]),
        ("training.reward", {"hidden": 9}, ["unknown key 'training.reward.hidden'"]),
        ("training.reward.memory", 1, ["'training.reward.memory' is 1", "less than 1"]),
        ("training.sigma", [0.5, 0], ["'training.sigma.1' is 0", "greater than or equal"]),
        ("evaluation.seeds", [1, 1], ["'evaluation.seeds'", "1 stands twice", "different"]),
        ("evaluation.seeds", [], ["'evaluation.seeds' is []", "at least 1 item"]),
        ("evaluation.jobs", 999, ["'evaluation'", "jobs is 999", "files of samples to make"]),
        ("training.polish", {"samples": 9}, ["training.polish.samples is 9", "at least 65"]),
        ("sweep.actions", ["time", "step"], ["sweep.actions has", "the actions of", "choose"]),
        (
            "experiments.toy_t4.unmasking_bound",
            0.5,
            ["experiments.toy_t4.unmasking_bound is 0.5", "'ratio', which has no bound"],
        ),
        ("training_seeds", [], ["training_seeds", "at least 1 item"]),
        ("training_seeds", [0, 0], ["training_seeds", "0 stands twice"]),
        ("evaluation.samples", 64, ["evaluation.samples is 64", "at least 65"]),
        ("sweep.samples", 10, ["sweep.samples is 10", "at least 65"]),
        ("experiments.toy_t4.training.validate_samples", 9, ["toy_t4.training.validate_samples"]),
        # released weights
        ("generators.tokens.weights", WEIGHTS, ["generators.tokens", "'patches'", "'vqgan'"]),
        ("generators.tokens.tokeniser", {"kind": "vqgan"}, ["generators.tokens", "'vqgan'"]),
        ("generators.tokens.tokeniser", {"kind": "jpeg"}, ["tokens.tokeniser", "'jpeg'"]),
        ("generators.tokens.tokeniser.patsch", 2, ["'generators.tokens.tokeniser.patsch'"]),
        ("generators.noise.weights", WEIGHTS, ["generators.noise", "latent and weights"]),
        ("generators.flow.latent", {}, ["generators.flow", "latent and weights"]),
        ("generators.flow.precision", "half", ["'generators.flow.precision' is 'half'"]),
        ("reward_features", {"kind": "dino", "blocks": [12]}, ["reward_features", "0 to 11"]),
        ("reward_features", {"kind": "dino", "mask": 0.5}, ["unknown key 'reward_features.mask'"]),
        ("evaluation.protocol", "fid", ["'evaluation.protocol' is 'fid'", "'authors'"]),
        ("evaluation.reference", "stats", ["'evaluation'", "leave it empty"]),
        ("evaluation.protocol", "adm", ["sweep.samples is 800", "2048", "at least 2049"]),
        ("assets.catalogue.own", {"file": "../x"}, ["'assets.catalogue.own.file'", "pattern"]),
        (
            "assets.catalogue.own",
            {"file": "x", "licence": "MIT", "description": "x"},
            ["'assets.catalogue.own'", "neither url nor manual"],
        ),
        ("device", "tpu", ["'device' is 'tpu'", "'cuda'"]),
        # names that would become paths or other targets
        ("experiments.a/b", {"generator": "tokens"}, ["experiments", "'a/b'", "path"]),
        ("experiments.", {"generator": "tokens"}, ["experiments", "''", "path"]),
        ("generators.metrics", {"paradigm": "sit"}, ["'metrics'", "choose a different one"]),
        ("generators.preference", {"paradigm": "sit"}, ["'preference'", "different one"]),
    ],
)  # fmt: skip
def test_one_paragraph_names_the_key_and_what_to_do(key, value, told):
    message = complaint(with_value(key, value))
    for part in told:
        assert part in message


@pytest.mark.parametrize("key", ["name", "results", "generators", "experiments"])
def test_missing_keys(key):
    content = {name: value for name, value in MINIMAL.items() if name != key}
    assert f"key '{key}' is missing" in complaint(content)


def test_a_mistake_in_the_shared_training_is_told_where_it_stands():
    assert "unknown key 'training.updatez'" in complaint(with_value("training.updatez", 3))


def test_experiments_inherit_the_training_key_by_key():
    shared = {"kind": "tokens", "steps": 3, "channels": 5}
    content = with_value("training", {"updates": 7, "reward": shared})
    own = {"epochs": 2, "reward": {"steps": 9}}
    content["experiments"]["own_t4"] = {"generator": "tokens", "training": own}
    config = parse_config(content, "toy.yaml")
    plain, changed = (config.experiments[name].training for name in ("toy_t4", "own_t4"))
    assert plain == config.training
    assert (changed.updates, changed.epochs) == (7, 2)
    assert (changed.reward.steps, changed.reward.channels) == (9, 5)


@pytest.mark.parametrize(
    ("shared", "own", "expected"),
    [
        ({"components": 9}, {"kind": "tokens", "steps": 2}, {"kind": "tokens", "steps": 2}),
        ({"kind": "tokens", "steps": 2}, {"kind": "frechet"}, {"kind": "frechet"}),
        ({"kind": "tokens", "steps": 2}, {"kind": "gaussian"}, {"kind": "gaussian"}),
        # The same kind, named or not.
        (
            {"components": 9, "memory": 0.1},
            {"kind": "gaussian", "memory": 0.2},
            {"kind": "gaussian", "components": 9, "memory": 0.2},
        ),
        ({"kind": "gaussian", "components": 9}, {"memory": 0}, {"components": 9, "memory": 0}),
    ],
)
def test_an_override_of_another_kind_replaces_the_section(shared, own, expected):
    content = with_value("training.reward", shared)
    content["experiments"]["toy_t4"]["training"] = {"reward": own}
    alone = parse_config(with_value("training.reward", expected), "toy.yaml")
    config = parse_config(content, "toy.yaml")
    assert config.experiments["toy_t4"].training.reward == alone.training.reward
    # And so it does where one file lies over another.
    whole = overlay(with_value("training.reward", shared), with_value("training.reward", own))
    assert parse_config(whole, "toy.yaml").training.reward == alone.training.reward


def test_the_dial_makes_the_method_faithful():
    content = {**MINIMAL, "dial": {}, "methods": ["faithful"]}
    assert parse_config(content, "toy.yaml").dial.weight == 1
    studies = {"one": {"a": {"method": "faithful"}}}
    content = {**MINIMAL, "ablation": {"experiment": "toy_t4", "studies": studies}}
    assert "methods has 'faithful'" in complaint(content)


def test_other_numbers_of_steps_are_searched_for_as_briefly_as_the_curves_say():
    content = with_value("sweep", {"evaluations": 30, "samples": 500, "seed": 3})
    content["curves"] = {"steps": {"toy_t4": {"steps": [2, 8]}}, "sweep": {"samples": 200}}
    content["experiments"]["toy_t8"] = {"generator": "tokens", "steps": 8}
    config = parse_config(content, "toy.yaml")
    brief = config.sweep_of("toy_t4-steps-2")
    assert (brief.evaluations, brief.samples, brief.seed) == (30, 200, 3)
    # The curve takes the latter, which stands in the tables of the run, too.
    assert config.sweep_of("toy_t4") == config.sweep_of("toy_t8") == config.sweep
    again = parse_config(config.model_dump(mode="json"), "toy.yaml")
    assert again.sweep_of("toy_t4-steps-2") == brief
    del content["curves"]["sweep"]
    config = parse_config(content, "toy.yaml")
    assert config.sweep_of("toy_t4-steps-2") == config.sweep
    content["curves"]["sweep"] = {"samples": 64}
    assert "curves.sweep.samples is 64" in complaint(content)


def test_a_curve_of_guidance_derives_experiments_that_differ_in_nothing_else():
    content = with_value("curves", guidance([0, 1, 2.5]))
    config = parse_config(content, "toy.yaml")
    own = config.experiments["toy_t4"]
    assert own.handmade.guidance == 1
    derived = config.guidance_of("toy_t4")
    assert {scale: name for scale, (name, _) in derived.items()} == {
        0: "toy_t4-guidance-0",
        1: "toy_t4",
        2.5: "toy_t4-guidance-2.5",
    }
    assert derived[1][1] == own
    changed = own.handmade.model_copy(update={"guidance": 2.5})
    assert derived[2.5][1] == own.model_copy(update={"handmade": changed})
    assert config.every_experiment == {**dict(derived.values()), **config.experiments}
    # Without the hand-made schedule among the methods there is nothing to turn.
    methods = {**content, "methods": ["tuned"]}
    assert parse_config(methods, "toy.yaml").every_experiment == config.experiments
    # A name that is taken already, by other settings.
    content["experiments"]["toy_t4-guidance-0"] = {"generator": "tokens"}
    assert "becomes the experiment 'toy_t4-guidance-0', but another one" in complaint(content)


def test_the_ends_of_the_dial_are_the_two_policies():
    content = {**MINIMAL, "dial": {}, "curves": {"fidelity": {"experiments": ["toy_t4"]}}}
    content["training_seeds"] = [3]
    config = parse_config(content, "toy.yaml")
    assert [run.name for run in dial_runs(config)] == [
        "adagen_seed3",
        "dial0.2_seed3",
        "dial0.4_seed3",
        "dial0.6_seed3",
        "dial0.8_seed3",
        "faithful_seed3",
    ]
    alone = parse_config({**content, "methods": ["handmade"]}, "toy.yaml")
    assert dial_runs(alone) == []


def test_the_default_kinds_are_those_of_the_models():
    config = parse_config(MINIMAL, "toy.yaml")
    found = {
        "reward": config.training.reward,
        "reward_features": config.reward_features,
        "preference": config.preference,
        "tokeniser": config.generators["tokens"].tokeniser,
        "text": Text(),
    }
    assert {section: model.kind for section, model in found.items()} == DEFAULT_KINDS


def test_principal_components_are_of_a_masked_autoencoder():
    content = with_value("reward_features", {"kind": "dino"})
    assert "toy_t4.training.reward.kind is 'gaussian'" in complaint(content)
    content["methods"] = ["handmade"]
    parse_config(content, "toy.yaml")  # nothing is trained
    content |= {"methods": ["adagen"], "training": {"reward": {"kind": "tokens", "batch": 12}}}
    assert "training.reward.batch is 12" in complaint(content)
    content["training"]["reward"]["batch"] = 16
    parse_config(content, "toy.yaml")
    content["refinements"] = {"best": {"kind": "repeated"}}  # judged on the same features
    assert "generators.tokens.batch is 250, but reward_features 'dino'" in complaint(content)
    content["generators"] = {**content["generators"], "tokens": {"paradigm": "maskgit", "batch": 8}}
    assert "evaluation.samples is 5001" in complaint({**content, "evaluation": {"samples": 5001}})
    assert "evaluation.shard is 500" in complaint({**content, "evaluation": {"shard": 500}})
    parse_config(content, "toy.yaml")
    content["training"]["reward"] = {"kind": "convolution", "batch": 12}
    parse_config(content, "toy.yaml")
    content["refinements"] = {"best": {"kind": "repeated", "judge": "gaussian"}}
    assert "refinements.best.judge is 'gaussian'" in complaint(content)


def test_a_family_makes_rows_of_the_methods_it_has():
    methods = ["handmade", "halton", "logsnr_time", "released"]
    content = {**with_value("experiments.flow_t4", {"generator": "flow"}), "methods": methods}
    content["experiments"]["scales_t4"] = {"generator": "scales"}
    config = parse_config(content, "toy.yaml")
    rows = {name: config.methods_of(name) for name in config.experiments}
    assert rows == {
        "toy_t4": ("handmade", "halton"),
        "flow_t4": ("handmade", "logsnr_time"),
        "scales_t4": ("handmade",),
    }


def test_a_method_without_any_row_is_a_mistake():
    message = complaint({**MINIMAL, "methods": ["handmade", "logsnr_time"]})
    assert "methods has 'logsnr_time'" in message and "dit and sit" in message
    studies = {"schedule": {"even": {"method": "logsnr_time"}}}
    message = complaint({**MINIMAL, "ablation": {"experiment": "toy_t4", "studies": studies}})
    assert "ablation.studies.schedule.even.method is 'logsnr_time'" in message


def test_an_interval_takes_guidance():
    content = with_value("experiments.toy_t4.handmade", {"guidance": 0})
    parse_config(content, "toy.yaml")
    message = complaint({**content, "methods": ["interval"]})
    assert "toy_t4.handmade.guidance is 0" in message
    variant = {"handmade": {"guidance": 0}, "method": "interval"}
    ablation = {"experiment": "toy_t4", "studies": {"guidance": {"none": variant}}}
    message = complaint({**MINIMAL, "ablation": ablation})
    assert "ablation.studies.guidance.none.handmade.guidance is 0" in message


def test_authors_protocol_takes_whole_classes():
    content = with_value("evaluation", {"protocol": "authors", "samples": 50_500})
    content["generators"]["released"] = {"paradigm": "sit", "weights": WEIGHTS, "latent": {}}
    content |= {"sweep": {"samples": 2100}, "training": {"validate_samples": 2100}}
    assert "evaluation.samples is 50500" in complaint(content)
    content["evaluation"]["samples"] = 50_000
    assert parse_config(content, "toy.yaml").evaluation.dimension == 2048


@pytest.mark.parametrize("kind", ["clip", "aesthetic"])
def test_a_network_that_rewards_does_not_measure(kind):
    scored = with_value("evaluation.clip_score", {"prompt": "a {}"})
    content = {**scored, "preference": {"kind": kind, "weights": "clip_vit_b_32"}}
    assert parse_config(content, "test").evaluation.clip_score  # nothing asks the preference
    content["dial"] = {"weight": 1.0}
    assert "a network that rewards must not measure" in complaint(content)
    content["preference"]["weights"] = "another"
    assert parse_config(content, "test").dial


def test_captions_take_a_protocol_without_a_classifier():
    captions = {"train": "captions.json"}
    dataset = {"name": "coco", "folder": "images", "size": 32, "captions": captions}
    content = with_value("dataset", dataset)
    assert "whose classifier tells classes" in complaint(content)
    content["evaluation"] = {"protocol": "clean", "inception": {"shrink": 16}}
    content["dial"] = {"weight": 1.0}
    assert "which tells classes, but 'coco' has captions" in complaint(content)
    content["preference"] = {"kind": "aesthetic"}
    assert "needs a section `text` of kind 'clip'" in complaint(content)
