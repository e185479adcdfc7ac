"""The smoke run: the whole DAG at its smallest, made once a session for every test that asks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from stage_server import started_stages

ROOT = Path(__file__).parent


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `snakemake all paper` has run with config/smoke.yaml. Only read it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # a session of its own for every worker
        base = base.parent
    folder = base / "smoke"
    with FileLock(base / "smoke.lock"):
        if not (folder / "done").exists():
            _run_smoke(folder)
            (folder / "done").touch()
    return folder


def _run_smoke(folder: Path) -> None:
    for name in ("config", "profiles", "workflow"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder)
    command = ["snakemake", "--cores", "2", "all", "paper", "--configfile", "config/smoke.yaml"]
    with started_stages() as stages, (folder / "output.txt").open("w") as output:
        path = os.pathsep.join([str(stages), str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=2400,
        )
    assert done.returncode == 0, (folder / "output.txt").read_text()[-8000:]


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist, which reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the smoke run are slow, and share a worker. What takes longest starts first."""
    for item in items:
        if "smoke" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("smoke"))
    items.sort(
        key=lambda item: [item.get_closest_marker(m) is None for m in ("slow", "xdist_group")]
    )
