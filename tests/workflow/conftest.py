"""A checkout to run the workflow in, as a user would."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
import snakemake_call

ROOT = Path(__file__).parents[2]
Run = subprocess.CompletedProcess[str]
TIMEOUT = 900
"""Seconds after which a command has hung."""


class Checkout:
    """A copy of what the workflow consists of, and commands run in it."""

    def __init__(self, folder: Path, stub: bool) -> None:
        self.folder, self.commands = folder, [str(Path(sys.executable).parent)]
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("Snakefile", "dvc.yaml", "environment.yml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, folder)
        for name in ("config", "profiles", "workflow"):
            shutil.copytree(ROOT / name, folder / name)
        (folder / ".dvc").mkdir()
        for name in ("config", ".gitignore"):
            shutil.copy(ROOT / ".dvc" / name, folder / ".dvc")
        if stub:
            self.commands.insert(0, str(folder.parent / f"{folder.name}-bin"))
            command = Path(self.commands[0], "adagen")
            command.parent.mkdir()
            shutil.copy(Path(__file__).with_name("stub.sh"), command)
            command.chmod(0o755)

    @classmethod
    def at(cls, folder: Path) -> Self:
        """A checkout that is there already."""
        checkout = cls.__new__(cls)
        checkout.folder, checkout.commands = folder, [str(Path(sys.executable).parent)]
        return checkout

    def run(self, *command: str, check: bool = True) -> Run:
        """Run a command; unless told not to, fail with its output if it fails."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=TIMEOUT,
        )
        return _checked(done) if check else done

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of its commands."""
        path = os.pathsep.join([*self.commands, os.environ["PATH"]])
        return {**os.environ, "PATH": path}

    def snakemake(self, *options: str, check: bool = True) -> Run:
        done = snakemake_call.call(
            ["--cores", "2", *options],
            folder=self.folder,
            environment=self.environment,
            timeout=TIMEOUT,
        )
        return _checked(done) if check else done

    def planned(self, *options: str) -> dict[str, int]:
        """Jobs that Snakemake would run, by rule."""
        output = self.snakemake("--dry-run", *options).stdout
        stats = re.search(r"^job +count\n[- ]+\n(.*?)^total", output, re.MULTILINE | re.DOTALL)
        if stats is None:
            assert "Nothing to be done" in output
            return {}
        return {rule: int(count) for rule, count in map(str.split, stats[1].splitlines())}

    def files(self) -> set[Path]:
        return {path for path in self.folder.rglob("*") if path.is_file()}


def _checked(done: Run) -> Run:
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout in which nothing has run, with stages that do nothing but write their outputs."""
    return Checkout(tmp_path / "checkout", stub=True)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The same, after a whole run of the default config. For dry runs: don't change it.

    Its tests are of the group "plan": it is made once.
    """
    checkout = Checkout(tmp_path_factory.mktemp("finished") / "checkout", stub=True)
    checkout.snakemake("all")
    return checkout


@pytest.fixture
def commit(checkout: Checkout) -> Callable[[], None]:
    """Make the checkout a git repository, and commit what isn't ignored."""
    checkout.run("git", "init", "--quiet")
    who = ("-c", "user.name=test", "-c", "user.email=test@localhost")

    def commit() -> None:
        checkout.run("git", "add", "--all")
        checkout.run("git", *who, "commit", "--quiet", "--message", "state")

    commit()
    return commit
