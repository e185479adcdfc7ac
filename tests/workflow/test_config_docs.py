"""config/README.md says what adagen.config says."""

import runpy
from pathlib import Path

from adagen.config import Config, load_config

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
SCRIPT = runpy.run_path(str(ROOT / "workflow" / "scripts" / "config_docs.py"))
Schema, page = SCRIPT["Schema"], SCRIPT["page"]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_committed_page_is_that_of_the_code() -> None:
    command = "python workflow/scripts/config_docs.py > config/README.md"
    assert (CONFIG / "README.md").read_text() == page(), f"run `{command}`"


def test_every_key_of_every_model_has_a_row() -> None:
    text = page()
    told = {row[0].strip("`").rpartition(".")[2] for row in rows(text)}
    models = Config.model_json_schema()["$defs"].values()
    assert {key for model in models for key in model["properties"]} <= told
    assert all(key in told or f"\n## `{key}" in text for key in Config.model_fields)


def test_files_of_the_folder_are_named() -> None:
    assert all(f"]({path.name})" in page() for path in CONFIG.glob("*.yaml"))


def test_row_has_range_default_and_meaning() -> None:
    schema = {
        "properties": {"part": {"$ref": "#/$defs/Part", "description": "It.", "default": {"n": 3}}},
        "required": [],
        "$defs": {
            "Part": {
                "description": "A part.",
                "properties": {
                    "n": {
                        "type": "integer",
                        "exclusiveMinimum": 0,
                        "multipleOf": 3,
                        "default": 6,
                        "description": "Two\nlines | of text.",
                    }
                },
            }
        },
    }
    *_, section = Schema(schema).sections()
    row = r"| `part.n` | integer > 0, multiple of 3 | `3` | Two lines \| of text. |"
    assert row in section


def test_a_mappings_own_defaults_stand_in_its_row() -> None:
    config = load_config([CONFIG / "config.yaml"])
    cells = {row[0]: row for row in rows(page())}
    seed = config.evaluation.networks.autoencoder.seed
    assert f"seed: {seed}" in cells["`evaluation.networks.autoencoder`"][2]
