"""The documentation names things that exist, and the pages of the manual are short.

Checked are modules, functions, files, links, config keys, commands, options, rules and log fields.
"""

import ast
import functools
import importlib.util
import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_origin

import pytest
import typer
import yaml
from pydantic import BaseModel

import adagen
from adagen.cli.main import app
from adagen.config import Config, load_config
from adagen.paper.catalogue import TABLES

ROOT = Path(__file__).parents[2]
MANUAL = sorted(ROOT.glob("docs/*.md"))
LONG = {"method.md"}
MOST_WORDS = 2500
PAGES = [
    *MANUAL,
    *sorted(ROOT.glob("docs/experiments/*.md")),
    ROOT / "docs" / "results" / "README.md",
    ROOT / "results" / "README.md",
    ROOT / "config" / "README.md",
    *sorted(ROOT.glob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_spans(page: Path) -> list[str]:
    """What stands in `backticks`, outside fenced blocks."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text()))


def fenced(page: Path, language: str) -> list[str]:
    return [text for name, text in FENCE.findall(page.read_text()) if name == language]


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The words of every call of a program: in blocks of bash, in indented code, in `spans`."""
    prose = FENCE.sub("", page.read_text())
    lines = re.sub(r"\\\n", " ", "\n".join(fenced(page, "bash"))).splitlines()
    lines += re.findall(r"^    (.+)$", prose, re.MULTILINE)
    for line in [line.strip() for line in lines] + code_spans(page):
        if re.match(rf"(\w+=\S+ )*{program} ", line):
            words = shlex.split(line, comments=True)
            yield words[words.index(program) + 1 :]


# The manual


@pytest.mark.parametrize("page", MANUAL, ids=lambda page: page.name)
def test_a_page_of_the_manual_is_short(page: Path) -> None:
    if page.name not in LONG:
        assert len(page.read_text().split()) <= MOST_WORDS


# Modules, functions and files


@pages
def test_modules_exist(page: Path) -> None:
    """What is named as `adagen.module.name`, in prose and in code."""
    for dotted in set(re.findall(r"(?<![\w/.-])adagen(?:\.[a-zA-Z_]\w*)+", page.read_text())):
        found, *rest = adagen, *dotted.split(".")[1:]
        for depth, name in enumerate(rest, start=1):
            if not hasattr(found, name):
                module = ".".join(["adagen", *rest[:depth]])
                assert importlib.util.find_spec(module), f"no {dotted}"
                importlib.import_module(module)
            found = getattr(found, name)


@pages
def test_python_compiles(page: Path) -> None:
    for text in fenced(page, "python"):
        ast.parse(textwrap.dedent(text))


@functools.cache
def names(module: Path) -> set[str]:
    """Functions, classes and values of a module, and `Class.member`."""

    def walk(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from walk(node.body, f"{prefix}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
            for target in targets:
                if isinstance(target, ast.Name):
                    yield prefix + target.id

    return set(walk(ast.parse(module.read_text()).body, ""))


@pages
def test_functions_exist(page: Path) -> None:
    references = [span.split(": ") for span in code_spans(page) if re.match(r"adagen/\S+: ", span)]
    for module, name in references:
        assert (ROOT / module).exists(), module
        assert name in names(ROOT / module), f"{module} has no {name}"


def test_method_names_its_functions() -> None:
    spans = code_spans(ROOT / "docs" / "method.md")
    assert "adagen/training/ppo.py: ppo_loss" in spans


@pages
def test_files_exist(page: Path) -> None:
    folders = "adagen|config|docs|profiles|tests|workflow"
    for span in code_spans(page):
        path = span.split(": ")[0]
        if re.fullmatch(rf"({folders})/[\w./-]+", path):
            assert (ROOT / path).exists(), path


# Links


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


# Configuration


def has_key(model: object, keys: list[str]) -> bool:
    """Whether a config of type `model` has the key; `<name>` is an entry's name."""
    if not keys:
        return True
    if get_origin(model) is dict:
        return keys[0] == "<name>" and has_key(get_args(model)[1], keys[1:])
    if isinstance(model, type) and issubclass(model, BaseModel):
        field = model.model_fields.get(keys[0])
        return field is not None and has_key(field.annotation, keys[1:])
    return any(has_key(option, keys) for option in get_args(model))


@pages
def test_config_keys_exist(page: Path) -> None:
    for span in code_spans(page):
        keys = span.split(".")
        if keys[0] in Config.model_fields and re.fullmatch(r"\w+(\.(\w+|<name>))+", span):
            assert has_key(Config, keys), f"no key {span}"


@pages
def test_config_examples_are_valid(page: Path, tmp_path: Path) -> None:
    example = tmp_path / "example.yaml"
    for text in fenced(page, "yaml"):
        assert yaml.safe_load(text)
        example.write_text(text)
        load_config([ROOT / "config" / "config.yaml", example])


# Commands

SETTING = re.compile(r"(\w+)=(.*)", re.DOTALL)


def config_has(keys: list[str], value: object) -> bool:
    """Whether keys, and those of the mapping they are set to, are keys of the configuration."""
    inside = value.items() if isinstance(value, dict) else ()
    return has_key(Config, keys) and all(config_has([*keys, k], v) for k, v in inside)


@pages
def test_make_has_the_targets(page: Path) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in commands(page, "make"):
        assert words[0] in targets, words


@pages
def test_commands_exist(page: Path) -> None:
    stages = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for words in commands(page, "adagen"):
        if not re.match(r"[a-z]", words[0]):  # `adagen --help`, `adagen <stage> --help`
            continue
        command = stages[words[0]]
        if members := getattr(command, "commands", {}):
            command = members[words[1]]
        known = {option for p in command.params for option in p.opts} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= known, words


@pages
def test_snakemake_is_given_what_exists(page: Path) -> None:
    """Targets, configuration files, keys and rules that are named on its command line."""
    rules, targets = defined_rules(), defined_targets()
    for words in commands(page, "snakemake"):
        option = ""
        for word in words:
            if word.startswith("-"):
                option = word
            elif option == "--configfile" and word.startswith("config/"):
                assert (ROOT / word).exists(), words
            elif option == "--config" and (setting := SETTING.match(word)):
                assert config_has([setting[1]], yaml.safe_load(setting[2])), words
            elif option in ("--forcerun", "--set-threads") and "<" not in word:
                assert word.split("=")[0] in rules, words
            elif option in ("--cores", "--report", "--jobs"):  # which take one word
                option = ""
            elif not option and re.fullmatch(r"\w+", word):
                assert word in targets or word.startswith("experiment_"), words


def defined_targets() -> set[str]:
    """Rules, and the targets that workflow/rules/paper.smk makes of the catalogue of tables."""
    categories = {table.category.lower() for table in TABLES.values()}
    return {*defined_rules(), *categories, "fidelity", "guidance"}


@functools.cache
def defined_rules() -> set[str]:
    files = [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    text = "\n".join(file.read_text() for file in files)
    named = re.findall(r'name:\s+f?"([a-z]\w*?)_?[{"]', text)
    return {*re.findall(r"^\s*(?:rule|checkpoint) (\w+):", text, re.MULTILINE), *named}


def test_the_rules_of_the_workflow_exist() -> None:
    """Those of the table in docs/workflow.md, with the commands that they run."""
    page = (ROOT / "docs" / "workflow.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `adagen ([\w-]+)` \|", page, re.MULTILINE)
    assert {rule for rule, _ in rows} <= defined_rules()
    stages = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {command for _, command in rows} <= set(stages)


# The training log


def test_every_field_of_the_log_is_explained(smoke: Path) -> None:
    log = smoke / "results" / "smoke" / "digits_sit_t4" / "policy" / "adagen_seed0.jsonl"
    page = (ROOT / "docs" / "training.md").read_text()
    cells = re.findall(r"^\| (`.+?) \| ", page, re.MULTILINE)
    explained = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    logged = set(json.loads(log.read_text().splitlines()[-1]))
    assert logged | {"evaluations"} == explained  # that one is of the method `stopping`
