"""The figure of prompts: whatever a user wrote stands above the samples, and none stops it."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from adagen.paper.figures import prompts
from adagen.paper.figures.style import save_figure
from adagen.runtime.errors import AdagenError

ODD = ["", "a $5 bill", "$\\frac{$ a_b^c", 'a "red"\napple', "\u202eabc\0", "\ud800", "x" * 500]


def run_of(experiment: str, method: str, texts: list[str]) -> SimpleNamespace:
    samples = SimpleNamespace(
        image_shape=(3, 8, 8), about={"settings": {"prompts": {"texts": texts}} if texts else {}}
    )
    return SimpleNamespace(
        experiment=experiment,
        method=method,
        seed=None,
        refinement="",
        fidelity=None,
        samples=samples,
        images=lambda rows: np.zeros((len(rows), 8, 8, 3), np.uint8),
    )


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("a red apple", "a red\napple"),
        ("a strawberry", "a\nstrawberry"),
        ("a $5 bill", "a $5 bill"),
        ('a  "red"\n apple', 'a "red"\napple'),
        ("\u202ea fox\u202c\0", "a fox"),
        ("\ud800", "?"),
        ("x" * 500, "\n".join(["x" * 9] * 6 + ["xxx..."])),
        ("", ""),
    ],
)
def test_labels(prompt: str, label: str) -> None:
    assert prompts.label_of(prompt) == label


def test_a_figure_of_odd_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "strip", lambda images, gap: np.zeros((8, 9 * len(images), 3)))
    monkeypatch.setattr(prompts, "row_order", lambda run: run.method)
    found = {"a": run_of("e", "handmade", ODD), "b": run_of("e", "adagen", ODD)}
    monkeypatch.setattr(prompts, "read_samples", lambda folder: found[folder.name])
    with warnings.catch_warnings(action="error"):
        figure = prompts.prompts_figure([Path("a"), Path("b")], credit="made by nobody")
        save_figure(figure, tmp_path / "prompts.png")
    shown = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert shown == [prompts.label_of(text) for text in ODD]
    for other in ([], ["a fox"]):
        found["b"] = run_of("e", "adagen", other)
        with pytest.raises(AdagenError, match="of no prompts, or of different ones"):
            prompts.prompts_figure([Path("a"), Path("b")])
