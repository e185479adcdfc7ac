"""Ranges, names and paths: what no run could take is refused, in whatever way it is corrupted."""

import copy
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.config import Config, load_config, parse_config
from adagen.config.values import normal_path
from adagen.runtime.documents import dump_yaml, read_yaml
from adagen.runtime.errors import AdagenError

CONFIGS = Path(__file__).parents[2] / "config"
WHOLE = load_config([CONFIGS / "config.yaml"]).model_dump(mode="json")
SMALL = {
    "name": "toy",
    "results": "results",
    "resources": "resources",
    "assets": {},
    "generators": {"flow": {"paradigm": "sit"}},
    "experiments": {"toy_t4": {"generator": "flow"}},
    "refinements": {"best": {"kind": "repeated", "judge": "gaussian"}},
}


def changed(key: str, value: object) -> dict[str, object]:
    """The default configuration, whole, with one key changed; or a small one, where it has it."""
    content = copy.deepcopy(SMALL if key in ("results", "resources", "assets.folder") else WHOLE)
    *sections, last = key.split(".")
    inner = content
    for section in sections:
        inner = inner[section]
    inner[last] = value
    return content


def complaint(key: str, value: object) -> str:
    begin = time.process_time()
    with pytest.raises(AdagenError) as caught:
        parse_config(changed(key, value), "c.yaml")
    message = str(caught.value)
    assert time.process_time() - begin < 1
    assert "\n" not in message and len(message) < 750
    return message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataset.split_seed", -5),
        ("dataset.split_seed", 2**32),
        ("generators.maskgit.tokeniser.seed", -1),
        ("generators.sit.pretrain.seed", -1),
        ("sweep.seed", -1),
        ("training_seeds", [-1]),
        ("evaluation.seeds", [0, -1]),
        ("evaluation.seeds", [10**30]),
        ("evaluation.samples", 10**15),
        ("sweep.evaluations", 10**9),
        ("training.trajectories", 8 * 10**12),
        ("generators.maskgit.tokeniser.vocabulary", 10**6),
        ("generators.sit.network.width", 400_000),
        ("generators.sit.network.depth", 10**6),
        ("generators.sit.network", {"width": 16_384, "depth": 1000}),
        ("policy.hidden", 10**6),
        ("evaluation.networks.width", 80_000),
        ("experiments.digits_dit_t4.handmade.guidance", 1e308),
        ("experiments.digits_dit_t4.handmade.guidance", -1),
        ("experiments.digits_dit_t4.handmade.guidance", float("inf")),
        ("experiments.digits_dit_t4.handmade.guidance", 10**400),
        ("experiments.digits_var_t4.handmade.temperature", 0),
        ("experiments.digits_var_t4.handmade.temperature", 1e-300),
        ("experiments.digits_var_t4.handmade.temperature", float("nan")),
        ("training.learning_rate", 1e300),
        ("training.sigma", [1e300, 1]),
        ("training.sigma", [0.5, 1e-300]),
        ("training.reward.bound", 1e-320),
        ("experiments.digits_dit_t4.steps", 10**6),
        ("processes", 10**6),
        ("refinements.best4.n", 10**6),
        ("curves.guidance.scales", [0, 1e308]),
        # Nothing stands twice.
        ("methods", ["adagen", "adagen"]),
        ("training_seeds", [3, 3]),
        ("curves.steps.digits_sit_t4.methods", ["handmade", "handmade"]),
        ("curves.guidance.experiments", ["digits_sit_t4", "digits_sit_t4"]),
        ("refinements.best4.experiments", ["digits_sit_t4", "digits_sit_t4"]),
        ("ablation.training_seeds", [0, 0]),
        # No truth value is a number.
        ("training_seeds", [True]),
        ("dataset.split_seed", False),
        # Text that nothing can show.
        ("generators.sit.title", "a\0b"),
        ("generators.sit.title", "\ud800"),
        ("generators.sit.title", "x" * 10**6),
    ],
)  # fmt: skip
def test_values_out_of_range(key, value):
    named = key.rpartition(".")[2]
    assert named in complaint(key, value)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("experiments.digits_maskgit_t4.steps", 64, "makes an image of 16 tokens"),
        ("curves.steps.digits_maskgit_t4.steps", [2, 64], "makes an image of 16 tokens"),
        ("generators.maskgit.tokeniser.patch", 3, "does not divide images (or latents) of 8x8"),
        ("generators.maskgit.tokeniser.vocabulary", 100_000, "have 22992 patches"),
        ("generators.sit.patch", 16, "generators.sit.patch is 16, which does not divide"),
        ("generators.var.scales", [1, 2, 3, 4], "generators.var.scales ends with 4"),
        ("generators.var.scales", [1, 2, 8, 16], "generators.var.scales ends with 16"),
        ("generators.var.tokeniser.multipliers", [1] * 5, "which reduce images by 16"),
        ("reward_features.patch", 5, "reward_features.patch is 5, which does not divide"),
        ("dataset.heldout", 1000, "between 10 (one a class) and 898 (half)"),
        ("dataset.heldout", 5, "dataset.heldout is 5"),
        ("evaluation.neighbours", 360, "evaluation.neighbours is 360, but dataset.heldout is 360"),
    ],
)
def test_sizes_that_contradict_each_other(key, value, told):
    assert told in complaint(key, value)


