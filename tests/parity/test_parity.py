"""Golden files: the committed selection, all of them where they are, and folders made here."""

import zlib
from pathlib import Path

import numpy as np
import parity
import pytest
import torch
from parity_checks import checks, recipe
from parity_checks.example import write_example
from parity_checks.folder import Folder
from parity_checks.report import Tolerance, compare, table

COMMITTED = Path(__file__).parents[1] / "data" / "parity"
of_example = pytest.mark.xdist_group("parity example")
"""Tests of the folder that is made here: once, in one worker."""


def assert_equal(folder: Folder, files: list[str]) -> None:
    lines = [line for file in files for line in checks.run(folder, file)]
    assert lines
    wrong = [line for line in lines if not line.ok]
    assert not wrong, "\n" + table(wrong)


@pytest.mark.parametrize("file", checks.names(Folder(COMMITTED)))
def test_committed_golden(file):
    assert_equal(Folder(COMMITTED), [file])


@pytest.mark.slow
@pytest.mark.parametrize("check", [*checks.WEIGHT_CHECKS, *checks.GOLDEN_CHECKS])
def test_every_golden(check, shared):
    folder = Folder(shared / "goldens")
    assert_equal(folder, checks.matching(folder, check))


def test_the_selection_is_small_and_leaves_no_check_out():
    folder = Folder(COMMITTED)
    assert sum(file.stat().st_size for file in COMMITTED.iterdir()) < 3_000_000
    for check in checks.GOLDEN_CHECKS:
        assert checks.matching(folder, check), check


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """A folder of other seeds, sizes, batches and steps, whose numbers are adagen's own."""
    folder = tmp_path_factory.mktemp("example")
    write_example(folder)
    return folder


def report(capsys, *arguments: object) -> tuple[int, list[list[str]]]:
    """Exit status and the cells of the lines of the command, without its headings and summary."""
    status = parity.main([str(argument) for argument in arguments])
    return status, [line.split() for line in capsys.readouterr().out.splitlines()[1:-1]]


@of_example
@pytest.mark.slow
def test_another_folder(example, capsys):
    status, lines = report(capsys, example)
    assert status == 0 and all(line[-1] == "ok" for line in lines)
    assert {line[0] for line in lines} == {f[:-4] for f in checks.names(Folder(example))}


def altered(example: Path, tmp_path: Path, name: str, change) -> Path:
    """A copy of the folder in which `change(arrays)` was applied to one file."""
    folder = tmp_path / "altered"
    folder.mkdir()
    for file in example.iterdir():
        (folder / file.name).symlink_to(file)
    with np.load(example / f"{name}.npz") as stored:
        arrays = {key: stored[key].copy() for key in stored.files}
    change(arrays)
    (folder / f"{name}.npz").unlink(missing_ok=True)
    np.savez(folder / f"{name}.npz", **arrays)
    return folder


ALTERED = {
    "policy_small": "actions",
    "dit_forward": "feat",
    "sit_sampler_scripted_4": "z_final",
    "sit_sampler_policy_6": "timesteps_clamped",
    "dit_solver_algebra": "alpha_s",
    "maskgit_forward": "logsumexp",
    "maskgit_step": "sampled_ids_out",
    "maskgit_generate_scripted": "masked_ids",
    "maskgit_generate_policy": "sampled_ids",
    "var_filter": "probs",
    "var_generate_top1": "tokens",
    "fid_is": "isc",
    "adanat_bias_act": "actions_heu1",
}


@of_example
@pytest.mark.slow
@pytest.mark.parametrize(("name", "key"), ALTERED.items())
def test_one_wrong_number_is_found(example, tmp_path, capsys, name, key):
    """By 1e-3, or a token by one; its line is out, in all precisions, and no other."""

    def change(arrays):
        largest = np.unravel_index(arrays[key].argmax(), arrays[key].shape)
        arrays[key][largest] += 1e-3 if np.issubdtype(arrays[key].dtype, np.floating) else 1

    folder = altered(example, tmp_path, name, change)
    status, lines = report(capsys, folder, "--only", name)
    out = [line for line in lines if line[-1] != "ok"]
    assert status == 1
    assert {tuple(line[:2]) for line in out} == {(name, key)} and "OUT" in " ".join(out[0])


