"""Hand-made constants are those of the generator's family; any other is refused, not ignored."""

import pytest
from minimal import complaint, with_value

from adagen.config import Handmade, parse_config
from adagen.config.handmade import TAKEN

VARIANT = "ablation.studies.s.v.handmade"


def of_flow(handmade: dict[str, float]) -> dict[str, object]:
    """The minimal config with an experiment of a SiT."""
    return with_value("experiments.flow_t4", {"generator": "flow", "handmade": handmade})


def with_variant(variant: dict[str, object]) -> dict[str, object]:
    """The same, of a MaskGIT with constants of its own, of which there is a variant."""
    content = with_value("experiments.toy_t4.handmade", {"temperature": 2.0})
    studies = {"s": {"full": {}, "v": variant}}
    return {**content, "ablation": {"experiment": "toy_t4", "studies": studies}}


@pytest.mark.parametrize("value", [1.0, 2.0])  # the default is as meaningless as another value
def test_a_constant_of_another_family(value):
    message = complaint(of_flow({"guidance": 2.0, "temperature": value}))
    assert "experiments.flow_t4.handmade has 'temperature'" in message
    assert "paradigm 'sit', whose constants are guidance: take it out" in message


def test_constants_of_another_family_in_a_variant():
    assert f"{VARIANT} has 'top_p'" in complaint(with_variant({"handmade": {"top_p": 1.0}}))
    other = {"generator": "flow", "handmade": {"temperature": 2.5}}
    assert f"{VARIANT} has 'temperature'" in complaint(with_variant(other))


@pytest.mark.parametrize(
    "content", [of_flow({"guidance": 2.0}), with_variant({}), with_variant({"generator": "flow"})]
)
def test_what_is_stored_or_inherited_has_every_constant(content):
    config = parse_config(content, "toy.yaml")
    assert parse_config(config.model_dump(mode="json"), "stored.yaml") == config


def test_a_list_of_all_constants_hides_none():
    every = {**Handmade().model_dump(), "top_k": 0.5}
    assert "handmade has 'top_k'" in complaint(of_flow(every))


def test_every_constant_is_of_a_family():
    assert {key for keys in TAKEN.values() for key in keys} == {*Handmade.model_fields}