NAMES = [
    "", ".", "..", "a/b", "/", "../x", "-x", "--list", ".hidden", "a b", "a\nb", "a\0", "{x}",
    "a{wildcards.y}", "a'b", 'a"b', "a;b", "x; touch evil #", "$(touch evil)", "`id`", "a|b", "a>b",
    "a*", "~", "$HOME", "é", "a\\b", "a:b", "a.", "x" * 101, "a\u2028b",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=repr)
@pytest.mark.parametrize("section", ["experiments", "generators", "refinements", "assets", "name"])
def test_names_that_reach_programs(section, name):
    content = copy.deepcopy(SMALL)
    if section == "name":
        content["name"] = name
    elif section == "assets":
        asset = {"file": "x", "url": "https://x", "licence": "MIT", "description": "x"}
        content["assets"] = {"catalogue": {name: asset}}
    else:
        content[section][name] = next(iter(content[section].values()))
    with pytest.raises(AdagenError, match=r"has the name|name is|it is") as caught:
        parse_config(content, "c.yaml")
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400


@pytest.mark.parametrize("name", ["tables", "figures", "generators"])
def test_names_of_folders_of_results(name):
    content = {**copy.deepcopy(WHOLE), "results": "same", "resources": "./same/"}
    content["experiments"][name] = next(iter(content["experiments"].values()))
    with pytest.raises(AdagenError, match=f"experiments has the name '{name}'"):
        parse_config(content, "c.yaml")


@pytest.mark.parametrize("key", ["results", "resources", "assets.folder"])
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("out/x/", "out/x"),
        ("./out/x", "out/x"),
        (".//out/.//x//", "out/x"),
        ("../out", "../out"),
        ("/scratch//out/", "/scratch/out"),
        ("~/out", "/home/u/out"),
        ("$DATA/out", "/data/out"),
        ("${DATA}/out/", "/data/out"),
        ("a b/ü", "a b/ü"),
        ('Bob\'s "x" $(id); [1] *', 'Bob\'s "x" $(id); [1] *'),
    ],
)
def test_folders_are_normalised(key, written, read, monkeypatch):
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setenv("DATA", "/data")
    config = parse_config(changed(key, written), "c.yaml")
    found = config.assets.folder if key == "assets.folder" else getattr(config, key)
    assert found == read


@pytest.mark.parametrize("key", ["results", "resources", "assets.folder"])
@pytest.mark.parametrize(
    "written",
    ["", " ", "/", "//", ".", "./", "..", "../..", "~", "~nobody_at_all/x", "$NO_SUCH_VARIABLE/x",
     "a/../b", "a/..", "/..", "a{x}", "{results}", "<results>", "a\nb", "a\0b", "a\u2028b", "-a",
     "./~", "./~nobody", "${NO_SUCH_VARIABLE}", "x" * 1001],
    ids=repr,
)  # fmt: skip
def test_folders_that_programs_would_choke_on(key, written):
    message = complaint(key, written)
    assert f"key '{key}': it is " in message or "has a control character" in message


