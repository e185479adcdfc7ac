"""Generators of other packages, as far as the configuration and files: found, checked, bound."""

import importlib
import json
from types import ModuleType

import jsonschema
import pytest
import torch
import yaml
from grey import MODULE, Install, content

from adagen.config import Config, InstalledGenerator, load_config, paradigms, parse_config
from adagen.generators.installed import register_generator
from adagen.runtime.errors import AdagenError

OTHERS = "'gaussian_mixture', "
"""Installed, perhaps, by a reader of docs/generators.md."""


def module_of(install: Install) -> ModuleType:
    """The module of the package, imported."""
    install()
    return importlib.import_module("grey_images")


def refined(**refinement) -> dict:
    return content() | {"refinements": {"ahead": {"kind": "lookahead", **refinement}}}


def mistake(**section) -> str:
    with pytest.raises(AdagenError) as error:
        parse_config(content(**section), "t.yaml")
    return str(error.value)


def test_a_paradigm_that_nobody_brings_is_told_with_those_there_are(install):
    told = mistake()
    assert told.startswith("t.yaml: key 'generators.g.paradigm' is 'grey', but must be one of ")
    known, _, installed = told.partition("or one of an installed package")
    assert known.endswith("'maskgit', 'var', 'dit', 'sit', ")
    assert "pip install" in installed and "'grey'" not in installed
    install()
    assert "an installed package ('grey'" in mistake(paradigm="gray").replace(OTHERS, "")


@pytest.mark.parametrize("paradigm", [3, ["grey"], True])
def test_a_paradigm_is_a_name(install, paradigm):
    install()
    assert "'generators.g" in mistake(paradigm=paradigm)


def test_a_section_becomes_the_packages_settings(install):
    install()
    config = parse_config(content(shade=0.25, batch=7), "t")
    settings = config.generators["g"]
    assert type(settings).__module__ == "grey_images"
    assert (settings.shade, settings.batch, settings.weights) == (0.25, 7, None)
    assert settings.made_by == {"package": {"name": "grey-images", "version": "1.0"}}


def test_a_package_needs_no_keys_of_its_own(install):
    install(module=MODULE.replace("    settings = Settings\n", ""))
    assert "unknown key 'generators.g.shade'" in mistake(shade=1)
    assert type(parse_config(content(), "t").generators["g"]) is InstalledGenerator


def test_its_keys_are_checked_as_all_others_are(install):
    install()
    assert "unknown key 'generators.g.shades'. Did you mean 'shade'?" in mistake(shades=1)
    assert "key 'generators.g.shade' is 'dark', but" in mistake(shade="dark")
    assert "key 'generators.g.batch' is 0, but" in mistake(batch=0)


def test_written_and_read_again_it_is_the_same(install, tmp_path):
    """As the workflow hands it to its jobs."""
    install()
    config, path = parse_config(content(shade=0.25), "t"), tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    again = load_config([path])
    assert again == config and again.generators["g"].shade == 0.25


@pytest.mark.parametrize(
    ("section", "valid"),
    [
        ({"paradigm": "grey", "shade": 1}, True),
        ({"paradigm": "grey", "batch": 0}, False),
        ({"paradigm": "sit", "shade": 1}, False),
        ({"paradigm": "sit"}, True),
        ({}, False),
    ],
)
def test_the_schema_knows_no_key_of_a_package_but_all_others(section, valid):
    schema = {**Config.model_json_schema()["$defs"]}
    node = Config.model_json_schema()["properties"]["generators"]["additionalProperties"]
    validator = jsonschema.Draft202012Validator({"$defs": schema, **node})
    assert validator.is_valid(section) == valid


def test_a_package_has_a_hand_made_model_of_its_own(install, tmp_path):
    """Its constants, its defaults, our messages; in variants of the ablation too."""
    install()
    described, path = content(), tmp_path / "t.yaml"
    described["experiments"]["e"]["handmade"] = {"level": 0.25}
    described["ablation"] = {
        "experiment": "e",
        "studies": {"s": {"full": {}, "dark": {"handmade": {"level": 0.75}}}},
    }
    config = parse_config(described, "t")
    handmade = config.experiments["e"].handmade
    assert (handmade.level, handmade.guidance) == (0.25, 2.0)
    full, dark = config.cells
    assert full.experiment == config.experiments["e"]
    assert (dark.experiment.handmade.level, dark.experiment.handmade.guidance) == (0.75, 2.0)
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config([path]) == config
    assert parse_config(content(), "t").experiments["e"].handmade.level == 0.5


