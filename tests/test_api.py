"""The public names, and what a user does with them: load, sample, blend, choose, measure."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import adagen


def test_every_public_name_is_there_and_known_to_type_checkers():
    source = ast.parse(Path(adagen.__file__).read_text())
    typed = {
        alias.asname: node.module
        for block in source.body
        if isinstance(block, ast.If)
        for node in block.body
        for alias in node.names
    }
    assert sorted(typed) == sorted(adagen.__all__)
    for name, module in typed.items():
        assert adagen._PUBLIC[name] == module
        assert getattr(adagen, name) is getattr(sys.modules[module], name)
    assert set(adagen.__all__) < set(dir(adagen))
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        adagen.lode  # noqa: B018


def test_importing_takes_no_torch():
    check = "import adagen, sys; dir(adagen); assert not {'torch', 'pydantic'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", check], check=True)
