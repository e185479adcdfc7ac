"""No number is shown by a configuration that would make another: settings, inputs, damage."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from damage import cut, flip
from every_key import EVERY_SECTION, RELEASED, Key, changed
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.config import Config, parse_config
from adagen.config.bindings import of_judgement, of_metrics, of_policy
from adagen.config.identity import CHANGES_NO_RESULT
from adagen.config.overlay import overlay
from adagen.config.runs import Run
from adagen.paper.bound import (
    bind_table,
    make_figure,
    make_table,
    require_judged,
    require_metrics,
    require_shown,
    require_table,
)
from adagen.paper.catalogue import TABLES, settings_beside
from adagen.paper.drawn import Drawn, describe
from adagen.paper.figures.style import new_figure, save_figure
from adagen.paper.metrics import read_comparable, read_metrics
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import save_tensors
from adagen.runtime.records import read_record, write_record

RUNS = [
    *(Run(name, method) for name in ("a", "b") for method in ("handmade", "tuned", "tuned_class")),
    *(Run(name, method, 0) for name in ("a", "b") for method in ("adagen", "faithful")),
    *(Run(name, "handmade") for name in ("c", "d")),
    Run("b", "static", 0),
    Run("b", "gits"),
    Run("b", "stopping", 0),
    Run("a", "released"),
    Run("b", "adagen", 0, fidelity=0.5),
    Run("a", "adagen", 0, refinement="ahead"),
    Run("b", "adagen", 0, refinement="best"),
    Run("b", "adagen", 0, refinement="chosen"),
]
OTHER_FAMILIES = {"c": {"generator": "scales"}, "d": {"generator": "noise"}}
IN_NO_NUMBER = {
    ("Config", "methods"),
    ("Config", "training_seeds"),
    ("Experiment", "published"),
    ("GeneratorSettings", "title"),
    ("Refinement", "experiments"),
    # Changed, it names a generator that isn't there.
    ("Experiment", "generator"),
}
"""Keys that say which numbers there are, or what stands beside them."""
PLAIN = overlay(
    {**EVERY_SECTION, "experiments": {**EVERY_SECTION["experiments"], **OTHER_FAMILIES}},
    {"curves": None, "rivals": None, "ablation": None},
)
TOY = parse_config(PLAIN, "toy.yaml")


def write_metrics(path: Path, run: Run, config: Config, **changes: Any) -> Path:
    """A metrics file of a run, as this configuration makes it."""
    seeds = [*config.evaluation.seeds]
    content = {
        "experiment": run.experiment,
        "paradigm": "sit",
        "dataset": config.dataset.name,
        "steps": config.experiments[run.experiment].steps,
        "method": run.method,
        "training_seed": run.seed,
        "fidelity": run.fidelity,
        "protocol": "p",
        "samples": config.evaluation.samples,
        "seeds": seeds,
        "per_seed": [{"seed": seed, "fid": 1.0 + seed, "recall": 0.5} for seed in seeds],
        "cost": {"nfe": 8, "gflops_per_image": 0.1, "images_per_second": 3.0},
        "hashes": {"reference": "r", "generator": run.experiment, "policy": None},
        "settings": [of_metrics(config, run)],
        **changes,
    }
    if run.refinement:
        content["refinement"] = {"name": run.refinement, "kind": "repeated", "n": 2, "k": 1}
    write_record(path, content)
    return path


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_every_key_is_bound_or_changes_no_number(tmp_path):
    """A number that a changed key makes stale is in no table; one that it doesn't change may be."""
    seen: set[Key] = set()
    bound: set[Key] = set()
    released = {key: part for key, part in RELEASED.items() if part or key in PLAIN}
    for content in (PLAIN, overlay(PLAIN, released)):
        config = parse_config(content, "test")
        runs = [run for run in RUNS if run.refinement in ("", *config.refinements)]
        made = {run: of_metrics(config, run) for run in runs}
        for key, other in changed(config):
            assert key is not None
            seen.add(key)
            if key in bound:
                continue
            try:
                stale = [run for run in runs if of_metrics(other, run) != made[run]]
            except (KeyError, ValueError):  # a part is named that isn't there
                continue
            path = write_metrics(tmp_path / "run.json", [*stale, *runs][0], config)
            if stale:
                bound.add(key)
                with pytest.raises(AdagenError, match="but the configuration says"):
                    require_metrics([path], other)
            else:
                require_metrics([path], other)
    without = {(kind, name) for kind, names in CHANGES_NO_RESULT.items() for name in names}
    assert without <= seen and not without & bound
    assert {(kind.__name__, name) for kind, name in seen - bound - without} == IN_NO_NUMBER


