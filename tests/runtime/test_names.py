"""Known names in errors: what was probably meant stands first."""

from adagen.runtime.names import listed, near, nearest_first

KNOWN = ("adagen", "handmade", "tuned", "tuned_class")


def test_names_that_resemble_stand_first_and_others_keep_their_order():
    assert nearest_first("tund", KNOWN) == ["tuned", "adagen", "handmade", "tuned_class"]
    assert nearest_first("handmad", KNOWN)[0] == "handmade"
    assert nearest_first("zzz", KNOWN) == nearest_first(None, KNOWN) == [*KNOWN]


def test_as_part_of_a_sentence():
    assert listed("handmad", KNOWN) == "handmade, adagen, tuned, tuned_class"
    assert listed("handmad", []) == "none"


def test_of_equally_near_names_those_that_begin_alike_are_first():
    assert near("var_d31", ["var_d16", "var_d30"]) == ["var_d30", "var_d16"]
    assert near("flow_t6", ["flow_t2", "flow_t4"]) == ["flow_t2", "flow_t4"]