@of_example
@pytest.mark.slow
def test_what_nobody_compares_is_told(example, tmp_path, capsys):
    def unknown(arrays):
        arrays["strange"] = np.zeros(3)

    folder = altered(example, tmp_path, "var_filter", unknown)
    (folder / "novel.npz").symlink_to(example / "fid_is.npz")
    (folder / "maskgit_step.npz").unlink()  # what isn't there is no error
    status, lines = report(capsys, folder)
    assert status == 1
    told = [" ".join(line) for line in lines if line[-1] != "ok"]
    assert [line.split("no check for ")[1] for line in told] == ["novel.npz", "strange"]


@of_example
def test_a_file_that_cannot_be_compared_leaves_the_others(example, tmp_path, capsys):
    folder = altered(example, tmp_path, "sit_forward", lambda arrays: arrays.pop("x"))
    status, lines = report(capsys, folder, "--only", "?it_forward")
    assert status == 1
    assert [line[0] for line in lines] == ["dit_forward", "dit_forward", "sit_forward"]
    assert "ERROR: KeyError" in " ".join(lines[-1])


@of_example
def test_options(example, capsys):
    with pytest.raises(SystemExit, match="0"):
        parity.main(["--list"])
    told = capsys.readouterr().out
    assert all(f"{name}.npz" in told for name in checks.GOLDEN_CHECKS)
    assert parity.main([str(example), "--only", "nothing"]) == 2
    assert "no file 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "expected", "tolerance", "ok"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 1e-6], Tolerance(2e-6), True),
        ([1.0, 2.0], [1.0, 2.0 + 1e-5], Tolerance(2e-6), False),
        ([1.0, 2e4], [1.1, 2e4], Tolerance(1e-5, "rel"), True),
        ([1.0, 2e4], [1.1, 2e4], Tolerance(1e-5, "col"), False),
        ([1.0, float("nan")], [1.0, 2.0], Tolerance(1e9), False),
        ([1.0, float("nan")], [1.0, float("nan")], Tolerance(1e9), False),
        ([1.0, float("-inf")], [1.0, float("-inf")], Tolerance(0), True),
        ([1.0, float("-inf")], [1.0, float("inf")], Tolerance(1e9), False),
        ([1.0], [1.0, 1.0], Tolerance(1e9), False),
        ([1.0, 0.0], [1.0, 1e-30], Tolerance(0), False),
    ],
)
def test_verdicts(found, expected, tolerance, ok):
    line = compare("file", "array", torch.tensor([found]), torch.tensor([expected]), tolerance)
    assert line.ok == ok


def test_recipe_by_hand():
    """A name and a seed written out, and each kind of entry's scale."""
    state = np.random.RandomState((zlib.crc32(b"a") + 1000003 * 4321) % 2**32)
    u = 2 * state.random_sample(6).reshape(2, 3) - 1
    np.testing.assert_array_equal(recipe.uniform("a", 4321, (2, 3)), u)
    np.testing.assert_allclose(recipe.unit("a", 4321, (2, 3)), (u + 1) / 2, atol=1e-7)
    np.testing.assert_allclose(recipe.fill("a", (2, 3), 4321, 5.0), 5 * u, atol=1e-6)  # fan-in 3
    made = recipe.normal("a", 4321, (20_000,))
    assert abs(float(made.mean())) < 0.03 and abs(float(made.std()) - 1) < 0.03
    assert abs(float(recipe.fill("norm.weight", (1000,), 0).mean()) - 1) < 0.01
    assert float(recipe.fill("x.bias", (1000,), 0).abs().max()) < 0.1
    gained = recipe.fill_all({"a.b": (1, 3)}, 0, [("a", 2.0), ("b", 3.0), ("c", 4.0)])
    torch.testing.assert_close(gained["a.b"], recipe.fill("a.b", (1, 3), 0, 3.0))


def test_formulas():
    u = recipe.uniform("f7", 3, (2, 5)).float()
    formula = "2.0*u('f{t}',seed,(9,width)) float32, all-zero at t=0"
    torch.testing.assert_close(recipe.evaluate(formula, 3, (2,), t=7, width=5), 2 * u)
    torch.testing.assert_close(
        recipe.evaluate("(u('f7',seed,(2,5))+1)/2 float32 -- images", 3), (u + 1) / 2
    )
    for formula in ("__import__('os')", "open('a')", "seed.bit_length()", "[1][0]"):
        with pytest.raises(ValueError, match="not part of a formula"):
            recipe.evaluate(formula, 3)
