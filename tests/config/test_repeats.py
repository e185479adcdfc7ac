"""Generator seeds: every experiment is there once more on a generator of another seed."""

import pytest
from every_key import RELEASED as OTHERWISE
from minimal import MINIMAL, complaint, with_value

from adagen.config import load_config, parse_config
from adagen.config.bindings import of_metrics, of_samples
from adagen.config.identity import search_state, training_state
from adagen.config.overlay import overlay
from adagen.config.runs import Run, first_runs, reported_runs
from adagen.config.stored import store_config
from adagen.paper.catalogue import learned_runs
from adagen.paper.figures import grid_runs

FOUR = {
    **MINIMAL,
    "experiments": {
        "a": {"generator": "tokens", "steps": 6},
        "b": {"generator": "scales", "training": {"updates": 7}},
        "c": {"generator": "noise"},
        "d": {"generator": "tokens"},
    },
}
RELEASED = {key: section for key, section in OTHERWISE.items() if section}
RELEASED["generators"] = {"tokens": OTHERWISE["generators"]["tokens"]}


def seeded(*seeds, **changed):
    return overlay({**FOUR, "generator_seeds": [*seeds]}, changed)


def parsed(*seeds, **changed):
    return parse_config(seeded(*seeds, **changed), "toy.yaml")


def test_every_other_seed_repeats_each_experiment_on_a_generator_of_its_own():
    config, without = parsed(0, 3, 1), parsed(5)
    assert [*without.experiments] == [*FOUR["experiments"]]
    assert [*config.experiments][4:] == [f"{name}-seed-{s}" for s in (3, 1) for name in "abcd"]
    added = ("tokens", "scales", "noise")  # one generator of both its experiments
    assert [*config.generators][4:] == [f"{name}-seed-{s}" for s in (3, 1) for name in added]
    for name, base in without.experiments.items():
        assert config.experiments[name] == base
        changed = {"generator": f"{base.generator}-seed-1", "repeats": name}
        assert config.experiments[f"{name}-seed-1"] == base.model_copy(update=changed)


def test_network_and_tokeniser_are_fitted_from_the_seed_and_nothing_else_changes():
    own = {"scales": {"pretrain": {"updates": 9}, "tokeniser": {"fit": {"updates": 4}}}}
    config = parsed(0, 3, generators=own)
    for name in ("tokens", "scales", "noise"):
        base, other = config.generators[name], config.generators[f"{name}-seed-3"]
        assert (base.pretrain.seed, other.pretrain.seed) == (0, 3)
        fit = other.pretrain.model_copy(update={"seed": 0})
        changed = {"pretrain": fit}
        if name != "noise":
            changed["tokeniser"] = base.tokeniser
        assert other.model_copy(update=changed) == base
    assert config.generators["tokens-seed-3"].tokeniser.seed == 3
    fit = config.generators["scales-seed-3"].tokeniser.fit
    assert (fit.seed, fit.updates, fit.batch) == (3, 4, 128)


def test_a_stored_configuration_is_read_back_as_it_was(tmp_path):
    config = parsed(0, 1, 2)
    path = store_config(config, tmp_path)
    assert load_config([path]) == config
    assert store_config(load_config([path]), tmp_path) == path
    # A file that is laid over it may ask for more of them.
    (tmp_path / "more.yaml").write_text(f"extends: {path.name}\ngenerator_seeds: [0, 1, 2, 4]\n")
    assert "c-seed-4" in load_config([tmp_path / "more.yaml"]).experiments


def test_released_weights_and_unused_generators_stay_single():
    config = parsed(0, 1, **RELEASED)
    assert [*config.experiments][4:] == ["b-seed-1", "c-seed-1"]
    assert [*config.generators][4:] == ["scales-seed-1", "noise-seed-1"]
    told = "no experiment has a built-in generator that is fitted here"
    assert told in complaint(seeded(0, 1, **RELEASED, experiments={"b": None, "c": None}))


def test_sections_mean_the_experiments_that_they_name():
    sections = {
        "refinements": {
            "all": {"kind": "repeated", "judge": "gaussian"},
            "one": {"kind": "repeated", "judge": "gaussian", "experiments": ["d-seed-1"]},
        },
        "curves": {"steps": {"c": {"steps": [2]}}, "guidance": {"experiments": ["c"]}},
        "rivals": {"2m": {"experiments": ["c"], "solver": "2m"}},
        "ablation": {"experiment": "c", "studies": {"s": {"x": {}, "y": {"solver": "2m"}}}},
    }
    config, without = (
        parsed(0, 1, **sections),
        parsed(0, **overlay(sections, {"refinements": None})),
    )
    assert config.refinements_of("a") == config.refinements_of("d") == ["all"]
    assert config.refinements_of("a-seed-1") == [] and config.refinements_of("d-seed-1") == ["one"]
    assert config.cells == without.cells and config.rival_cells == without.rival_cells
    assert config.budgets == without.budgets
    assert set(config.every_experiment) - set(config.experiments) == set(
        without.every_experiment
    ) - set(without.experiments)


