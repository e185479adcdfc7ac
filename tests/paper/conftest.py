"""A run that never happened: files with the shapes of a real one and numbers known beforehand."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from adagen.data.samples import SamplesWriter, working_folder
from adagen.runtime.records import write_record

ACTIONS = {
    "maskgit": ("ratio", "confidence_temperature", "sampling_temperature", "guidance"),
    "var": ("guidance", "top_k", "top_p", "temperature"),
    "dit": ("time", "guidance"),
    "sit": ("time", "guidance"),
}
STEPS = 4


def run_name(method: str, seed: int | None) -> str:
    return method if seed is None else f"{method}_seed{seed}"


@dataclass
class FakeRun:
    folder: Path

    def metrics(
        self,
        experiment: str,
        method: str,
        fid: Sequence[float],
        seed: int | None = None,
        **changed: object,
    ) -> Path:
        """A metrics file whose distance at sampling seed s is fid[s]; label-free is half of it."""
        per_seed = [
            {
                "seed": s,
                "fid": value,
                "fid_label_free": value / 2,
                "inception_score": 9.0 + 0.1 * s,
                "precision": 0.8,
                "recall": 0.6,
                "memorisation_gap": -0.01,
            }
            for s, value in enumerate(fid)
        ]
        content = {
            "experiment": experiment,
            "paradigm": experiment.split("_")[1],
            "dataset": "digits",
            "steps": STEPS,
            "method": method,
            "training_seed": seed,
            "protocol": "digits-conv",
            "samples": 5000,
            "seeds": list(range(len(fid))),
            "per_seed": per_seed,
            "mean": {},
            "standard_error": {},
            "cost": {"nfe": 8, "gflops_per_image": 0.0123456, "images_per_second": 1234.5},
            "hashes": {"reference": "r", "generator": experiment, "policy": None},
            "settings": [{"sample": {"experiment": {"generator": experiment}}}],
        }
        path = self.folder / experiment / "metrics" / f"{run_name(method, seed)}.json"
        write_record(path, {**content, **changed})
        return path

    def samples(
        self,
        experiment: str,
        method: str,
        images: torch.Tensor,
        labels: torch.Tensor,
        seed: int | None = None,
        shift: float = 0.0,
        **described: object,
    ) -> Path:
        """A folder of samples; actions are the hand-made ones plus `shift`, +-0.1 over samples."""
        paradigm = experiment.split("_")[1]
        names = ACTIONS[paradigm]
        calls = STEPS + (paradigm in ("dit", "sit"))
        handmade = torch.linspace(0.1, 0.9, calls)[:, None].repeat(1, len(names))
        spread = torch.linspace(-0.1, 0.1, len(labels))[None, :, None]
        actions = handmade[:, None] + shift + (spread if method == "adagen" else 0 * spread)
        about = {
            "experiment": experiment,
            "paradigm": paradigm,
            "dataset": "digits",
            "steps": STEPS,
            "method": method,
            "training_seed": seed,
            "num_classes": 10,
            "action_names": names,
            "cost": {"nfe": 8, "gflops_per_image": 0.1},
            "hashes": {"generator": "g", "policy": None},
            "settings": {},
            **described,
        }
        path = self.folder / experiment / "samples" / run_name(method, seed)
        with working_folder(path, None) as folder:
            writer = SamplesWriter(folder, (0, 1), count=len(images), shard=16)
            for sampling_seed, rows in writer.missing:
                part = slice(rows.start, rows.stop)
                shown = images[part] * (sampling_seed == 0)
                writer.add(sampling_seed, rows, images=shown, actions=actions[:, part], seconds=1.0)
            writer.publish(path, about=about, labels=labels, handmade=handmade)
        return path

    def log(self, experiment: str, method: str, seed: int = 0, updates: int = 40) -> Path:
        """A training log with a validation every ten updates."""
        random = np.random.default_rng(seed)
        lines = []
        for update in range(updates):
            progress = update / updates
            validation = None if update % 10 else 1.5 + np.exp(-4 * progress)
            lines.append(
                {
                    "update": update,
                    "reward": 0.4 + 0.1 * progress + 0.01 * random.standard_normal(),
                    "within_share": 0.1,
                    "explained_variance": -3 + 4 * progress,
                    "accuracy_real": 0.75 - 0.1 * progress,
                    "accuracy_heldout": 0.72 - 0.1 * progress,
                    "accuracy_fake": 0.8 - 0.15 * progress,
                    "kl": 0.01 * random.random(),
                    "clip_fraction": 0.2 * random.random(),
                    "sigma": 0.6 * 0.25**progress,
                    "validation_fid": validation,
                    "validation_fid_label_free": validation and validation / 2,
                    "validation_recall": None if update % 10 else 0.4 + 0.2 * progress,
                }
            )
        path = self.folder / experiment / "policy" / f"{method}_seed{seed}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def search(self, experiment: str, distances: Sequence[float], method: str = "tuned") -> Path:
        """A search log."""
        path = self.folder / experiment / "policy" / f"{method}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{n},{distance},0.1" for n, distance in enumerate(distances, 1)]
        path.write_text("\n".join(["evaluation,fid,time_offset", *rows]) + "\n")
        return path


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return FakeRun(tmp_path / "results")
