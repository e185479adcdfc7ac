"""Prices of an evaluation: what each becomes, and what is refused before anything runs."""

import pytest
from minimal import MINIMAL, complaint

from adagen.config import parse_config, shown
from adagen.config.runs import evaluations, runs_of, stopping_runs

CONTENT = {
    **MINIMAL,
    "experiments": {
        "toy_t4": {
            "generator": "flow",
            "training": {"updates": 7},
            "released_policy": "policy_sit",
        },
        "toy_t8": {"generator": "flow", "steps": 8},
        "other_t4": {"generator": "flow", "solver": "2m"},
        "scales_t4": {"generator": "scales"},
    },
    "training": {"trajectories": 64},
    "training_seeds": [0, 1],
    "methods": ["handmade"],
}


def curve(**changed):
    return {"stopping": {"toy_t4": {"prices": [0, 0.25, 3], **changed}}}


def config(curves):
    return parse_config({**CONTENT, "curves": curves}, "toy.yaml")


def test_each_price_is_an_experiment_whose_policy_is_trained_at_it():
    made = config({**curve(training={"batch": 32}), "steps": {"toy_t4": {"steps": [2]}}})
    names = [f"toy_t4-price-{price}" for price in ("0", "0.25", "3")]
    runs = [(run.experiment, run.name) for run in stopping_runs(made)]
    assert runs == [(name, f"stopping_seed{seed}") for name in names for seed in (0, 1)]
    assert {*stopping_runs(made)} < {*runs_of(made)}
    base, derived = (made.every_experiment[name] for name in ("toy_t4", names[1]))
    training = base.training.model_copy(update={"price": 0.25, "batch": 32})
    assert (training.updates, training.trajectories) == (7, 64)
    assert derived == base.model_copy(update={"training": training, "released_policy": ""})
    # One rule measures all prices, and nothing else.
    assert evaluations(made)["_stopping"][0] == names
    # Beside them stand the same generator's other numbers of steps, if it works as theirs does.
    assert shown.fixed_beside(made, "toy_t4") == ["toy_t4-steps-2", "toy_t4", "toy_t8"]
    assert [row[:3] for row in shown.stopping(made)] == [
        ["toy_t4", name, price] for name, price in zip(names, (0, 0.25, 3), strict=True)
    ]
    assert shown.stopping(config({})) == []


@pytest.mark.parametrize(
    ("curves", "told"),
    [
        (curve(prices=[0.3, 0.1]), "prices': it must rise"),
        (curve(prices=[0.1, 0.10000001]), "prices': it must rise"),
        (curve(prices=[]), "prices"),
        (curve(prices=[-1]), "prices"),
        ({"stopping": {"toy": {"prices": [1]}}}, "curves.stopping"),
        ({"stopping": {"scales_t4": {"prices": [1]}}}, "VAR's image is the sum of all its scales"),
    ],
)
def test_mistakes_are_told(curves, told):
    assert told in complaint({**CONTENT, "curves": curves})
