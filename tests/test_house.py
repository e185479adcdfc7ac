"""The structure of the code: few packages, short files, plain docstrings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("adagen/**/*.py"), *ROOT.glob("workflow/**/*.py")])
RULES = sorted([*ROOT.glob("workflow/**/*.smk"), ROOT / "Snakefile"])
Function = ast.FunctionDef | ast.AsyncFunctionDef

STRICT = ("cli", "training", "sampling")
"""Packages whose private functions of three parameters take the third by name, too."""

BY_POSITION = {
    "__torch_dispatch__": "torch calls it by position",
    "__torch_function__": "torch calls it by position",
    "forward": "torch calls modules by position",
    "step": "pipelines of diffusers call a scheduler by position",
    "score": "a reward is called like a network: images, labels, noise",
}
"""Functions that may take more than two arguments by position, and why."""

NO_SUBJECT = re.compile(r"(What|Whether|How|Those|That|Of)\b")
"""First words of a summary that has no subject of its own."""

OF_ANY_LENGTH = {"source"}
"""Tuples that may be unpacked: the name of a random draw has any number of parts."""


def functions(tree: ast.Module) -> Iterator[tuple[Function, bool]]:
    """Functions and methods, without those inside functions; and whether it is a method."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node, False
        elif isinstance(node, ast.ClassDef):
            yield from ((child, True) for child in node.body if isinstance(child, Function))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def decorators(function: Function) -> str:
    return " ".join(map(ast.unparse, function.decorator_list))


def test_fourteen_packages():
    names = {path.name for path in (ROOT / "adagen").iterdir()}
    packages = {name for name in names if not name.startswith("_")} - {"py.typed"}
    assert len(packages) <= 14, sorted(packages)


@pytest.mark.parametrize("path", [*FILES, *RULES], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 350


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arguments_have_names(path):
    found = []
    in_commands = path.is_relative_to(ROOT / "adagen" / "cli")
    by_name = any(path.is_relative_to(ROOT / "adagen" / package) for package in STRICT)
    for function, is_method in functions(parse(path)):
        typer_command = in_commands and "command" in decorators(function)
        positional = [*function.args.posonlyargs, *function.args.args]
        if is_method and "staticmethod" not in decorators(function):
            positional = positional[1:]
        where = f"{path.relative_to(ROOT)}:{function.lineno}: {function.name}"
        if typer_command:
            continue
        count = len(positional) + len(function.args.kwonlyargs)
        if count > 8:
            found.append(f"{where} has more than 8 parameters")
        named = by_name or not function.name.startswith("_") or count >= 4
        if named and function.name not in BY_POSITION and len(positional) > 2:
            found.append(f"{where} takes more than 2 arguments by position")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_call_unpacks_a_tuple_that_was_packed_for_it(path):
    found = []
    for function, _ in functions(parse(path)):
        packed = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Tuple)
            and not any(isinstance(part, ast.Starred) for part in node.value.elts)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        found += [
            f"{path.relative_to(ROOT)}:{node.lineno}: *{node.value.id}"
            for call in ast.walk(function)
            if isinstance(call, ast.Call)
            for node in call.args
            if isinstance(node, ast.Starred)
            and isinstance(node.value, ast.Name)
            and node.value.id in packed - OF_ANY_LENGTH
        ]
    assert not found, "\n".join(sorted(set(found)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_summaries_have_a_subject(path):
    found = [
        f"{path.relative_to(ROOT)}:{part.lineno}: {part.value.value.strip().splitlines()[0]}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Module | ast.ClassDef | Function)
        for part in node.body
        if isinstance(part, ast.Expr)
        and isinstance(part.value, ast.Constant)
        and isinstance(part.value.value, str)
        and NO_SUBJECT.match(part.value.value.strip())
    ]
    assert not found, "\n".join(found)
