"""Portable arithmetic: what it asks of the libraries, and fits that are the same elsewhere."""

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adagen.cli import paths
from adagen.runtime import portable
from adagen.runtime.errors import AdagenError
from adagen.runtime.portable import VARIABLES, compute_portably

ROOT = Path(__file__).parents[2]
TORCH = "2.15.0"
"""The version whose arithmetic the hashes are of; another may add in another order."""
PORTABLE = f"""
extends: {ROOT}/config/smoke.yaml
name: portable
arithmetic: portable
"""
HASHES = {
    "maskgit": ("75836e5cfd14083e", "c8218be125fb354c"),
    "var": ("06218e83fc01f186", "4f88412173477235"),
    "dit": ("f333c5675f82f0e8", "e22a09599f637433"),
    "sit": ("78625557d43dc61a", "9b1ac48835e459e9"),
}
"""Of a generator after 30 updates, on an Intel Xeon and on an AMD EPYC, both with AVX-512; and of a
policy for it after 3, with a value network as baseline, on the EPYC and on QEMU's Haswell."""
TRAINING = """
import sys
import adagen

def brightness(images, labels):
    return images.mean(dim=(1, 2, 3))

generator = adagen.load(None, sys.argv[1], steps=4, device="cpu").generator
value = {"baseline": "value", "group": 1, "value_coefficient": 0.5}
trained = adagen.train(generator, reward=brightness, updates=3, trajectories=64, **value)
trained.save(sys.argv[2])
"""


def processor(tmp_path: Path, flags: str) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(f"flags : fpu sse2 {flags}\n")
    return path


def test_the_environment_says_it_to_all_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(portable, "FLAGS", processor(tmp_path, "avx2"))
    monkeypatch.setattr(portable, "READERS", ("a_package_that_nobody_imported",))
    environment = {"MKL_CBWR": "AVX512", "NPY_ENABLE_CPU_FEATURES": "AVX2", "OTHER": "stays"}
    compute_portably(environment)
    assert environment == {**VARIABLES, "OMP_NUM_THREADS": "1", "OTHER": "stays"}
    environment = {"OMP_NUM_THREADS": "3"}
    compute_portably(environment)
    assert environment == {**VARIABLES, "OMP_NUM_THREADS": "3"}


def test_what_is_imported_already_has_read_other_settings(monkeypatch, tmp_path):
    monkeypatch.setattr(portable, "FLAGS", processor(tmp_path, "avx2"))
    with pytest.raises(AdagenError, match=r"numpy.*MKL_CBWR='COMPATIBLE'.*before Python starts"):
        compute_portably({name: value for name, value in VARIABLES.items() if name != "MKL_CBWR"})
    compute_portably(dict(VARIABLES))  # as they were set before Python started


@pytest.mark.parametrize(("machine", "flags"), [("x86_64", "avx"), ("arm64", "asimd")])
def test_others_compute_as_they_do_and_say_so(monkeypatch, tmp_path, capsys, machine, flags):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(portable, "FLAGS", processor(tmp_path, flags))
    environment = {}
    compute_portably(environment)
    assert environment == {} and "no x86-64 with AVX2" in capsys.readouterr().err


def test_it_is_said_before_a_package_of_the_configuration_imports_torch(monkeypatch, tmp_path):
    (tmp_path / "portable.yaml").write_text(PORTABLE)
    order = []
    monkeypatch.setattr("adagen.cli.paths.compute_portably", lambda: order.append("portable"))
    checked = paths.load_config_and_files
    monkeypatch.setattr(
        "adagen.cli.paths.load_config_and_files",
        lambda files: order.append("checked") or checked(files),
    )
    config = paths.load_config(iter([tmp_path / "portable.yaml"]))
    assert order == ["portable", "checked"] and config.arithmetic == "portable"


@pytest.mark.slow
@pytest.mark.skipif(not portable.has_avx2(), reason="another kind of processor")
@pytest.mark.skipif(torch.__version__.split("+")[0] != TORCH, reason=f"hashes are of torch {TORCH}")
@pytest.mark.parametrize("family", HASHES)
def test_fits_are_the_same_on_every_processor(family, tmp_path):
    (tmp_path / "portable.yaml").write_text(PORTABLE)
    generator, policy = tmp_path / "generator.safetensors", tmp_path / "policy.safetensors"
    stage = ["-m", "adagen.cli", "pretrain", family, "--out", str(generator)]
    without = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    for command, environment in (
        ([*stage, "--config", str(tmp_path / "portable.yaml")], {}),  # as the configuration says
        (["-c", TRAINING, str(generator), str(policy)], VARIABLES),  # as a program of one's own
    ):
        subprocess.run(
            [sys.executable, *command],
            env={**without, **environment, "OMP_NUM_THREADS": "1"},
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
    assert (hash_of(generator), hash_of(policy)) == HASHES[family]


def hash_of(path: Path) -> str:
    tensors, found = load_file(path), hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].numpy().tobytes())
    return found.hexdigest()[:16]