@pytest.mark.parametrize("key", ["folder", "heldout_folder"])
def test_folders_of_images_have_any_name_and_are_normalised(key, monkeypatch):
    monkeypatch.setenv("HOME", "/home/u")
    content = copy.deepcopy(WHOLE)
    content["dataset"] |= {"name": "mine", "folder": "x", key: "~/Bob's {photos} [1]/"}
    dataset = parse_config(content, "c.yaml").dataset
    assert getattr(dataset, key) == "/home/u/Bob's {photos} [1]"
    content["dataset"][key] = "."
    assert getattr(parse_config(content, "c.yaml").dataset, key) == "."
    for bad in ("a\nb", "$NO_SUCH_VARIABLE"):
        content["dataset"][key] = bad
        with pytest.raises(AdagenError, match=f"key 'dataset.{key}': it is "):
            parse_config(content, "c.yaml")


@given(st.text("ab./~", min_size=1, max_size=10))
@settings(max_examples=50)
def test_a_normal_path_is_the_same_place_and_stays_as_it_is(path):
    try:
        normal = normal_path(path)
    except ValueError:
        return
    assert normal == normal_path(normal)
    if ".." not in normal.split("/"):
        assert normal == os.path.normpath(os.path.expanduser(path)).replace("//", "/")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 70)
    | st.sampled_from([2**31, 10**18, -(10**18), 10**400])
    | st.floats()
    | st.sampled_from(
        ["", "adagen", "digits_sit_t4", "null", "0", "1e3", "gaussian", "../x", "{a}"]
    )
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "steps", "experiments", "a", "b c", "seed"]), inner
        )
    ),
    max_leaves=4,
)


