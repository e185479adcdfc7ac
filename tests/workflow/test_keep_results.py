"""Results of a real run, kept apart from where the workflow writes."""

import hashlib
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config" / "smoke.yaml"
FILES = {
    "results/smoke/tables/fid.csv": "experiment,fid\n",
    "results/smoke/figures/fid.png": "picture",
    "results/smoke/one/metrics/handmade.json": "{}",
    "results/smoke/one/policy/adagen_seed0.safetensors": "policy",
    "results/smoke/one/samples/handmade/about.json": "{}",
    "resources/smoke/generators/sit.safetensors": "generator",
    "benchmarks/smoke/train/one.tsv": "s\th:m:s\n12.5\t0:00:12\n",
    "benchmarks/smoke/table.tsv": "s\th:m:s\n1.5\t0:00:01\n",
}


SCRIPT = ROOT / "workflow" / "scripts" / "keep_results.py"


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A repository in which a run of the smoke configuration has finished."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost")
    subprocess.run([*git, "init", "--quiet"], cwd=tmp_path, check=True)
    commit = [*git, "commit", "--quiet", "--allow-empty", "--message", "state"]
    subprocess.run(commit, cwd=tmp_path, check=True)
    return tmp_path


def test_a_run_is_kept_with_its_origin(finished: Path) -> None:
    (finished / "kept").mkdir()
    for name in ("older.csv", "manifest.json"):
        (finished / "kept" / name).touch()
    command = [sys.executable, SCRIPT, CONFIG, "kept"]
    done = subprocess.run(command, cwd=finished, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = {str(p.relative_to(finished / "kept")) for p in (finished / "kept").rglob("*.*")}
    assert kept == {
        "manifest.json", "tables/fid.csv", "figures/fid.png", "one/metrics/handmade.json"
    }  # fmt: skip
    manifest = json.loads((finished / "kept" / "manifest.json").read_text())
    assert manifest["job_seconds"] == 14
    sha = hashlib.sha256(b"generator").hexdigest()
    assert manifest["networks"] == {"generators/sit.safetensors": sha}
    assert list(manifest["policies"]) == ["one/policy/adagen_seed0.safetensors"]
    assert len(manifest["commit"]) == 40 and manifest["versions"]["torch"]
    assert manifest["processor"] and manifest["date"].startswith("20")


def test_a_folder_that_holds_no_kept_run_is_not_deleted(finished: Path) -> None:
    (finished / "thesis").mkdir()
    (finished / "thesis" / "chapter.tex").touch()
    command = [sys.executable, SCRIPT, CONFIG, "thesis"]
    done = subprocess.run(command, cwd=finished, capture_output=True, text=True)
    assert done.returncode == 1 and "thesis is there and holds no run" in done.stderr
    assert [path.name for path in (finished / "thesis").iterdir()] == ["chapter.tex"]


def test_a_run_that_is_not_finished_keeps_nothing(finished: Path, monkeypatch) -> None:
    (finished / "resources/smoke/generators/sit.safetensors").unlink()
    monkeypatch.chdir(finished)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(CONFIG), "kept"])
    with pytest.raises(SystemExit, match=r"keep_results: .* holds no finished run"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert not (finished / "kept").exists()


def rows(fid: float) -> str:
    return json.dumps({"per_seed": [{"seed": 3, "fid": fid, "sfid": None}]})


def kept_and_changed(finished: Path, changes: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What comparing prints, where some files have changed since the run was kept."""
    command = [sys.executable, SCRIPT, CONFIG, "kept"]
    (finished / "results/smoke/one/metrics/handmade.json").write_text(rows(0.25))
    subprocess.run(command, cwd=finished, check=True)
    (finished / ".git").rename(finished / "no clone")  # to compare takes none
    for name, text in changes.items():
        (finished / name).write_text(text)
    return subprocess.run([*command, "--compare"], cwd=finished, capture_output=True, text=True)


def test_an_equal_run_is_said_to_be_equal(finished: Path) -> None:
    changes = {"results/smoke/one/metrics/handmade.json": rows(0.25 + 1e-14)}
    done = kept_and_changed(finished, changes)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [
        "networks: 1 of 1 are equal; 1 were kept",
        "policies: 1 of 1 are equal; 1 were kept",
        "numbers: 1 of 1 are equal; 1 were kept",
    ]


def test_what_differs_is_named(finished: Path) -> None:
    network, metric = "resources/smoke/generators/sit.safetensors", "one/metrics/handmade.json"
    changes = {network: "another", f"results/smoke/{metric}": rows(0.26)}
    done = kept_and_changed(finished, changes)
    assert done.returncode == 1
    assert "networks: 0 of 1 are equal; 1 were kept\n  generators/sit.safetensors: " in done.stdout
    assert "policies: 1 of 1 are equal" in done.stdout
    assert f"  {metric}, seed 3, fid: 0.26 here, 0.25 kept" in done.stdout
    assert "processors: " in done.stdout and "differs from the one that was kept" in done.stderr


def compared_with(finished: Path, manifest: str) -> str:
    """The message where a folder has this manifest, and nothing else."""
    (finished / "older").mkdir()
    (finished / "older" / "manifest.json").write_text(manifest)
    command = [sys.executable, SCRIPT, CONFIG, "older", "--compare"]
    done = subprocess.run(command, cwd=finished, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    return done.stderr


def test_nothing_in_common_is_told(finished: Path) -> None:
    manifest = {"config": "config/other.yaml", "commit": 40 * "0", "networks": {"metrics": "1"}}
    message = compared_with(finished, json.dumps(manifest))
    assert "older has nothing that results/smoke has" in message


def test_a_damaged_manifest_is_told(finished: Path) -> None:
    assert "older/manifest.json" in compared_with(finished, '{"config": ')


def test_nothing_kept_is_told(finished: Path) -> None:
    command = [sys.executable, SCRIPT, CONFIG, "elsewhere", "--compare"]
    done = subprocess.run(command, cwd=finished, capture_output=True, text=True)
    assert done.returncode == 1 and "elsewhere/manifest.json" in done.stderr
