"""YAML and JSON: plain data as it is written, of limited size and depth; anything else is told."""

import json
import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adagen.runtime.documents import dump_yaml, parse_json, parse_yaml, read_json, read_yaml
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import DEPTH, NODES, VALUES, YAML_BYTES


@pytest.mark.parametrize(
    ("written", "value"),
    [
        # The core schema of YAML 1.2.
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e-3", 0.001),
        ("5.", 5.0),
        (".5", 0.5),
        ("-1.5E+2", -150.0),
        ("-.inf", -float("inf")),
        # What YAML 1.1 reads as numbers, switches and dates.
        ("5:20", "5:20"),
        ("190:20:30.15", "190:20:30.15"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("yes", "yes"),
        ("Off", "Off"),
        ("2026-11-28", "2026-11-28"),
        # Text that looks like something else.
        ("'010'", "010"),
        ('"1e3"', "1e3"),
        ("!!str 010", "010"),
        ("!!int '7'", 7),
        ("1e3x", "1e3x"),
    ],
)
def test_a_scalar_is_read_as_it_is_written(written, value):
    assert parse_yaml(f"key: {written}") == {"key": value}
    assert parse_yaml(f"[{written or '~'}]") == [value]


@pytest.mark.parametrize("written", ["0500", "010", "08", "-007", "+00", "0777"])
def test_a_leading_zero_is_refused_with_both_ways_to_write_it(written):
    sign, digits = written[: written[0] in "+-"], str(int(written.lstrip("+-")))
    with pytest.raises(ValueError, match=re.escape(f"write {sign}{digits}, or ")) as error:
        parse_yaml(f"a: 1\nsamples: {written}")
    assert "line 2" in str(error.value) and repr(written) in str(error.value)


@given(st.from_regex(r"[-+]?[0-9_.:eExXoOb]{1,12}", fullmatch=True))
@settings(max_examples=100)
def test_a_spelling_of_a_number_is_its_value_or_text_or_refused(written):
    """What Python reads otherwise, in decimal, is text."""
    try:
        value = parse_yaml(f"[ {written} ]")[0]
    except ValueError:
        return
    if isinstance(value, dict):
        assert written.endswith(":")  # a key without a value
    elif isinstance(value, str):
        assert value == written
    elif written[:2] not in ("0o", "0x"):
        assert value == float(written)
        assert isinstance(value, int) == written.lstrip("+-").isdecimal()


data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.from_regex(r"[-+]?[0-9_.:eExo]{1,8}|yes|no|null|~|<<", fullmatch=True),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(data)
@example({"\x85": "\u2028 \U0001f600"})  # line breaks of YAML 1.1
@settings(max_examples=60)
def test_what_is_written_is_read_again(content):
    assert parse_yaml(dump_yaml(content)) == content
    assert parse_json(json.dumps(content)) == content


ALIASES = "a: &a {x: [1, 1, 1, 1]}\n" + "\n".join(
    f"{name}: &{name} {{x: [{', '.join([f'*{below}'] * 10)}]}}"
    for below, name in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "\n".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{below}'] * 10)}]}}"
    for below, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000, f"more than {DEPTH} lists"),
        ("a: " + "{b: " * 5000, f"more than {DEPTH} lists"),
        ("- " * 5000, f"more than {DEPTH} lists"),
        (ALIASES, f"more than {NODES:,} values"),
        (MERGES, f"more than {NODES:,} values"),
        ("[" + "1," * (NODES + 1) + "]", f"more than {NODES:,} values"),
        ("a: &a [*a]", "inside of what it refers to"),
        ("a: *b", "refers to nothing"),
        ("? [a, b]\n: 1", "keys are text"),
        ("? {a: b}\n: 1", "keys are text"),
        ("1: 2", "1 stands as a key"),
        ("null: 2", "None stands as a key"),
        ("a: 1\n'a': 2", "line 2: key 'a' stands twice"),
        ("a: 1\n--- \nb: 1", "a second document"),
        ("a: !!python/object/apply:os.mkdir [x]", "no plain data"),
        ("a: !!binary aGVsbG8=", "no plain data"),
        ("a: !!set {b}", "no plain data"),
        ("a: !!int x", "no plain data"),
        ("a: " + "9" * 5000, "more than 100 digits"),
        ("a: 1e999", "too large a number"),
        ("a: [", "line 2"),
        ("a: \x07", "control characters"),
        ("<<: 1", "`<<` takes"),
    ],
    ids=lambda text: text[:12],
)
def test_yaml_that_is_refused(text, told):
    begin = time.process_time()
    with pytest.raises(ValueError, match=".*".join(told.split("*"))) as error:
        parse_yaml(text)
    assert time.process_time() - begin < 1 and len(str(error.value)) < 300


