"""How time and memory grow: with batch, steps, samples, trajectories and processes.

A slope is that of a line through the logarithms: 1 is "twice as many take twice as much", 0 "it
stays". Memory is the bytes of the tensors that live at once, without the networks' weights.
"""

import csv
import io
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import multiprocessing

from adagen.planning.counting import count
from adagen.runtime.atomic import atomic_path
from adagen.runtime.processes import Processes, start_processes
from adagen.sampling.sampler import Sampler
from adagen.training.trajectories import collect
from benchmarks.cases import Case, digits
from benchmarks.figures import FAMILIES, Figure
from benchmarks.manners import Trainings
from benchmarks.sampling import images
from benchmarks.timing import Spread, alternate


@dataclass(frozen=True, kw_only=True)
class Point:
    """One measurement.

    Attributes:
        quantity: what grows.
        family: paradigm.
        size: how much of it there is.
        seconds: processor seconds, the median of all rounds; of one process.
        megabytes: of the tensors that live at once, at most.
    """

    quantity: str
    family: str
    size: int
    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Task:
    """Something to do at a size, and the networks whose weights don't count as memory."""

    run: Callable[[], object]
    networks: tuple[torch.nn.Module, ...]


def figures(*, tiny: bool, repeats: int) -> Iterator[Figure | Point]:
    """Measure the slopes, and what they are drawn through."""
    sizes = (8, 16) if tiny else (32, 64, 128, 256)
    steps = (2, 4) if tiny else (2, 4, 8, 16)
    for family in FAMILIES:
        case = digits(family, tiny=tiny)
        small = replace(case, batch=sizes[0])
        yield from slopes(
            "batch", {n: of_batch(replace(case, batch=n)) for n in sizes}, family, repeats
        )
        yield from slopes("samples", {n: of_samples(small, n) for n in sizes}, family, repeats)
        if family != "var":  # its steps are its scales
            every = {n: of_batch(with_steps(small, n)) for n in steps}
            yield from slopes("steps", every, family, repeats)
    for family in ("maskgit", "dit"):
        case = digits(family, tiny=tiny)
        many = [n if tiny else 4 * n for n in sizes]  # an update has fixed parts, too
        every = {n: of_trajectories(case, n, tiny=tiny, batch=sizes[-1]) for n in many}
        yield from slopes("trajectories", every, family, repeats)
    yield from processes("dit", trajectories=4 * sizes[-1], tiny=tiny)


def slopes(
    quantity: str, tasks: dict[int, Task], family: str, repeats: int
) -> Iterator[Figure | Point]:
    """The points of one quantity, and both slopes."""
    runs = {str(size): task.run for size, task in tasks.items()}
    seconds = alternate(runs, repeats=min(2, repeats))
    bytes_of = [peak(task) for task in tasks.values()]
    sizes = list(tasks)
    for size, memory in zip(sizes, bytes_of, strict=True):
        yield Point(
            quantity=quantity,
            family=family,
            size=size,
            seconds=Spread.of(seconds[str(size)]).median,
            megabytes=memory / 1e6,
        )
    rounds = zip(*seconds.values(), strict=True)
    of_time = Spread.of([slope(sizes, values) for values in rounds])
    about = {"benchmark": "scaling", "case": quantity, "family": family}
    yield Figure.of(name="slope of time", spread=of_time, **about)
    yield Figure.of(name="slope of memory", spread=Spread.of([slope(sizes, bytes_of)]), **about)


def peak(task: Task) -> float:
    """Bytes of the tensors that live at once while it is done, at most."""
    return count(task.run, 1, *task.networks).peak


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The slope of a line through the logarithms of both."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def of_batch(case: Case) -> Task:
    """One rollout."""
    return Task(lambda: images(case), (case.generator.backbone, case.policy))


def of_samples(case: Case, samples: int) -> Task:
    """Samples in batches, each of which is let go."""
    sampler = Sampler(case.generator, case.policy, batch=case.batch)
    labels = torch.arange(samples) % case.classes

    def run() -> None:
        for _ in sampler.batches(labels, purpose="benchmark"):
            pass

    return Task(run, (case.generator.backbone, case.policy))


def with_steps(case: Case, steps: int) -> Case:
    """The case at another number of steps."""
    return replace(case, experiment=case.experiment.model_copy(update={"steps": steps}))


def of_trajectories(case: Case, trajectories: int, *, tiny: bool, batch: int) -> Task:
    """An update of a training."""
    trainings = Trainings(case, tiny)
    changes = {"trajectories": trajectories, "batch": batch}
    training = trainings.ours(trainings.settings.model_copy(update=changes))
    training.training.warm_up()
    networks = (case.generator.backbone, training.training.actor, training.training.critic)
    return Task(training.update, networks)


