"""Rivals: what each becomes, what it may draw, and mistakes that are told before anything runs."""

import pytest
from minimal import MINIMAL, complaint

from adagen.config import parse_config
from adagen.config.runs import evaluations, rival_runs, runs_of

CONTENT = {
    **MINIMAL,
    "experiments": {
        "toy_t4": {"generator": "tokens"},
        "toy_flow_t4": {"generator": "flow", "released_policy": "policy_sit"},
        "toy_noise_t4": {"generator": "noise"},
    },
    "methods": ["handmade", "tuned"],
    "sweep": {"evaluations": 20, "samples": 1000, "table": {"evaluations": 30}},
}
FLOW = {"experiments": ["toy_flow_t4"]}


def config(**rivals):
    return parse_config({**CONTENT, "rivals": rivals}, "toy.yaml")


def test_each_becomes_an_experiment_that_differs_in_its_keys():
    made = config(
        multistep={"experiments": ["toy_flow_t4", "toy_noise_t4"], "solver": "2m"},
        **{"log-SNR times": {**FLOW, "methods": ["logsnr_time"]}},
    )
    names = ["toy_flow_t4-rival-multistep", "toy_noise_t4-rival-multistep", "toy_flow_t4"]
    assert [cell.name for cell in made.rival_cells] == names
    base, derived = (made.every_experiment[name] for name in ("toy_flow_t4", names[0]))
    assert derived == base.model_copy(update={"solver": "2m", "released_policy": ""})
    runs = [(run.experiment, run.name) for run in rival_runs(made)]
    assert runs == [(names[0], "handmade"), (names[1], "handmade"), (names[2], "logsnr_time")]
    # They are no part of `all`, and those of two experiments are measured by one rule.
    assert not {*rival_runs(made)} & {*runs_of(made)}
    found = {ending: names for ending, (names, _) in evaluations(made).items()}
    assert found["_rivals_handmade"] == names[:2]
    assert found["_rivals_logsnr_time"] == names[2:]
    assert rival_runs(parse_config(CONTENT, "toy.yaml")) == []


def test_a_rival_with_one_number_may_draw_what_tuned_draws():
    made = config(
        bounded={
            "experiments": ["toy_t4"],
            "methods": ["tuned"],
            "tunes": ["bound"],
            "unmasking": "entropy",
        },
        bent={**FLOW, "methods": ["gits"], "tunes": ["guidance"]},
        guided={**FLOW, "methods": ["tuned"], "guidance_rule": "apg"},
    )
    drawn = made.sweep_of("toy_t4").images("tuned")
    assert drawn == 50_000
    bounded = made.sweep_of("toy_t4-rival-bounded")
    assert bounded.actions == ("bound",) and bounded.images("tuned") == drawn
    bent = made.sweep_of("toy_flow_t4-rival-bent")
    assert drawn - 1000 < bent.images("gits", steps=4) <= drawn
    # A whole search where it names no action, and the experiment's own is as it was.
    assert made.sweep_of("toy_flow_t4-rival-guided") == made.sweep_of("toy_flow_t4")


def test_a_solver_takes_the_place_of_given_coefficients():
    experiment = {"generator": "flow", "steps": 6, "solver": "table", "coefficients": "dss_sit_t6"}
    content = {**CONTENT, "experiments": {"toy_flow_t4": experiment}}
    made = parse_config({**content, "rivals": {"2m": {**FLOW, "solver": "2m"}}}, "toy.yaml")
    assert made.every_experiment["toy_flow_t4-rival-2m"].coefficients == ()


@pytest.mark.parametrize(
    ("rival", "told"),
    [
        ({"experiments": ["toy"]}, "rivals.x.experiments has 'toy', which is none of the"),
        ({"experiments": ["toy_t4"], "solver": "2m"}, "rivals.x.solver is '2m'"),
        ({**FLOW, "unmasking": "entropy"}, "rivals.x.unmasking is 'entropy', which only"),
        ({**FLOW, "methods": ["halton"]}, "rivals.x.methods has 'halton', which only"),
        ({**FLOW, "methods": ["adagen"]}, "adagen"),
        ({**FLOW, "methods": []}, "methods is empty, but a rival has one row at least"),
        ({**FLOW, "tunes": ["guidance"]}, "has none of those that search"),
        (
            {**FLOW, "tunes": ["guidance"], "methods": ["tuned", "gits"]},
            "has tuned, gits of those that search: name either 'tuned' or 'gits'",
        ),
        ({**FLOW, "methods": ["tuned"], "tunes": ["speed"]}, "are time, guidance: choose among"),
        ({**FLOW, "schedule": {"time": [0.1, 0.9]}}, "rivals.x.schedule has 2 values of 'time'"),
        (
            {"experiments": ["toy_t4"], "unmasking": "confidence", "unmasking_bound": 4.0},
            "rivals.x.unmasking_bound is 4.0, but the rule 'confidence' compares it with a prob",
        ),
        ({**FLOW, "solver": "table"}, "rivals.x in toy_flow_t4: solver is 'table'"),
        (
            {**FLOW, "solver": "table", "coefficients": "dss_sit_t8"},
            "rivals.x in toy_flow_t4: coefficients has 8 rows",
        ),
    ],
)
def test_what_cannot_be_is_refused(rival, told):
    assert told in complaint({**CONTENT, "rivals": {"x": rival}})


@pytest.mark.parametrize("names", [["2M", "2m"], ["--"]])
def test_names_become_paths(names):
    rivals = {name: {**FLOW, "solver": "2m"} for name in names}
    assert f"rivals has the name {names[-1]!r}" in complaint({**CONTENT, "rivals": rivals})


@pytest.mark.parametrize(
    ("method", "changed", "told"),
    [
        (
            "interval",
            {"handmade": {"guidance": 0}},
            "handmade.guidance is 0, but method 'interval'",
        ),
        ("gits", {"steps": 62}, "steps is 62, but method 'gits' chooses times among the 60 of"),
    ],
)
def test_a_method_has_something_to_choose_from(method, changed, told):
    experiments = {"toy_flow_t4": {"generator": "flow", **changed}}
    content = {**CONTENT, "experiments": experiments, "methods": ["handmade"]}
    assert f"rivals.x.{told}" in complaint(
        {**content, "rivals": {"x": {**FLOW, "methods": [method]}}}
    )
    content["methods"] = ["handmade", method]
    assert f"experiments.toy_flow_t4.{told}" in complaint(content)
