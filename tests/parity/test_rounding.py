"""What rounding explains is allowed under a policy, and no wrong coefficient."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from parity_checks import checks, recipe, solvers
from parity_checks.folder import Folder, Golden
from parity_checks.report import SAMPLER, table
from parity_checks.rounding import amplified

COMMITTED = Path(__file__).parents[1] / "data" / "parity"


def lines_of(tmp_path, theirs, generate):
    np.savez(tmp_path / "toy.npz", meta=np.array("{}"), x=theirs.numpy())
    return list(amplified(Golden(tmp_path / "toy.npz"), generate, SAMPLER))


@pytest.mark.parametrize(
    ("rounding", "error", "ok"),
    [
        (0, 0.9e-5, True),
        (0, 1.1e-5, False),
        (1e-4, 2e-4, True),  # one such error each
        (1e-4, 1e-3, False),
        (1, 2e-3, False),  # whatever is amplified
    ],
)
def test_errors_are_held_to_the_amplification(tmp_path, rounding, error, ok):
    exact = torch.tensor([2.0, -8.0, 1.0], dtype=torch.float64)

    def generate(precision, order):
        return {"x": exact if precision == torch.float64 else (exact * (1 + rounding)).float()}

    wide, narrow = lines_of(tmp_path, exact * (1 - error), generate), ("x", "x in float64")
    assert sorted(line.quantity for line in wide) == sorted(narrow)
    assert wide[1].ok == ok and (ok or not wide[0].ok)


def test_another_order_of_operations_may_be_off_by_more(tmp_path):
    """In the first order all errors cancel."""
    exact, asked = torch.tensor([4.0], dtype=torch.float64), []

    def generate(precision, order):
        asked.append(order)
        return {"x": exact * (1 + 5e-5 * (precision == torch.float32 and order == 2))}

    assert all(line.ok for line in lines_of(tmp_path, exact * (1 + 1e-4), generate))
    assert asked == [0, 0, 1, 2]


def unseen(path: Path, seed: int, steps: int) -> Path:
    """A folder of other weights, noise and classes, as the authors' sizes, whose results we make.

    They are those of another order of operations, as another program's are.
    """
    about = Folder(COMMITTED).meta("dit_forward")
    about = {**about, "recipe": {**about["recipe"], "seed": seed}}
    np.savez(path / "dit_forward.npz", meta=np.array(json.dumps(about)))
    meta = Folder(COMMITTED).meta("dit_sampler_policy_8")
    meta = {**meta, "gen_steps": steps, "policy": {**meta["policy"], "seed": seed + 1}}
    name = f"dit_sampler_policy_{steps}"
    given = {
        "z_init": recipe.normal("z", seed, (4, 4, 32, 32)).numpy(),
        "labels": (recipe.unit("l", seed, (4,)) * 1000).long().numpy(),
    }
    np.savez(path / f"{name}.npz", meta=np.array(json.dumps(meta)), **given)
    _, generate = solvers.driven(Folder(path), Folder(path).golden(name))
    made = {key: found.numpy() for key, found in generate(torch.float32, 99).items()}
    np.savez(path / f"{name}.npz", meta=np.array(json.dumps(meta)), **given, **made)
    return path


def judged(path: Path) -> list:
    (file,) = (name for name in checks.names(Folder(path)) if "policy" in name)
    lines = list(checks.run(Folder(path), file))
    return [line for line in lines if line.quantity != "sha256 of the policy"]


def off(monkeypatch) -> None:
    """The second-order term of every update is too large by one in a hundred."""
    right = solvers.second_half

    def wrong(x, x0, *, x0_middle, **times):
        return right(x, x0, x0_middle=x0 + 1.01 * (x0_middle - x0), **times)

    monkeypatch.setattr("adagen.generators.solver.second_half", wrong)


def test_a_wrong_coefficient_is_out(tmp_path, monkeypatch):
    path = unseen(tmp_path, seed=7, steps=2)
    assert all(line.ok for line in judged(path)), table(judged(path))
    off(monkeypatch)
    assert not all(line.ok for line in judged(path))


@pytest.mark.slow
def test_sixteen_steps_that_amplify_more_than_the_base_allows(tmp_path, monkeypatch):
    path = unseen(tmp_path, seed=106, steps=16)
    lines = judged(path)
    assert all(line.ok for line in lines), table(lines)
    assert max(line.relative for line in lines) > SAMPLER.value
    off(monkeypatch)
    wrong = {line.quantity for line in judged(path) if not line.ok}
    assert {"z_final", "z_final in float64"} <= wrong