def processes(family: str, *, trajectories: int, tiny: bool) -> Iterator[Figure | Point]:
    """The rollouts of an update, shared by one process or two."""
    found = {n: ranks(n, family, trajectories, tiny=tiny) for n in (1, 2)}
    for number, (seconds, memory) in found.items():
        yield Point(
            quantity="processes",
            family=family,
            size=number,
            seconds=seconds,
            megabytes=memory / 1e6,
        )
    about = {"benchmark": "scaling", "case": "processes", "family": family}
    for name, values in zip(("time", "memory"), zip(*found.values(), strict=True), strict=True):
        spread = Spread.of([slope(list(found), values)])
        yield Figure.of(name=f"slope of {name}", spread=spread, **about)


def ranks(number: int, family: str, trajectories: int, *, tiny: bool) -> tuple[float, float]:
    """Most processor seconds and bytes of any of so many processes."""
    with socket.socket() as probe, TemporaryDirectory() as folder:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
        probe.close()
        arguments = (number, port, family, trajectories, tiny, Path(folder))
        multiprocessing.spawn(_rank, arguments, number)
        found = [torch.load(Path(folder, f"{rank}.pt")) for rank in range(number)]
    return max(seconds for seconds, _ in found), max(memory for _, memory in found)


def _rank(
    rank: int, number: int, port: int, family: str, trajectories: int, tiny: bool, folder: Path
) -> None:
    torch.set_num_threads(1)
    place: dict[str, Any] = {"MASTER_ADDR": "localhost", "MASTER_PORT": port}
    place |= {"WORLD_SIZE": number, "RANK": rank, "LOCAL_RANK": rank}
    os.environ.update({key: str(value) for key, value in place.items()})
    case = digits(family, tiny=tiny)
    settings = case.experiment.training.model_copy(update={"trajectories": trajectories})
    with start_processes(1, "cpu") as together:
        run = partial(_collect, case, settings, together)
        run()
        began = time.process_time()
        run()
        seconds = time.process_time() - began
        memory = count(run, 1, case.generator.backbone, case.policy).peak
    torch.save((seconds, memory), folder / f"{rank}.pt")


def _collect(case: Case, settings: Any, together: Processes) -> object:
    return collect(
        case.generator,
        case.policy,
        sigma=0.5,
        settings=settings,
        seed=0,
        update=0,
        processes=together,
    )


def write_points(path: Path, points: Sequence[Point]) -> None:
    """Write the points as a CSV file and, beside it, a plot of them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Point)], lineterminator="\n")
    writer.writeheader()
    for point in points:
        numbers = {key: f"{getattr(point, key):.5g}" for key in ("seconds", "megabytes")}
        writer.writerow({**asdict(point), **numbers})
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue())
    draw(path.with_suffix(".png"), points)


def draw(path: Path, points: Sequence[Point]) -> None:
    """Draw time and memory over every quantity, on logarithmic axes."""
    import matplotlib.pyplot as plt
    import seaborn as sns
    from matplotlib.ticker import LogLocator, NullLocator

    quantities = list(dict.fromkeys(point.quantity for point in points))
    colours = dict(zip(FAMILIES, sns.color_palette("colorblind"), strict=False))
    with plt.rc_context({**sns.axes_style("whitegrid"), **sns.plotting_context("paper")}):
        figure, axes = plt.subplots(
            2, len(quantities), figsize=(2.1 * len(quantities), 4), squeeze=False, sharex="col"
        )
        for column, quantity in enumerate(quantities):
            for row, name in enumerate(("seconds", "megabytes")):
                axis = axes[row, column]
                for family, colour in colours.items():
                    line = [p for p in points if (p.quantity, p.family) == (quantity, family)]
                    if line:
                        sizes = [p.size for p in line]
                        values = [getattr(p, name) for p in line]
                        axis.plot(sizes, values, "o-", color=colour, label=FAMILIES[family])
                        axis.set_xticks(sizes, [str(size) for size in sizes], minor=False)
                axis.set_xscale("log", base=2)
                axis.set_yscale("log")
                axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.yaxis.set_major_formatter("{x:g}")
                axis.yaxis.set_minor_locator(NullLocator())
                axis.set_xticks(sizes, [str(size) for size in sizes])
                if row:
                    axis.set_xlabel(quantity)
                if not column:
                    axis.set_ylabel(name)
        axes[0, 0].legend(fontsize="x-small")
        figure.tight_layout()
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
        plt.close(figure)