def paths_of(tree: object, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    entries = enumerate(tree) if isinstance(tree, list) else getattr(tree, "items", tuple)()
    return [
        path for key, inner in entries for path in [(*above, key), *paths_of(inner, (*above, key))]
    ]


WRITTEN = {path.name: read_yaml(path) for path in sorted(CONFIGS.glob("[cis]*.yaml"))}
PLACES = [(name, path) for name, content in WRITTEN.items() for path in paths_of(content)]


@given(st.lists(st.tuples(st.sampled_from(PLACES), values), min_size=1, max_size=2), st.data())
@settings(max_examples=50)
def test_a_corrupted_config_is_valid_or_one_paragraph(changes, data):
    """Whatever stands anywhere in a file of ours, in place of what stood there, or beside it."""
    name = changes[0][0][0]
    content = copy.deepcopy(WRITTEN[name])
    for (_, path), value in changes:
        inner = content
        for step in path[:-1]:
            inner = inner.get(step) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            kind = data.draw(st.sampled_from(["change", "delete", "add"]))
            if kind == "delete":
                inner.pop(path[-1], None)
            else:
                inner[path[-1] if kind == "change" else "kind"] = value
    if content.get("extends"):
        content = {**content, "extends": ""}
    begin = time.process_time()
    try:
        found = parse_config(content, "c.yaml")
    except AdagenError as error:
        assert "\n" not in str(error) and len(str(error)) < 900
    else:
        again = parse_config(found.model_dump(mode="json"), "c.yaml")
        assert isinstance(again, Config) and again == found
    assert time.process_time() - begin < 2


@given(st.binary(max_size=8), st.integers(0, 5000), st.integers(0, 20))
@settings(max_examples=30)
def test_a_file_with_bytes_changed_is_valid_or_one_paragraph(tmp_path_factory, new, start, lost):
    path = tmp_path_factory.getbasetemp() / "corrupted.yaml"
    written = (CONFIGS / "config.yaml").read_bytes()
    path.write_bytes(written[:start] + new + written[start + lost :])
    try:
        load_config([path])
    except AdagenError as error:
        assert "\n" not in str(error) and str(path) in str(error)


def test_a_config_that_is_stored_is_read_as_the_same():
    assert read_back(WHOLE) == WHOLE


def read_back(content: object) -> object:
    from adagen.runtime.documents import parse_yaml

    return parse_yaml(dump_yaml(content))


@pytest.mark.parametrize("written", ["[a.yaml]", "3", "null", '""', "$NO_SUCH_VARIABLE/a.yaml"])
def test_what_a_file_extends_is_a_path(tmp_path, written):
    path = tmp_path / "c.yaml"
    path.write_text(f"extends: {written}")
    with pytest.raises(AdagenError, match=r"c\.yaml: key 'extends': it is .*one config file"):
        load_config([path])


def test_a_path_that_is_extended_may_have_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("HERE", str(CONFIGS))
    path = tmp_path / "c.yaml"
    path.write_text("extends: $HERE/./smoke.yaml\nname: mine")
    assert load_config([path]).name == "mine"


def test_a_long_chain_of_files(tmp_path):
    for i in range(40):
        (tmp_path / f"{i}.yaml").write_text(f"extends: {i + 1}.yaml")
    with pytest.raises(AdagenError, match="extends a file that extends another, 20 times"):
        load_config([tmp_path / "0.yaml"])


@pytest.mark.parametrize("name", ["a\nb", "a\0b", "x" * 101, "a\u2028b"])
def test_names_that_tables_print(name):
    content = copy.deepcopy(WHOLE)
    content["ablation"]["studies"]["schedule"][name] = {"method": "handmade"}
    with pytest.raises(AdagenError, match=r"studies has the name .*, which tables print"):
        parse_config(content, "c.yaml")


def test_names_that_are_put_together_are_short_enough_for_a_folder():
    content = copy.deepcopy(WHOLE)
    content["ablation"]["only"] = []
    content["ablation"]["studies"] = {"y" * 100: {"z" * 99: {"training": {"clip": 0.1}}}}
    with pytest.raises(AdagenError, match="but 200 are the most: use shorter names"):
        parse_config(content, "c.yaml")


@pytest.mark.parametrize("key", ["reward_features.kind", "device", "results"])
def test_a_long_value_makes_no_long_message(key):
    assert len(complaint(key, "x" * 9000)) < 750


def test_sections_inside_one_another_without_end():
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(AdagenError):
        parse_config({**WHOLE, "experiments": {"x": deep}}, "c.yaml")


@pytest.mark.parametrize("key", [{"size": 16}, {"heldout_folder": "elsewhere"}])
def test_the_digits_take_no_key_of_a_folder(key):
    """It would be ignored, and nothing would be said."""
    with pytest.raises(AdagenError, match=f"{next(iter(key))} is of a data set in a folder"):
        parse_config({"name": "t", "results": "r", "resources": "q", "dataset": key}, "test")


@pytest.mark.parametrize(
    "key, words",
    [
        ({"size": 0}, "size is 0, but openmoji is drawn in 16 to 128 pixels"),
        ({"size": 256}, "is drawn in 16 to 128 pixels"),
        (
            {"folder": "elsewhere"},
            "digits, openmoji, openmoji_things, openmoji_scenes take no folder",
        ),
        ({"heldout_folder": "elsewhere"}, "heldout_folder is of a data set in a folder"),
    ],
)
def test_the_keys_of_openmoji(key, words):
    dataset = {"name": "openmoji", "size": 32, **key}
    with pytest.raises(AdagenError, match=words):
        parse_config({"name": "t", "results": "r", "resources": "q", "dataset": dataset}, "test")


@pytest.mark.parametrize("title", ["two\nlines", "x" * 101])
def test_a_title_is_one_short_line(title):
    generators = {"sit": {"paradigm": "sit", "title": title}}
    experiments = {"e": {"generator": "sit", "steps": 4}}
    content = {"name": "t", "results": "r", "resources": "q", "generators": generators}
    content["experiments"] = experiments
    with pytest.raises(AdagenError, match=r"generators\.sit\S*title"):
        parse_config(content, "test")
