"""The catalogue, and which experiments need what of it."""

from pathlib import Path

import pytest
import yaml

from adagen.config import Asset, Assets, Config, load_config, parse_config
from adagen.data import released as assets
from adagen.runtime.errors import AdagenError

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
GENERATORS = (
    *("maskgit_l", "maskgit_l_512", "vqgan_jax_strongaug", "maskgit_s_coco", "nat_cc3m"),
    *("dit_xl_2_256", "sit_xl_2_256", "autoencoder_kl"),
    *("var_d16", "var_d30", "var_vqvae"),
)
POLICIES = (
    *("policy_maskgit", "policy_dit", "policy_sit", "policy_var_d16", "policy_var_d30"),
    "policy_nat_cc3m",
)
MEASURING = (
    *("inception", "dino_vits16", "clip_vit_b_32"),
    *("clip_vit_l_14_openai", "clip_vit_bigg_14", "aesthetic_head"),
    *("fid_stats_imagenet256", "fid_stats_imagenet512", "fid_stats_cc3m_val"),
    *("adm_imagenet256", "adm_imagenet512"),
)
IMAGES = (
    *("coco_train2014", "coco_val2014", "coco_annotations2014", "cc3m_val_captions"),
    *("imagenet_train", "imagenet_val"),
)
NAMES = [*GENERATORS, *POLICIES, *MEASURING, *IMAGES]


def test_the_catalogue_has_every_published_file_once():
    known = assets.catalogue(Assets())
    assert list(known) == NAMES
    # A second entry of the same key would silently replace the first.
    text = (ROOT / "adagen" / "data" / "assets.yaml").read_text()
    assert len([line for line in text.splitlines() if line[:1].isalpha()]) == len(known)


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_says_where_and_under_which_terms(name):
    asset = assets.catalogue(Assets())[name]
    assert asset.licence and asset.description
    for address in (asset.url, *asset.mirrors):
        known = len(asset.sha256) == 64  # whoever sends it
        safe = address.startswith("https://") or (known and address.startswith("http://"))
        assert safe or (address == "" and asset.manual)
    # What stands in a message has to be one paragraph.
    assert "\n" not in asset.manual + asset.description + asset.licence
    assert len(asset.sha256) in (0, 64)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_what_config_files_refer_to_exists(path):
    config = load_config([path])
    for name, experiments in assets.needed(config).items():
        assert assets.asset_path(config.assets, name).parent == Path(config.assets.folder)
        assert set(experiments) <= set(config.experiments)


def test_a_config_adds_and_replaces_entries():
    own = {"file": "own.pth", "url": "https://x", "licence": "ours", "description": "Ours."}
    settings = Assets(folder="a", catalogue={"var_d16": Asset(**own)})
    assert assets.asset_path(settings, "var_d16") == Path("a/own.pth")
    assert assets.asset_path(settings, "var_d30") == Path("a/var_d30.pth")
    assert assets.asset_path(Assets(), "var_d16").name == "var_d16.pth"


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(AdagenError, match=r"'var_d31'.* Did you mean 'var_d30'"):
        assets.asset_path(Assets(), "var_d31")
    with pytest.raises(AdagenError, match="Known: maskgit_l, "):
        assets.asset_path(Assets(), "qqqqq")


def test_two_names_for_one_file_are_refused():
    own = {"file": "var_d16.pth", "url": "https://x", "licence": "ours", "description": "Ours."}
    with pytest.raises(AdagenError, match=r"var_d16 and mine are both kept as var_d16\.pth"):
        assets.asset_path(Assets(catalogue={"mine": Asset(**own)}), "mine")


# What a config needs


def config(**changes: object) -> Config:
    """Two experiments on released weights, and one on a generator that is fitted."""
    weights = {"network": "sit_xl_2_256", "decoder": "autoencoder_kl"}
    return parse_config(
        {
            "name": "x",
            "results": "results",
            "resources": "resources",
            "generators": {
                "xl": {"paradigm": "sit", "weights": weights, "latent": {}},
                "own": {"paradigm": "sit"},
                "unused": {"paradigm": "dit", "weights": weights, "latent": {}},
            },
            "experiments": {
                "xl_t8": {"generator": "xl", "steps": 8, "released_policy": "policy_sit"},
                "xl_t16": {"generator": "xl", "steps": 16},
                "own_t4": {"generator": "own", "steps": 4},
            },
            **changes,
        },
        "test",
    )


SAMPLES = {
    "sweep": {"samples": 3000},
    "training": {"validate_samples": 3000},
}
XL = {"sit_xl_2_256": ["xl_t8", "xl_t16"], "autoencoder_kl": ["xl_t8", "xl_t16"]}
ALL = ["xl_t8", "xl_t16", "own_t4"]


def test_the_digits_need_nothing():
    assert assets.needed(load_config([ROOT / "config" / "config.yaml"])) == {}


def test_released_weights():
    assert assets.needed(config()) == XL


def test_released_policies_are_needed_by_their_method():
    assert assets.needed(config(methods=["handmade", "released"])) == {
        **XL,
        "policy_sit": ["xl_t8"],
    }


@pytest.mark.parametrize(
    ("evaluation", "more"),
    [
        ({"protocol": "clean"}, ["inception"]),
        ({"protocol": "authors"}, ["inception"]),
        (
            {"protocol": "authors", "reference": "fid_stats_imagenet256"},
            ["inception", "fid_stats_imagenet256"],
        ),
        ({"protocol": "adm", "reference": "adm_imagenet256"}, ["inception", "adm_imagenet256"]),
        (
            {"protocol": "authors", "inception": {"weights": "var_d16"}},
            ["var_d16"],
        ),
    ],
)
def test_the_protocol_decides_on_measuring_files(evaluation, more):
    users = assets.needed(config(evaluation=evaluation, **SAMPLES))
    assert users == {**XL, **dict.fromkeys(more, ALL)}


@pytest.mark.parametrize(
    ("methods", "there"),
    [(["handmade", "tuned", "released"], False), (["static"], True), (["adagen"], True)],
)
def test_dino_is_needed_to_learn(methods, there):
    training = {"reward": {"kind": "tokens"}}
    features = {"kind": "dino"}
    users = assets.needed(config(reward_features=features, methods=methods, training=training))
    assert users.get("dino_vits16") == (ALL if there else None)


@pytest.mark.parametrize("dial", [None, {}])
def test_clip_is_needed_to_learn_what_it_pays(dial):
    users = assets.needed(config(preference={"kind": "clip"}, dial=dial))
    assert users.get("clip_vit_b_32") == (None if dial is None else ALL)
    assert "clip_vit_b_32" not in assets.needed(config(dial=dial))
    training = {"reward": {"kind": "classifier"}}
    alone = assets.needed(config(preference={"kind": "clip"}, training=training))
    assert alone["clip_vit_b_32"] == ALL


def test_the_catalogue_is_package_data():
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "*.yaml" in settings["tool"]["setuptools"]["package-data"]["adagen.data"]
    assert isinstance(yaml.safe_load((ROOT / "adagen" / "data" / "assets.yaml").read_text()), dict)
