"""The documentation names things that exist: functions, files, config keys, options, log fields."""

import ast
import functools
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_origin

import pytest
import typer
import yaml
from pydantic import BaseModel

from adagen.cli.main import app
from adagen.config import Config, load_config

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("docs/*.md")),
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


# Functions and files


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


@pages
def test_commands_exist(page: Path) -> None:
    stages = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    make = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    blocks = re.sub(r"\\\n", " ", "\n".join(fenced(page, "bash")))
    for line in blocks.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            assert words[1] in make, line
        if words[:1] == ["adagen"]:
            command = stages[words[1]]
            command = getattr(command, "commands", {}).get(" ".join(words[2:3]), command)
            known = {option for p in command.params for option in p.opts}
            assert {word for word in words if word.startswith("--")} <= known, line


# The training log


def test_every_field_of_the_log_is_explained(smoke: Path) -> None:
    log = smoke / "results" / "smoke" / "digits_sit_t4" / "policy" / "adagen_seed0.jsonl"
    page = (ROOT / "docs" / "training.md").read_text()
    cells = re.findall(r"^\| (`.+?) \| ", page, re.MULTILINE)
    explained = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert set(json.loads(log.read_text().splitlines()[-1])) == explained
