"""Files of JSON and of tensors: what is read is what was written and asked for."""

import hashlib

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import (
    difference,
    load_bound,
    load_tensors,
    save_tensors,
    write_json,
)
from adagen.runtime.hashing import file_hash


def test_json_never_holds_nan(tmp_path):
    path = tmp_path / "out.json"
    write_json(path, {"a": [1, None, 0.1]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": [1, None, 0.1]}


def test_tensors_there_and_back(tmp_path):
    path = tmp_path / "out.safetensors"
    matrix = torch.arange(6.0).view(2, 3)
    tensors = {"a": matrix.T, "b": torch.tensor(3), "c": torch.nn.Parameter(matrix[:, 1])}
    about = {"kind": "toy", "nested": {"numbers": [1, 2.5, None]}}
    save_tensors(path, tensors, about=about)
    loaded, described = load_tensors(path, "toy")
    assert described == about
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[key], value) for key, value in tensors.items())
    assert file_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_equal_content_is_equal_bytes(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for _ in range(8):  # an order that is left to chance would differ in one of them
        for path, about in ((first, {"kind": "toy", "n": 1}), (second, {"n": 1, "kind": "toy"})):
            save_tensors(path, {"a": torch.ones(3), "b": torch.ones(2)}, about=about)
        assert first.read_bytes() == second.read_bytes()


def test_another_kind_is_refused(tmp_path):
    path = tmp_path / "out.safetensors"
    save_tensors(path, {"a": torch.ones(3)}, about={"kind": "policy"})
    with pytest.raises(AdagenError, match="holds a policy file where a generator file"):
        load_tensors(path, "generator")
    safetensors.torch.save_file({"a": torch.ones(3)}, path)
    with pytest.raises(AdagenError, match="holds a foreign file"):
        load_tensors(path, "generator")
    with pytest.raises(AdagenError, match=r"gone does not exist; expected a generator file"):
        load_tensors(tmp_path / "gone", "generator")


def test_a_file_made_for_something_else_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.ones(2)}, about={"kind": "policy", "settings": {"steps": 4}})
    expected = {"settings": {"steps": 4}}
    tensors, about = load_bound(path, "policy", expected=expected)
    assert tensors["x"].tolist() == [1, 1] and about["settings"] == {"steps": 4}
    with pytest.raises(AdagenError, match=r"settings\.steps is 4 there and 8 here\. .* `adagen tr"):
        load_bound(path, "policy", expected={"settings": {"steps": 8}})
    with pytest.raises(AdagenError, match=r"input is None there and 'features' here\. Train again"):
        load_bound(path, "policy", expected={"input": "features"}, remedy="Train again.")
    older = load_bound(path, "policy", expected={"input": 1}, defaults={"input": 1, "kind": "x"})
    assert older[1]["input"] == 1 and older[1]["kind"] == "policy"


def test_truncated_at_any_length(tmp_path):
    """To be deleted only where enough is left to tell that it is ours."""
    path = tmp_path / "out.safetensors"
    save_tensors(path, {"a": torch.ones(30)}, about={"kind": "toy"})
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 9, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        advice = "Move it away" if length >= 40 else "Check the path"
        with pytest.raises(AdagenError, match=rf"out\.safetensors cannot be read .* {advice}"):
            load_tensors(path, "toy")


@pytest.mark.parametrize("bit", range(0, 8 * len("sha256"), 5))
def test_damage_does_not_hide_the_checksum(tmp_path, bit):
    path = tmp_path / "out.safetensors"
    save_tensors(path, {"a": torch.ones(3)}, about={"kind": "toy", "networks_hash": "0" * 64})
    content = bytearray(path.read_bytes())
    content[content.index(b"sha256") + bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    with pytest.raises(AdagenError):
        load_tensors(path, "toy")


@given(st.binary(max_size=200))
def test_garbage_is_an_error_for_the_user(tmp_path_factory, garbage):
    path = tmp_path_factory.mktemp("garbage") / "out.safetensors"
    path.write_bytes(garbage)
    with pytest.raises(AdagenError):
        load_tensors(path, "toy")


def test_the_first_difference_in_words():
    here = {"a": 1, "b": {"c": [1, 2], "d": None}}
    assert difference(here, here) is None
    assert (
        difference({"a": 1, "b": {"c": [1], "d": None}}, here) == "b.c is [1] there and [1, 2] here"
    )
    assert difference({**here, "e": 3}, here) == "e is 3 there and None here"
    assert difference({"a": 1, "b": 2}, here).startswith("b is 2 there")
