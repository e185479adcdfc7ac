"""Configurations in files: what extends another, what is laid over another, what is no YAML."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from minimal import MINIMAL, with_value

from adagen.config import load_config
from adagen.config.loading import read_config
from adagen.config.overlay import overlay
from adagen.runtime.errors import AdagenError


def test_a_file_may_extend_another(tmp_path):
    """Relative to its own folder, and whatever it is laid over itself."""
    (tmp_path / "sub").mkdir()
    base, middle, top = tmp_path / "base.yaml", tmp_path / "sub" / "a.yaml", tmp_path / "b.yaml"
    base.write_text(yaml.safe_dump(with_value("training", {"updates": 7, "epochs": 2})))
    middle.write_text("extends: ../base.yaml\ntraining: {updates: 9}")
    top.write_text("extends: sub/a.yaml\ntraining: {clip: 0.1}")
    training = load_config([top]).training
    assert (training.updates, training.epochs, training.clip) == (9, 2, 0.1)


def test_a_file_cannot_extend_itself(tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("extends: two.yaml")
    two.write_text("extends: one.yaml")
    with pytest.raises(AdagenError, match=r"one\.yaml extends itself, by way of .*two\.yaml"):
        load_config([one])
    one.write_text("extends: gone.yaml")
    with pytest.raises(AdagenError, match=r"gone\.yaml does not exist"):
        load_config([one])


def test_later_files_are_laid_over_earlier_ones(tmp_path):
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text(yaml.safe_dump(with_value("training", {"updates": 7, "epochs": 2})))
    above.write_text("training: {updates: 9}\nexperiments: {more_t8: {generator: flow, steps: 8}}")
    config = load_config([below, above])
    assert (config.training.updates, config.training.epochs) == (9, 2)
    assert list(config.experiments) == ["toy_t4", "more_t8"]
    assert config.experiments["more_t8"].training.updates == 9


def test_an_error_names_every_file_it_may_stand_in(tmp_path):
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text(yaml.safe_dump(MINIMAL))
    above.write_text("experiments: {toy_t4: {smoothin: 0.8}}")
    told = r"below\.yaml \+ .*above\.yaml: unknown key .*'smoothing'"
    with pytest.raises(AdagenError, match=told):
        load_config([below, above])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [unclosed", "cannot be read as YAML"),
        ("a: 1\n b: 2", "cannot be read as YAML"),
        ("name: a\nname: b", "key 'name' stands twice"),
        ("sweep: {seed: 1, seed: 2}", "key 'seed' stands twice"),
        ("- a\n- list", "`key: value`"),
        ("just words", "`key: value`"),
        ("", "key 'name' is missing"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
    ],
)
def test_files_that_are_no_config(tmp_path, text, told):
    path = tmp_path / "bad.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AdagenError) as caught:
        load_config([path])
    message = str(caught.value)
    assert told in message and str(path) in message and "\n" not in message


def test_a_missing_file_or_a_folder(tmp_path):
    with pytest.raises(AdagenError, match=r"gone\.yaml does not exist: give a config file"):
        load_config([tmp_path / "gone.yaml"])
    with pytest.raises(AdagenError, match="is a folder, but a file is expected"):
        load_config([tmp_path])


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "config").glob("*.yaml")))
def test_configs_of_the_repository_are_valid(path):
    load_config([path])


trees = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8
)


def leaves(tree, path=()):
    if not isinstance(tree, dict):
        return {path: tree}
    return {p: leaf for k, inner in tree.items() for p, leaf in leaves(inner, (*path, k)).items()}


@given(trees, trees)
def test_an_overlay_says_what_it_says_and_leaves_the_rest(below, above):
    both = leaves(overlay(below, above))
    assert leaves(above).items() <= both.items()
    assert overlay(overlay(below, above), above) == overlay(below, above)
    if isinstance(below, dict) and isinstance(above, dict):
        untouched = {path: v for path, v in leaves(below).items() if path[0] not in above}
        assert untouched.items() <= both.items()
        assert overlay(below, {}) == below


def test_what_several_files_extend_is_laid_once_below_the_first(tmp_path):
    """Or the settings of the shared file would hide those of the first that extends it."""
    for name, text in {
        "base": "{name: base, results: r0, sweep: {samples: 1, evaluations: 2}}",
        "run": "{extends: base.yaml, results: r1, sweep: {samples: 3}}",
        "cluster": "{extends: ./base.yaml, device: cpu, sweep: {evaluations: 4}}",
        "bare": "{device: cuda}",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(text)

    def merged(*names: str) -> dict:
        return read_config([tmp_path / f"{name}.yaml" for name in names])

    sweep = {"samples": 3, "evaluations": 4}
    both = {"name": "base", "results": "r1", "sweep": sweep, "device": "cpu"}
    assert merged("run", "cluster") == merged("cluster", "run") == both
    assert merged("run", "bare") == {**merged("run"), "device": "cuda"}
    # A file that is given itself is laid where it stands.
    assert merged("run", "base") == {**merged("base"), "results": "r0"}
