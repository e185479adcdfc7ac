"""Schedules that are given as tables: read by name or as they stand, and sampled as hand-made."""

import pytest
import torch
from minimal import MINIMAL, complaint, with_value

from adagen.config import Experiment, Handmade, identity, parse_config
from adagen.config.schedules import check_coefficients, published_schedules
from adagen.generators.actions import maskgit_actions, solver_actions
from adagen.runtime.errors import AdagenError


def test_every_published_schedule_fits_its_generator():
    for name, entry in published_schedules().items():
        if "ratio" in entry.actions:
            actions = maskgit_actions(entry.steps, Handmade(), smoothing=0.8)
        else:
            actions = solver_actions(entry.steps, 0.99, last=0.01, handmade=Handmade(), smoothing=0)
        given = actions.given(entry.actions)
        for action, values in entry.actions.items():
            column = given.handmade[:, given.names.index(action)]
            assert column.tolist() == pytest.approx(values), name
        # A policy's zeros reproduce it, in spite of smoothing.
        z = None
        for call in range(given.calls):
            z = given.smooth(z, torch.zeros(1, len(given.names)), call=call)
            torch.testing.assert_close(given.squash(z)[0], given.handmade[call], atol=1e-4, rtol=0)


def test_every_published_solver_is_one_for_its_steps():
    found = {name: entry for name, entry in published_schedules().items() if entry.coefficients}
    assert found
    for name, entry in found.items():
        check_coefficients(entry.coefficients, solver="table", steps=entry.steps)
        Experiment(generator="flow", steps=entry.steps, solver="table", coefficients=name)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"solver": "table"}, "the solver 'table' needs some"),
        ({"coefficients": "dss_sit_t8"}, "no other has any"),
        ({"solver": "table", "coefficients": [[], [1]], "steps": 3}, "3 steps take 3 rows"),
        ({"solver": "table", "coefficients": "autonat_l_t8"}, "has no coefficients, but dss_sit"),
        ({"solver": "table", "coefficients": "dss"}, "'dss' is no entry"),
    ],
)
def test_coefficients_that_do_not_fit_are_refused(keys, told):
    with pytest.raises(ValueError, match=told):
        Experiment(generator="flow", **keys)


def test_a_schedule_is_named_or_written_out():
    by_name = Experiment(generator="tokens", steps=8, schedule="autonat_l_t8")
    assert by_name.schedule["guidance"][3] == 0.91513
    again = Experiment.model_validate_json(by_name.model_dump_json())
    assert again == by_name
    written = Experiment(generator="flow", steps=2, schedule={"guidance": [0, 1, 2]})
    actions = solver_actions(2, 0.01, last=0.99, handmade=Handmade(), smoothing=0)
    given = actions.given(written.schedule)
    assert given.handmade[:, 1].tolist() == [0, 1, 2]
    assert torch.equal(given.handmade[:, 0], actions.handmade[:, 0])  # times stay
    with pytest.raises(ValueError, match="'autonat' is no entry"):
        Experiment(generator="tokens", schedule="autonat")


@pytest.mark.parametrize("values", [{"speed": [1, 2, 3]}, {"time": [0.1, 0.9]}])
def test_a_table_that_does_not_fit_is_refused(values):
    actions = solver_actions(2, 0.01, last=0.99, handmade=Handmade(), smoothing=0)
    with pytest.raises(AdagenError, match="time, guidance, at 3 calls"):
        actions.given(values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"time": [0.1, 1.5, 0.9]}, r"has 1\.5 for 'time' at call 1, .* makes 0\.99\d* of it"),
        ({"time": [0.1, 0.5, float("nan")]}, "has nan for 'time' at call 2"),
        ({"guidance": [1, -2, 1]}, "has -2 for 'guidance' at call 1"),
    ],
)
def test_values_that_an_activation_does_not_reach_are_refused(values, told):
    actions = solver_actions(2, 0.01, last=0.99, handmade=Handmade(), smoothing=0)
    with pytest.raises(AdagenError, match=told):
        actions.given(values)
    assert actions.given({"time": [0, 0.5, 1], "guidance": [0, 5, 300]})