def test_what_is_derived_from_a_repeat_is_none_itself():
    """Its numbers are of other settings, and must not count for the experiment's."""
    curves = {"steps": {"c-seed-1": {"steps": [2]}}, "guidance": {"experiments": ["c-seed-1"]}}
    ablation = {"experiment": "c-seed-1", "studies": {"s": {"x": {}, "y": {"solver": "2m"}}}}
    config = parsed(0, 1, curves=curves, ablation=ablation)
    derived = {n: e for n, e in config.every_experiment.items() if n not in config.experiments}
    assert len(derived) > 3 and not any(one.repeats for one in derived.values())
    assert [cell.name for cell in config.cells] == ["c-seed-1", "c-seed-1-s-y"]


def test_files_of_the_experiments_themselves_stay_as_they_were():
    config, without = parsed(0, 1), parsed(0)
    run, other = Run("c", "adagen", 0), Run("c-seed-1", "adagen", 0)
    assert of_metrics(config, run) == of_metrics(without, run)
    assert "repeats" not in of_samples(config, run)["sample"]["experiment"]
    assert of_samples(config, other)["sample"]["experiment"]["repeats"] == "c"
    for state in (training_state(config, "c", method="adagen"), search_state(config, "c")):
        assert "repeats" not in state[1]["Experiment"] and "published" in state[1]["Experiment"]
        assert not {"polish", "patience"} & state[1]["Experiment"]["training"].keys()
    (_, own, *_) = search_state(config, "c-seed-1")
    assert own["Experiment"]["repeats"] == "c"


def test_tables_have_all_runs_and_figures_those_of_the_first_generator():
    config, without = parsed(0, 1, 2), parsed(0)
    assert len(reported_runs(config)) == 3 * len(reported_runs(without))
    assert first_runs(config) == reported_runs(without)
    assert learned_runs(config) == learned_runs(without)
    assert grid_runs(config) == grid_runs(without)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (seeded(0, 0), "key 'generator_seeds': 0 stands twice"),
        (seeded(), "key 'generator_seeds'"),
        (seeded(0, 1, generators=None), "key 'generators' is missing"),
        (seeded(0, 1, generators={"noise": 5}), "generators"),
        (
            seeded(0, 1, generators={"noise": {"pretrain": 5}}),
            "key 'generators.noise.pretrain' is 5",
        ),
        (seeded(0, 1, generators={"scales": {"tokeniser": 5}}), "scales.tokeniser' is 5"),
        (
            seeded(0, 1, generators={"noise": {"pretrain": {"seed": 1}}}),
            "generators.noise is fitted",
        ),
        (seeded(0, 1, experiments={"c-seed-1": {"generator": "noise"}}), "the name 'c-seed-1'"),
        (seeded(0, experiments={"c": {"repeats": "e"}}), "experiments.c.repeats is 'e'"),
        (seeded(0, experiments={"c": {"repeats": "a"}}), "c repeats a, but differs"),
        (seeded(0, experiments={"e": {"generator": "noise", "repeats": "c"}}), "e repeats c, but"),
        (
            seeded(
                0,
                generators={"twin": {"paradigm": "dit"}},
                experiments={"e": {"generator": "twin", "repeats": "c"}},
            ),
            "e repeats c on a generator whose seeds",
        ),
        (
            seeded(0, 1, experiments={"d-seed-1": {"generator": "tokens", "repeats": "d"}}),
            "d-seed-1 repeats d, but differs",
        ),
        (
            {**with_value("generator_seeds", [0, 1]), "generators": {"tokens": {"paradigm": "x"}}},
            "key 'generators.tokens.paradigm' is 'x'",
        ),
    ],
)
def test_what_cannot_be_is_refused(content, told):
    assert told in complaint(content)


def test_what_is_in_progress_does_not_name_free_times():
    experiments = {"a": {"generator": "flow"}, "b": {"generator": "flow", "times": "ordered"}}
    config = parse_config({**MINIMAL, "experiments": experiments}, "test")
    free, ordered = (search_state(config, name)[1]["Experiment"] for name in "ab")
    assert "times" not in free and ordered["times"] == "ordered"