@pytest.mark.parametrize("name", ["generator", "policy", "reference", "faithful"])
def test_numbers_of_other_files_do_not_stand_beside_each_other(tmp_path, name):
    """An input that was made again to other bytes, by the same settings."""
    run = Run("b", "adagen", 0)
    other = Run("b", "adagen", 0, refinement="best")
    if name == "faithful":
        run, other = Run("b", "faithful", 0), Run("b", "adagen", 0, fidelity=0.5)
    hashes = {"reference": "r", "generator": "g", "policy": "p", "faithful": None}
    blended = {**hashes, "faithful": "p"} if name == "faithful" else hashes
    first = write_metrics(tmp_path / "first.json", run, TOY, hashes=hashes)
    read_comparable([first, write_metrics(tmp_path / "o.json", other, TOY, hashes=blended)])
    changed = {**blended, name: "other"}
    second = write_metrics(tmp_path / "second.json", other, TOY, hashes=changed)
    with pytest.raises(AdagenError, match=r"second.json differ in .* can't stand in one table"):
        read_comparable([first, second])


# Damage and edits


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value in a JSON document."""
    if isinstance(content, dict | list) and content:
        for key in content if isinstance(content, dict) else range(len(content)):
            yield from leaves(content[key], (*path, key))
    else:
        yield path


def put(content: Any, path: tuple[Any, ...], value: Any) -> None:
    """Set a value of a JSON document, or take it out."""
    for key in path[:-1]:
        content = content[key]
    if value is ...:
        del content[path[-1]]
    else:
        content[path[-1]] = value


VALUES = st.sampled_from([-1.0, -1, 0.5, True, False, None, "1", "nan", float("nan"), [], {}, ...])


@settings(max_examples=50)
@given(
    data=st.data(),
    damage=st.sampled_from(["cut", "flip", "value", "order"]),
    where=st.floats(0, 1, exclude_max=True),
)
def test_a_damaged_or_edited_file_is_refused_or_the_same(tmp_path_factory, data, damage, where):
    path = tmp_path_factory.mktemp("damaged") / "adagen_seed0.json"
    whole = read_metrics(write_metrics(path, Run("b", "adagen", 0), TOY))
    if damage in ("cut", "flip"):
        {"cut": cut, "flip": flip}[damage](path, where)
    else:
        content = json.loads(path.read_text())
        if damage == "value":
            put(content, data.draw(st.sampled_from([*leaves(content)])), data.draw(VALUES))
        path.write_text(json.dumps(content, sort_keys=True))
    try:
        assert read_metrics(path) == whole
    except AdagenError as error:
        assert "adagen_seed0.json" in str(error) and damage != "order"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("per_seed", 0, "fid"), -0.1),
        (("per_seed", 0, "fid"), True),
        (("per_seed", 0, "fid"), "0.1"),
        (("per_seed", 0, "fid"), None),
        (("per_seed", 0, "fid"), ...),
        (("per_seed", 0, "recall"), 1.5),
        (("per_seed", 0, "seed"), 0.0),
        (("per_seed", 0, "seed"), True),
        (("per_seed", 0), ...),
        (("samples",), "5000"),
        (("samples",), 0),
        (("steps",), 4.5),
        (("seeds",), []),
        (("method",), "best"),
        (("training_seed",), "0"),
        (("cost", "nfe"), -1),
        (("hashes", "generator"), None),
        (("settings",), ...),
        (("settings",), []),
    ],
)
def test_a_number_that_cannot_be_is_refused_whoever_wrote_it(tmp_path, place, value):
    path = write_metrics(tmp_path / "run.json", Run("b", "adagen", 0), TOY)
    content = read_record(path, remedy="")
    put(content, place, value)
    write_record(path, content)
    with pytest.raises(AdagenError, match=r"run.json is not a metrics file: key"):
        read_metrics(path)


def test_metrics_of_an_older_version_are_refused_with_advice(tmp_path):
    path = write_metrics(tmp_path / "run.json", Run("b", "adagen", 0), TOY)
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps(content))
    with pytest.raises(AdagenError, match=r"older version of adagen.*forcerun sample"):
        read_metrics(path)


# Tables and figures


@pytest.fixture
def shown(tmp_path) -> Path:
    """A table of the main methods of one experiment."""
    runs = [Run("b", "handmade"), Run("b", "tuned"), Run("b", "adagen", 0)]
    paths = [write_metrics(tmp_path / f"{run.name}.json", run, TOY) for run in runs]
    csv, latex = tmp_path / "fid.csv", tmp_path / "fid.tex"
    make_table(TABLES["fid"], paths, config=TOY, csv=csv, latex=latex)
    return csv


def test_a_table_is_of_its_configuration_as_long_as_nobody_changes_it(shown):
    require_table(shown, TOY)
    other = with_sweep_seed(TOY, 1)
    with pytest.raises(AdagenError, match=r"fid.csv was made with sweep.seed: 0, but .* says 1"):
        require_table(shown, other)
    with pytest.raises(AdagenError, match=r"fid.csv was made with"):
        make_figure("dial", [shown], config=other)
    text = shown.read_text()
    shown.write_text(text.replace("handmade", "adagen"))
    with pytest.raises(AdagenError, match=r"is not the table that fid.settings.json describes"):
        require_table(shown, TOY)
    shown.write_text(text)
    settings_beside(shown).unlink()
    with pytest.raises(AdagenError, match=r"has no fid.settings.json beside it"):
        require_table(shown, TOY)


def test_a_stale_number_writes_no_table_and_draws_no_figure(tmp_path):
    run, out = Run("b", "handmade"), tmp_path / "out"
    path = write_metrics(tmp_path / "handmade.json", run, TOY)
    warmer = {"b": {"handmade": {"guidance": 6}}}
    other = parse_config(overlay(PLAIN, {"experiments": warmer}), "other.yaml")
    told = "handmade.json was made with experiment.handmade.guidance: .*, but .* says 6.0"
    with pytest.raises(AdagenError, match=told):
        make_table(TABLES["fid"], [path], config=other, csv=out / "t.csv", latex=out / "t.tex")
    for kind in ("fid", "comparisons"):
        with pytest.raises(AdagenError, match=told):
            make_figure(kind, [path], config=other)
    assert not out.exists()


def test_the_page_shows_pictures_and_latex_of_its_configuration_alone(shown):
    other, latex = with_sweep_seed(TOY, 1), shown.with_suffix(".tex")
    figures = [shown.parent / name for name in ("fid.pdf", "fid.png")]
    metrics = [shown.parent / f"{run.name}.json" for run in (Run("b", "handmade"), SEARCHED)]
    make_figure("fid", metrics, config=TOY, files=figures)
    for path in (shown, latex, *figures):
        require_shown(path, TOY)
        with pytest.raises(AdagenError, match=r"fid.... was (made|drawn) .*(tuned|sweep.seed)"):
            require_shown(path, other)
    # What handmade is made by is the same in both.
    make_figure("fid", metrics[:1], config=TOY, files=figures)
    for path in figures:
        require_shown(path, other)
        save_figure(new_figure(1), path)
        with pytest.raises(AdagenError, match=r"doesn't say what it was drawn from.*Draw it"):
            require_shown(path, TOY)
        path.write_bytes(b"%PDF /Keywords (adagen)")
        with pytest.raises(AdagenError, match=r"doesn't say what it was drawn from"):
            require_shown(path, TOY)
    latex.write_text(latex.read_text().replace("1", "2"))
    with pytest.raises(AdagenError, match=r"fid.tex is not the table that fid.settings.json"):
        require_shown(latex, TOY)


PROMPTED = {
    "name": "text",
    "results": "results",
    "resources": "resources",
    "dataset": {"name": "openmoji_things", "size": 16, "heldout": 200},
    "generators": {
        "sit": {
            "paradigm": "sit",
            "text": {"positions": 6, "width": 16, "fit": {"updates": 2}},
            "network": {"width": 16, "depth": 2, "heads": 2},
            "patch": 4,
            "pretrain": {"updates": 2},
        }
    },
    "experiments": {"words_t2": {"generator": "sit", "steps": 2}},
    "evaluation": {"samples": 300, "seeds": [0, 1], "alignment": {"prompts": "prompts.txt"}},
}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"evaluation": {"alignment": {"images": 3}}}, "made with each"),
        ({"evaluation": {"alignment": {"fit": {"updates": 3}}}}, "made with fit.updates"),
        ({"evaluation": {"seeds": [0]}}, "seeds"),
        ({"generators": {"sit": {"text": {"fit": {"updates": 3}}}}}, "text.fit.updates"),
        ({"experiments": {"words_t2": {"handmade": {"guidance": 3}}}}, "handmade.guidance"),
        ({}, "made with texts"),
    ],
)
def test_alignment_is_of_its_configuration_and_its_prompts(tmp_path, monkeypatch, changes, told):
    monkeypatch.chdir(tmp_path)
    prompts, csv, png = Path("prompts.txt"), Path("alignment.csv"), Path("prompts.png")
    prompts.write_text("a fox\na red tulip\n")
    config, run = parse_config(PROMPTED, "text.yaml"), Run("words_t2", "handmade")
    csv.write_text("experiment\n")
    bind_table(csv, [], config=config, prompted=[run])
    save_figure(new_figure(1), png, drawn=describe([Drawn("alignment", run)], config))
    for path in (csv, png):
        require_shown(path, config)
    if not changes:
        prompts.write_text("a fox\na tulip\n")
    other = parse_config(overlay(PROMPTED, changes), "other.yaml")
    with pytest.raises(AdagenError, match=rf"alignment.csv was .*{told}: .* but the"):
        require_shown(csv, other)
    with pytest.raises(AdagenError, match=r"prompts.png was drawn of words_t2 handmade with other"):
        require_shown(png, other)


SEARCHED = Run("b", "tuned")


def with_sweep_seed(config: Config, seed: int) -> Config:
    return config.model_copy(update={"sweep": config.sweep.model_copy(update={"seed": seed})})


def test_a_judgement_is_of_its_configuration(tmp_path):
    run, path = Run("b", "tuned"), tmp_path / "judged.json"
    said = {
        **{key: value for key, value in vars(run).items() if key in ("experiment", "method")},
        "training_seed": None,
        "fidelity": None,
        "samples": 5000,
        "seed": 0,
        "preference": -1.0,
        "reward": None,
        "hashes": {"generator": "g"},
        "settings": of_judgement(TOY, run, experiment="b"),
    }
    write_record(path, {"experiment": "b", "runs": [said]})
    require_judged([path], TOY)
    other = with_sweep_seed(TOY, 1)
    with pytest.raises(AdagenError, match=r"judged.json was made with sweep.seed: 0, but .* 1"):
        require_judged([path], other)
    # And so is a table of it, though its metrics are of a run that was not searched for.
    csv = tmp_path / "guidance.csv"
    csv.write_text("experiment\n")
    bind_table(csv, [Run("b", "handmade")], config=TOY, judged=require_judged([path], TOY))
    require_table(csv, TOY)
    with pytest.raises(AdagenError, match=r"guidance.csv was made with sweep.seed: 0, but .* 1"):
        require_table(csv, other)


@pytest.mark.parametrize(
    ("kind", "name", "method"),
    [("sweep", "tuned.csv", "tuned"), ("training", "adagen_seed0.jsonl", "adagen")],
)
def test_a_log_is_that_of_the_policy_beside_it(tmp_path, kind, name, method):
    log = tmp_path / "b" / "policy" / name
    log.parent.mkdir(parents=True)
    log.write_text("evaluation,fid\n1,2.0\n" if kind == "sweep" else '{"update": 1}\n')
    with pytest.raises(AdagenError, match=f"{name} has no .*safetensors beside it"):
        make_figure(kind, [log], config=TOY)
    made_with = of_policy(TOY, "b", method=method)
    seed = None if kind == "sweep" else 0
    about = {"kind": "policy", "method": method, "training_seed": seed}
    save_tensors(log.with_suffix(".safetensors"), {"a": torch.ones(1)}, about=about)
    with pytest.raises(AdagenError, match="older version of adagen: make the policy again"):
        make_figure(kind, [log], config=TOY)
    about["made_with"] = made_with
    save_tensors(log.with_suffix(".safetensors"), {"a": torch.ones(1)}, about=about)
    if kind == "sweep":
        assert make_figure(kind, [log], config=TOY).axes
    else:
        with pytest.raises(AdagenError, match="is not the log of a training run"):
            make_figure(kind, [log], config=TOY)
    for changes in ({"training_seed": 3}, {"training_seed": None, "method": "interval"}):
        copied = {**about, **changes}
        copied["made_with"] = of_policy(TOY, "b", method=copied["method"])
        save_tensors(log.with_suffix(".safetensors"), {"a": torch.ones(1)}, about=copied)
        with pytest.raises(AdagenError, match=f"{name} is named otherwise than"):
            make_figure(kind, [log], config=TOY)
    save_tensors(log.with_suffix(".safetensors"), {"a": torch.ones(1)}, about=about)
    other = overlay(PLAIN, {"training": {"updates": 7}, "sweep": {"evaluations": 7}})
    with pytest.raises(AdagenError, match=f"{name} was made with .*, but .* says 7"):
        make_figure(kind, [log], config=parse_config(other, "other.yaml"))