@pytest.mark.parametrize(
    ("experiment", "told"),
    [
        (
            {"generator": "flow", "schedule": {"time": [0, 0.5, 1, 1.1, 1]}},
            "1.1 for 'time' at call",
        ),
        ({"generator": "scales", "schedule": {"top_k": [9, 9, 65, 9]}}, "65 for 'top_k' at call 2"),
        ({"generator": "scales", "schedule": {"top_p": [2] * 4}}, "2 for 'top_p' at call 0"),
        ({"generator": "tokens", "schedule": {"ratio": [2] * 4}}, "2 for 'ratio' at call 0"),
        ({"generator": "flow", "schedule": {"guidence": [0] * 5}}, "the actions guidance, time"),
        ({"generator": "flow", "schedule": {"time": [0, -1, 0, 0, 0]}}, "schedule.time.1' is -1"),
        ({"generator": "flow", "schedule": {"time": [[0] * 5]}}, "schedule.time.0' is [0, 0"),
    ],
)
def test_values_out_of_range_are_told_by_action_and_call(experiment, told):
    content = {**MINIMAL, "experiments": {"a": experiment}, "methods": ["handmade"]}
    assert told in complaint(content)


def test_files_of_experiments_without_one_stay_valid():
    experiment = parse_config(MINIMAL, "test").experiments["toy_t4"]
    assert not {"schedule", "solver"} & {*identity.schedule(experiment)}
    guided = {"guidance": [1.0, 2.0, 3.0, 4.0]}
    given = parse_config(with_value("experiments.toy_t4.schedule", guided), "test")
    assert identity.schedule(given.experiments["toy_t4"])["schedule"] == guided


@pytest.mark.parametrize("values", [{"speed": [0, 1, 2]}, {"guidance": [0, 1]}])
def test_a_schedule_of_another_generator_is_told_before_anything_runs(values):
    experiments = {"toy_flow_t2": {"generator": "flow", "steps": 2, "schedule": values}}
    told = complaint({**MINIMAL, "experiments": experiments, "methods": ["handmade"]})
    assert "experiments.toy_flow_t2.schedule has" in told and "at 3 calls" in told


def test_ordered_times_are_of_solvers_and_of_schedules_in_order():
    times = {"generator": "flow", "steps": 2, "times": "ordered"}

    def told(experiment: dict[str, object]) -> str:
        return complaint(
            {**MINIMAL, "experiments": {"toy_flow_t2": experiment}, "methods": ["handmade"]}
        )

    rise, fall = [0.1, 0.5, 0.9], [0.9, 0.5, 0.1]
    neither = ([0.1, 0.5, 0.4], [0.5, 0.5, 0.4], [0.5, 0.500000001, 0.9], [0.9] * 3)
    ends = ([0.0, 0.5, 0.9], [0.9, 0.5, 0.0], [0.1, 0.5, 0.99999999])
    for generator, way, wrong in (
        ("flow", "rise from above 0 to below 1", fall),
        ("noise", "fall from below 1 to above 0", rise),
    ):
        for schedule in (wrong, *neither, *ends):
            said = told({**times, "generator": generator, "schedule": {"time": schedule}})
            assert "experiments.toy_flow_t2.times is 'ordered', but" in said
            assert f"the times {schedule}: give times that {way}, each another than" in said
    assert "experiments.toy_flow_t2.times is 'ordered', which only generators" in told(
        {**times, "generator": "tokens", "steps": 4}
    )
    with pytest.raises(ValueError, match="released policies choose each time for itself"):
        Experiment(**times, released_policy="theirs")
    fits = {**times, "schedule": {"time": rise}}
    config = parse_config({**MINIMAL, "experiments": {"a": fits}, "methods": ["handmade"]}, "test")
    assert identity.schedule(config.experiments["a"])["times"] == "ordered"
