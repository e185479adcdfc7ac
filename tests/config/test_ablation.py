"""The ablation's section: from studies to experiments."""

from pathlib import Path

import pytest

from adagen.config import load_config, parse_config
from adagen.config.ablation import slug
from adagen.config.loading import read_config
from adagen.config.overlay import overlay
from adagen.config.runs import ablation_runs
from adagen.runtime.errors import AdagenError

DEFAULT = Path(__file__).parents[2] / "config" / "config.yaml"
BASE = "digits_maskgit_t4"
WITHOUT_CURVES = {**read_config([DEFAULT]), "curves": {}}
"""Curves derive experiments, too."""


def ablated(**section):
    """The default configuration with another section `ablation`, "base" standing for `BASE`."""
    content = {**WITHOUT_CURVES, "ablation": {"experiment": BASE, **section}}
    return parse_config(content, "F")


def test_variants_are_the_experiment_or_derived_from_it():
    config = ablated(
        training_seeds=[3, 4],
        studies={
            "clip": {"as it is": {}, "the same": {"training": {"clip": 0.2}}},
            "Élan, value": {"0.1": {"training": {"clip": 0.1}}},
            "schedule": {"static": {"method": "static"}, "hand-made": {"method": "handmade"}},
            "again": {"narrow": {"training": {"clip": 0.1}, "method": "static"}},
        },
    )
    assert [cell.name for cell in config.cells] == [
        BASE,
        BASE,
        f"{BASE}-elan-value-0.1",
        BASE,
        BASE,
        f"{BASE}-elan-value-0.1",
    ]
    names = [(run.experiment, run.name) for run in ablation_runs(config)]
    assert names == [
        *((BASE, f"adagen_seed{seed}") for seed in (3, 4)),
        *((f"{BASE}-elan-value-0.1", f"adagen_seed{seed}") for seed in (3, 4)),
        *((BASE, f"static_seed{seed}") for seed in (3, 4)),
        (BASE, "handmade"),
        *((f"{BASE}-elan-value-0.1", f"static_seed{seed}") for seed in (3, 4)),
    ]
    derived = config.every_experiment[f"{BASE}-elan-value-0.1"]
    base = config.experiments[BASE]
    # What the experiment says of itself stays.
    assert derived.training.validate_samples == base.training.validate_samples == 900
    assert derived.training == base.training.model_copy(update={"clip": 0.1})
    assert set(config.every_experiment) - set(config.experiments) == {f"{BASE}-elan-value-0.1"}
    # What the workflow hands to the stages is read back as the same.
    again = parse_config(config.model_dump(mode="json"), "F")
    assert again == config and again.cells == config.cells


def test_only_some_studies():
    studies = {"a": {"x": {"steps": 8}}, "b": {"y": {"smoothing": 0.5}}}
    config = ablated(only=["b"], studies=studies)
    assert [cell.study for cell in config.cells] == ["b"]
    assert set(config.every_experiment) - set(config.experiments) == {f"{BASE}-b-y"}


def test_without_a_section_there_are_no_variants():
    config = parse_config({**WITHOUT_CURVES, "ablation": None}, "F")
    assert config.cells == [] and config.every_experiment == config.experiments


def test_policy_has_two_places():
    content = overlay(
        read_config([DEFAULT]),
        {"policy": {"hidden": 32}, "experiments": {BASE: {"policy": {"input": "state"}}}},
    )
    config = parse_config(content, "F")
    assert config.experiments[BASE].policy.inputs == {"input": "state", "step": "seen"}
    assert {e.policy.hidden for e in config.experiments.values()} == {32}
    assert config.experiments["digits_sit_t4"].policy.input == "features"


def test_derived_experiments_leave_the_released_policy_behind():
    content = overlay(
        read_config([DEFAULT]), {"experiments": {BASE: {"released_policy": "policy_maskgit"}}}
    )
    studies = {"input": {"features": {}, "nothing": {"policy": {"input": "nothing"}}}}
    config = parse_config({**content, "ablation": {"experiment": BASE, "studies": studies}}, "F")
    assert [cell.experiment.released_policy for cell in config.cells] == ["policy_maskgit", ""]
    with pytest.raises(AdagenError, match="released policies see features and step"):
        parse_config(overlay(content, {"experiments": {BASE: {"policy": {"step": "hidden"}}}}), "F")


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"experiment": "x"}, "ablation.experiment is 'x', which is none of the exp"),
        ({"studies": {"a": {"b": {"training": {"clp": 1}}}}}, "studies.a.b.training.clp'. Did"),
        ({"studies": {"a": {"b": {"stps": 1}}}}, "'ablation.studies.a.b.stps'. Did you mean 'ste"),
        ({"studies": {"a": {"b": None}}}, "'ablation.studies.a.b' is None, but a section with"),
        ({"studies": {"a": {"b": {"method": "x"}}}}, "'ablation.studies.a.b.method' is 'x', but"),
        ({"studies": {"a": {}}}, "'ablation.studies.a'"),
        ({"studies": {"a": {"b": {"generator": "x"}}}}, "ablation.studies.a.b.generator is 'x'"),
        (
            {"studies": {"a": {"b": {"training": {"validate_samples": 9}}}}},
            "ablation.studies.a.b.training.validate_samples is 9, but",
        ),
        (
            {"studies": {"a": {"é": {"steps": 8}, "e": {"steps": 6}}}},
            f"ablation.studies.a.é becomes the experiment '{BASE}-a-e', but another",
        ),
        ({"studies": {"a": {"%": {}}}}, "name '%', which becomes part of a path"),
        ({"studies": {"a": {"b": {}}}, "only": ["c"]}, "only has 'c', which is none of the stud"),
        ({"studies": {"a": {"b": {}}}, "training_seeds": [0, 0]}, "0 stands twice"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_key(section, told):
    with pytest.raises(AdagenError) as caught:
        ablated(**({"studies": {"a": {"b": {}}}} | section))
    assert told in str(caught.value)


def test_names_are_safe_in_paths():
    assert slug("Fréchet distance") == "frechet-distance"
    assert slug("0.1") == "0.1" and slug("  A/b: c. ") == "a-b-c"


def test_the_default_trains_nothing_twice():
    config = load_config([DEFAULT])
    settings = [cell.experiment.model_dump_json() for cell in config.cells]
    assert len(set(settings)) == len({cell.name for cell in config.cells})