def test_anchors_and_merges_still_work():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {y: 4, <<: [{z: 5}, *a]}\nd: *a"
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml("'<<': 1") == {"<<": 1}
    assert parse_yaml("\ufeffa: 1") == {"a": 1}


@pytest.mark.parametrize("text", ["", "# nothing", "---\n...\n"])
def test_an_empty_document(text):
    assert parse_yaml(text) is None


@given(st.integers(1, 200), st.sampled_from(["[", '{"a": ']))
@settings(max_examples=30)
def test_depth_is_counted_alike_in_both(depth, opening):
    closing = {"[": "]"}.get(opening, "}")
    text = opening * depth + "1" + closing * depth
    for parse in (parse_json, parse_yaml):
        if depth <= DEPTH:
            parse(text)
        else:
            with pytest.raises(ValueError, match=f"more than {DEPTH} "):
                parse(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000, f"more than {DEPTH} lists"),
        ('{"a":' * 100_000, f"more than {DEPTH} lists"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{"a": 1e400}', "too large"),
        ('{"a": ' + "9" * 5000 + "}", "digits"),
        ('{"a": 1, "a": 2}', "key 'a' stands twice"),
        ('{"a": "', "Unterminated"),
        ('"' + "\\" * 100_001, "Unterminated"),
        ("[" + '\\"' * 1_000_000, "Expecting value"),
        ("[" + "1," * VALUES + "1]", "more than 1,000,000 values"),
        ("", "Expecting value"),
        ("[1] 2", "Extra data"),
    ],
    ids=lambda text: text[:12],
)
def test_json_that_is_refused(tmp_path, text, told):
    path, begin = tmp_path / "some.json", time.process_time()
    path.write_text(text)
    with pytest.raises(AdagenError, match=told) as error:
        read_json(path)
    assert time.process_time() - begin < 1 and len(str(error.value)) < 400 + len(str(path))


def test_brackets_in_text_are_no_depth():
    assert parse_json(json.dumps({"a": '["\\' * 1000})) == {"a": '["\\' * 1000}


def test_a_missing_or_foreign_json_file(tmp_path):
    path = tmp_path / "out.json"
    with pytest.raises(AdagenError, match=r"out\.json does not exist\. Run the stage"):
        read_json(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(AdagenError, match=r"out\.json is not a whole JSON file"):
        read_json(path)


def test_a_yaml_file_has_a_size(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_text("# " + "x" * YAML_BYTES)
    with pytest.raises(AdagenError, match=r"large\.yaml has more than 4,194,304 bytes"):
        read_yaml(path)


def test_the_package_reads_documents_here_alone():
    """Other modules parse neither YAML nor JSON by themselves, nor CSV or npz."""
    root = Path(__file__).parents[2] / "adagen"
    parsers = ("yaml.load", "yaml.safe_load", "yaml.parse", "json.load", "pd.read_csv", "np.load(")
    found = set()
    for path in root.rglob("*.py"):
        # To and fro is no reading: values become what a file would give back.
        text = path.read_text().replace("json.loads(json.dumps(", "")
        if any(parser in text for parser in parsers):
            found.add(path.relative_to(root).as_posix())
    assert found <= {"runtime/documents.py", "paper/csv_files.py"}
