"""Files of others are data: nothing in them is run, and nothing is written where they say."""

import ast
import hashlib
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import adagen
from adagen.config import Dataset, Fit
from adagen.data.inventory import inventory
from adagen.data.samples import ABOUT, STEERING, Samples, read_shard
from adagen.data.weights import read_released
from adagen.evaluation.npz import NpzImages, read_gaussian
from adagen.runtime.checkpoints import load_checkpoint
from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import MADE_BY, load_tensors


class Bomb:
    """Unpickled, it leaves a folder behind."""

    def __init__(self, crater: Path) -> None:
        self.crater = crater

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.crater),)


def bare(bomb: object) -> bytes:
    return pickle.dumps(bomb)


def of_torch(bomb: object) -> bytes:
    stream = io.BytesIO()
    torch.save({"model": {"weight": torch.ones(2)}, "state": bomb}, stream)
    return stream.getvalue()


def of_torch_before_zip(bomb: object) -> bytes:
    stream = io.BytesIO()
    torch.save({"state": bomb}, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def of_numpy(bomb: object) -> bytes:
    stream = io.BytesIO()
    array = np.array([bomb] * 3, dtype=object)
    np.savez(stream, mu=array, sigma=array, arr_0=array)
    return stream.getvalue()


def sealed(bomb: object) -> bytes:
    """A checkpoint whose checksum is right."""
    content = of_torch(bomb)
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def in_a_folder(path: Path) -> Path:
    """A folder of samples whose steering is the file."""
    folder = path.with_name("samples")
    folder.mkdir()
    (folder / ABOUT).write_text('{"kind": "samples", "version": 1}')
    path.rename(folder / STEERING)
    return folder


READERS: dict[str, Callable[[Path], object]] = {
    "checkpoint": lambda path: load_checkpoint(path, "run", settings=Fit(updates=1)),
    **{kind: lambda path, kind=kind: load_tensors(path, kind) for kind in MADE_BY},
    "shard": read_shard,
    "samples": lambda path: Samples.open(in_a_folder(path)),
    "released weights": read_released,
    "released statistics": lambda path: read_gaussian(path, "mu", covariance="sigma", dimension=3),
    "released images": NpzImages.open,
    "json": read_json,
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("make", [bare, of_torch, of_torch_before_zip, of_numpy, sealed])
@pytest.mark.parametrize("reader", READERS)
def test_no_reader_runs_a_pickle(tmp_path, reader, make):
    crater, path = tmp_path / "crater", tmp_path / "planted"
    pickle.loads(bare(Bomb(crater)))  # the bomb works
    crater.rmdir()
    path.write_bytes(make(Bomb(crater)))
    with pytest.raises(AdagenError):
        READERS[reader](path)
    assert not crater.exists()


FORBIDDEN = {"eval", "exec", "system", "popen", "extract", "extractall", "unpack_archive"}


def test_nothing_in_the_code_could():
    """No unpickling, evaluating, extracting, or shell, but what is named here."""
    found = []
    for path in Path(adagen.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            bad = (
                called.split(".")[-1] in FORBIDDEN - {"eval"}
                or called == "eval"  # a module's own eval() is another thing
                or called.startswith(("pickle.", "shelve.", "joblib.", "yaml.load", "subprocess."))
                or (called == "torch.load" and options.get("weights_only") != "True")
                or (called == "np.load" and options.get("allow_pickle") != "False")
            )
            if bad:
                found.append(f"{path.name}:{node.lineno}: {called}")
    assert found == []


def test_names_in_a_zip_lead_nowhere(tmp_path):
    """Images are read from it one by one, and nothing is unpacked."""
    inner = tmp_path / "inner"
    inner.mkdir()
    with zipfile.ZipFile(inner / "images.zip", "w") as archive:
        for name in ("../../evil.png", "/tmp/evil.png", "cat/$(touch evil).png"):
            archive.writestr(name, b"x")
    before = sorted(tmp_path.rglob("*"))
    try:
        inventory(Dataset(name="zip", folder=str(inner / "images.zip"), size=8))
    except AdagenError as error:
        assert "images.zip" in str(error)
    assert sorted(tmp_path.rglob("*")) == before