@pytest.mark.parametrize(
    ("handmade", "expected"),
    [
        ({"levels": 0.5}, "unknown key 'experiments.e.handmade.levels'. Did you mean 'level'?"),
        ({"level": 2}, "key 'experiments.e.handmade.level' is 2, but"),
        (3, "key 'experiments.e.handmade' is 3, but a section with keys is expected"),
    ],
)
def test_its_constants_are_checked_as_all_others_are(install, handmade, expected):
    install()
    described = content()
    described["experiments"]["e"]["handmade"] = handmade
    with pytest.raises(AdagenError) as error:
        parse_config(described, "t.yaml")
    assert expected in str(error.value)


def test_constants_of_a_package_are_unknown_to_a_built_in_generator(install):
    install()
    described = content(paradigm="sit")
    described["experiments"]["e"]["handmade"] = {"level": 0.5}
    with pytest.raises(AdagenError, match=r"unknown key 'experiments\.e\.handmade\.level'"):
        parse_config(described, "t.yaml")


def test_looking_ahead_is_refused_where_a_package_draws_nothing(install):
    install()
    with pytest.raises(AdagenError, match=r"refinements\.ahead\.k is 4, .* deterministic solver"):
        parse_config(refined(), "t")
    install(module=MODULE.replace("not_in_weights", "stochastic = True\n    not_in_weights"))
    assert parse_config(refined(), "t").refinements_of("e") == ["ahead"]


@pytest.fixture
def registering(monkeypatch):
    """Registrations of a test are forgotten after it."""
    monkeypatch.setattr(paradigms, "_IN_PYTHON", {})


def test_a_generator_registered_in_python_is_found_by_the_configuration(install, registering):
    grey = module_of(install)
    decorated = register_generator("night", version="3")(grey.Grey)
    assert decorated is grey.Grey
    assert register_generator("night", grey.Grey, version="4") is grey.Grey  # a cell run twice
    settings = parse_config(content(paradigm="night", shade=0.1), "t").generators["g"]
    assert type(settings) is grey.Settings
    assert settings.made_by == {"package": {"name": "registered in Python", "version": "4"}}
    assert "'night'" in mistake(paradigm="nigth")


def test_names_and_classes_that_cannot_be_registered_are_refused(install, registering):
    grey = module_of(install)
    for name, expected in {"sit": "built-in", "grey": "the package grey-images 1.0"}.items():
        with pytest.raises(AdagenError, match=f"'{name}' cannot be registered.*{expected}"):
            register_generator(name, grey.Grey)
    with pytest.raises(AdagenError, match=r"give a subclass of adagen\.InstalledBackbone"):
        register_generator("night", torch.nn.Linear)


@pytest.mark.parametrize("name", ["", "Foo Bar!", "3d", "Night", "a-b", 3, "night\n"])
def test_a_malformed_name_cannot_be_registered(registering, name):
    with pytest.raises(AdagenError, match=r"cannot be registered as .*: a name begins with"):
        register_generator(name)


def test_a_key_outside_the_weights_must_be_a_key(install):
    install(module=MODULE.replace('("order",)', '("odrer",)'))
    assert "'odrer' is not in the weights, but have no such key" in mistake()


def test_a_broken_package_is_named(install):
    install(module="import nothing_of_this_name")
    told = mistake()
    assert (
        "key 'generators.g': the package grey-images 1.0 registers 'grey' as grey_images:" in told
    )
    assert "ModuleNotFoundError: No module named 'nothing_of_this_name'" in told
    install(module="class Grey: pass")
    assert "has no settings: a subclass of adagen.generators.installed" in mistake()


def test_two_packages_of_one_paradigm_are_told_apart_by_nobody(install):
    install()
    install("other-greys", "2.0")
    told = mistake()
    assert "grey-images 1.0" in told and "other-greys 2.0" in told and "uninstall" in told


def test_names_of_built_in_paradigms_stay_theirs(install):
    folder = install()
    entries = folder / "grey_images-1.dist-info" / "entry_points.txt"
    entries.write_text("[adagen.generators]\nsit = grey_images:Grey\n")
    settings = parse_config(content(paradigm="sit"), "t").generators["g"]
    assert json.loads(settings.model_dump_json())["network"]["depth"] == 3
