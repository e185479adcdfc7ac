"""Training over a loop in AdaNAT's manner: trajectories per second, shares, and peak memory.

Updates and validations of either are timed in turn. What a whole training takes follows from their
numbers in the configuration. Both validate every so many updates, adagen at the start, too. The
predecessor's manner takes as many samples for every validation as the policy that is kept is
judged by in the end; adagen takes fewer, and judges the best few once more where the configuration
says so.
"""

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from adagen.config import Training
from adagen.runtime.allocator import keep_freed_memory
from adagen.runtime.footprint import Footprint
from adagen.training.kept import FINALISTS
from benchmarks.cases import ROOT, digits
from benchmarks.figures import FAMILIES, Figure
from benchmarks.manners import Trainings
from benchmarks.timing import Spread, alternate

RATE_AIM, MEMORY_AIM, VALIDATION_AIM = ">= 2", "<= 0.7", "<= 0.2"


def validations(settings: Training) -> int:
    """The number of validations of a training: every so many updates, and at the end.

    Adagen has one more, of the schedule that it starts at.
    """
    return -(-settings.updates // settings.validate_every)


def figures(*, tiny: bool, repeats: int) -> Iterator[Figure]:
    """Measure all families at the size of the digits."""
    for family in FAMILIES:
        trainings = Trainings(digits(family, tiny=tiny), tiny)
        yield from rates(trainings, repeats=min(repeats, 2))
        yield peak(family, tiny=tiny, repeats=repeats)


def rates(trainings: Trainings, *, repeats: int) -> Iterator[Figure]:
    """Trajectories per second over AdaNAT's manner, and adagen's shares."""
    settings = trainings.settings
    ours, plain = trainings.ours(settings), trainings.plain()
    same = trainings.ours(trainings.plain_settings)
    for training in (ours, same, plain):
        training.training.warm_up()
    validating: dict[str, Callable[[], object]] = {
        "ours, validation": ours.validate,
        "plain, validation": plain.validate,
    }
    again = 0
    if settings.final_samples > settings.validate_samples:
        validating["ours, at the end"] = ours.validate_again
        again = min(FINALISTS, 1 + validations(settings))
    updating = {"ours": ours.update, "same": same.update, "plain": plain.update}
    seconds = alternate(updating, repeats=repeats)
    seconds |= alternate(validating, repeats=repeats, warm_up=False)
    updates, every = settings.updates, validations(settings)
    rounds = [
        dict(zip(seconds, values, strict=True)) for values in zip(*seconds.values(), strict=True)
    ]
    whole = []
    for r in rounds:
        of_ours = (1 + every) * r["ours, validation"] + again * r.get("ours, at the end", 0.0)
        whole.append(
            {
                "ours": updates * r["ours"] + of_ours,
                "plain": updates * r["plain"] + every * r["plain, validation"],
                "validation": of_ours,
            }
        )
    family = trainings.case.family
    about = {"benchmark": "training", "family": family, "case": trainings.case.size}

    def figure(name: str, values: list[float], aim: str = "") -> Figure:
        return Figure.of(spread=Spread.of(values), name=name, aim=aim, **about)

    yield figure(
        "trajectories per second over AdaNAT's manner",
        [w["plain"] / w["ours"] for w in whole],
        RATE_AIM,
    )
    yield figure("the same without validations", [r["plain"] / r["ours"] for r in rounds])
    yield figure("the same with AdaNAT's settings", [r["plain"] / r["same"] for r in rounds])
    yield figure(
        "trajectories per second",
        [updates * settings.trajectories / w["ours"] for w in whole],
    )
    yield figure(
        "share of validation", [w["validation"] / w["ours"] for w in whole], VALIDATION_AIM
    )
    parts = {name: values[-repeats:] for name, values in ours.seconds.items()}
    for name, values in parts.items():
        shares = [updates * value / w["ours"] for value, w in zip(values, whole, strict=True)]
        yield figure(f"share of {name}", shares)
    rest = [
        updates * (r["ours"] - rollout - ppo) / w["ours"]
        for r, rollout, ppo, w in zip(rounds, *parts.values(), whole, strict=True)
    ]
    yield figure("share of the reward", rest)
    tensors = []
    for t in (ours, plain):
        networks = (trainings.case.generator.backbone, t.training.actor, t.training.critic)
        with Footprint(networks) as footprint:
            t.update()
        tensors.append(footprint.peak)
    yield figure("tensors of an update over AdaNAT's manner", [tensors[0] / tensors[1]], MEMORY_AIM)


def peak(family: str, *, tiny: bool, repeats: int) -> Figure:
    """Memory that a training takes, the warm-up included, each manner in a process of its own.

    Which pages an allocator gives back differs from process to process, by a tenth of it all.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def grown(manner: str) -> float:
        command = [sys.executable, "-m", "benchmarks.training", family, manner, str(int(tiny))]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    rounds = [grown("ours") / grown("plain") for _ in range(repeats)]
    return Figure.of(
        "training",
        "memory of the process over AdaNAT's manner",
        spread=Spread.of(rounds),
        family=family,
        case="digits",
        aim=MEMORY_AIM,
    )


def growth(family: str, manner: str, *, tiny: bool) -> int:
    """Kilobytes that a warm-up, two updates and a validation take beside what is there before.

    Linux alone says that; the largest memory of all that happened before is forgotten there.
    """
    torch.set_num_threads(1)
    trainings = Trainings(digits(family, tiny=tiny), tiny)
    _ = trainings.meter, trainings.case.generator
    training = trainings.ours(trainings.settings) if manner == "ours" else trainings.plain()
    keep_freed_memory()  # as every command does
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = kilobytes("VmRSS")
    training.training.warm_up()
    training.update()
    training.update()
    training.validate()
    return kilobytes("VmHWM") - before


def kilobytes(name: str) -> int:
    """A number of this process's memory, by Linux's name for it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0])


if __name__ == "__main__":
    print(growth(sys.argv[1], sys.argv[2], tiny=sys.argv[3] == "1"))
