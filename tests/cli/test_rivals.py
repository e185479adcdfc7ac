"""Rivals from a search to the table: commands as the workflow calls them, on a tiny run."""

from pathlib import Path

import pandas as pd
import yaml
from console import CONFIG
from safetensors import safe_open

RIVALS = {
    "methods": ["handmade", "tuned"],
    "rivals": {
        "2M": {"experiments": ["flow_t2"], "solver": "2m"},
        "APG": {
            "experiments": ["flow_t2"],
            "methods": ["tuned"],
            "tunes": ["guidance"],
            "guidance_rule": "apg",
        },
    },
}
SEARCH = (
    "sweep --generator flow.safetensors --networks metrics.safetensors --reference real.safetensors"
)
OWN, MULTISTEP, PROJECTED = "flow_t2", "flow_t2-rival-2m", "flow_t2-rival-apg"


def test_from_a_search_to_the_table(ready):
    Path("config.yaml").write_text(yaml.safe_dump({**CONFIG, **RIVALS}))
    for name in (OWN, PROJECTED):
        ready(f"{SEARCH} --experiment {name} --out {name}.safetensors --log {name}.csv")
    trials = pd.read_csv(f"{PROJECTED}.csv")
    assert [*trials.columns] == ["evaluation", "fid", "guidance_offset"] and len(trials) == 3
    with safe_open(f"{PROJECTED}.safetensors", "pt") as file:
        (table,) = [file.get_tensor(key) for key in file.keys() if key.endswith("table")]  # noqa: SIM118
    assert not table[:, 0].any()  # times stay

    metrics = []
    sampled = [(OWN, "handmade"), (OWN, "tuned"), (MULTISTEP, "handmade"), (PROJECTED, "tuned")]
    for name, method in sampled:
        policy = f"--policy {name}.safetensors" if method == "tuned" else ""
        folder = f"{name}/{method}"
        ready(
            f"sample --experiment {name} --method {method} --generator flow.safetensors "
            f"{policy} --out {folder}"
        )
        ready(
            "evaluate --networks metrics.safetensors --reference real.safetensors "
            f"--out-dir {name}/metrics {folder}"
        )
        metrics.append(f"{name}/metrics/{method}.json")
    ready(f"table rivals {' '.join(metrics)} --out rivals.csv --latex rivals.tex")
    found = pd.read_csv("rivals.csv", keep_default_na=False)
    assert [*zip(found["rival"], found["derived"], found["method"], strict=True)] == [
        ("", OWN, "handmade"),
        ("", OWN, "tuned"),
        ("2M", MULTISTEP, "handmade"),
        ("APG", PROJECTED, "tuned"),
    ]
    assert list(found["drawn_images"]) == ["", "120", "", "120"]
    ready("figure rivals rivals.csv --out rivals.pdf --png rivals.png")
    assert Path("rivals.png").stat().st_size > 1000

    # One of them is missing, or of other settings.
    message = ready.mistake(f"table rivals {' '.join(metrics[:-1])} --out t.csv --latex t.tex")
    assert f"no file holds the metrics of {PROJECTED}, tuned (rival 'APG')" in message
    other = {
        **RIVALS,
        "rivals": {**RIVALS["rivals"], "2M": {"experiments": [OWN], "solver": "adams3"}},
    }
    Path("config.yaml").write_text(yaml.safe_dump({**CONFIG, **other}))
    message = ready.mistake(f"table rivals {' '.join(metrics)} --out t.csv --latex t.tex")
    assert "handmade.json was made with" in message and "adams3" in message
