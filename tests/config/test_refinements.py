"""Refinements of a configuration: where they go, and which cannot be."""

import pytest
from minimal import complaint, with_value

from adagen.config import parse_config


def refining(name, settings, reward="gaussian", *paradigms):
    """A config with a refinement, for experiments of these paradigms."""
    content = with_value("refinements", {name: settings})
    content["training"] = {"reward": {"kind": reward}}
    own = {"maskgit": {"paradigm": "maskgit"}, "sit": {"paradigm": "sit"}}
    content["generators"] = {paradigm: own[paradigm] for paradigm in paradigms}
    content["experiments"] = {f"{p}_t4": {"generator": p, "steps": 4} for p in paradigms}
    return content


def test_refinements_go_to_the_experiments_that_allow_them():
    content = refining("best", {"kind": "repeated", "n": 2}, "gaussian", "maskgit", "sit")
    content["refinements"] |= {
        "ahead": {"kind": "lookahead"},
        "both": {"kind": "resampled", "k": 3, "choice": "softmax"},
    }
    config = parse_config(content, "toy.yaml")
    assert config.refinements_of("sit_t4") == ["best"]
    assert config.refinements_of("maskgit_t4") == ["best", "ahead", "both"]
    assert {name: (how.n, how.k) for name, how in config.refinements.items()} == {
        "best": (2, 1),
        "ahead": (1, 4),
        "both": (4, 3),
    }


@pytest.mark.parametrize(
    ("settings", "reward", "told"),
    [
        ({"kind": "lookahead"}, "gaussian", "the next state follows from the action"),
        ({"kind": "repeated", "k": 2}, "tokens", "refinements.mine.k is 2"),
        ({"kind": "resampled"}, "classifier", "kind 'classifier', which is no discriminator"),
        ({"kind": "resampled"}, "frechet", "experiments.sit_t4 is of kind 'frechet', which judges"),
        ({"kind": "repeated"}, "frechet", "says nothing of one by itself"),
        ({"kind": "repeated", "n": 1}, "gaussian", "refinements.mine"),
        ({"kind": "lookahead", "n": 2}, "gaussian", "unknown key"),
        ({"kind": "best"}, "gaussian", "refinements.mine"),
    ],
)
def test_refinements_that_cannot_be(settings, reward, told):
    message = complaint(refining("mine", settings, reward, "sit"))
    assert told in message and "\n" not in message


def test_looking_ahead_by_a_value_network_takes_one_that_learns():
    content = refining("ahead", {"kind": "lookahead"}, "gaussian", "maskgit")
    content["training"] = {"value_coefficient": 0}
    message = complaint(content)
    assert "refinements.ahead.k is 4" in message and "training.value_coefficient 0" in message
    content["refinements"]["ahead"]["judge"] = "gaussian"
    parse_config(content, "toy.yaml")


def test_the_classifier_may_choose_the_best_and_names_become_files():
    parse_config(refining("b", {"kind": "repeated"}, "classifier", "sit"), "toy.yaml")
    fitted = {"kind": "resampled", "judge": "gaussian"}
    parse_config(refining("b", fitted, "frechet", "sit"), "toy.yaml")
    message = complaint(refining("best.5", {"kind": "repeated"}, "gaussian", "sit"))
    assert "refinements has the name 'best.5'" in message
