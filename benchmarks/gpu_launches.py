"""What a GPU loses between the kernels of a rollout: launching them, and waiting for the host."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from benchmarks.tape import Tape
from benchmarks.timing import Spread


def over_graphs(tape: Tape, *, clock: Callable[[], float], repeats: int) -> float:
    """Time of a rollout's evaluations over that of the same ones as one CUDA graph.

    The graph holds every shape that the rollout has, and launches all its kernels at once. So this
    is the most that graphs can save.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # a capture needs libraries that are warm
        tape.repeat()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        tape.repeat()
    shares = []
    for _ in range(repeats):
        seconds = []
        for run in (tape.repeat, graph.replay):
            began = clock()
            run()
            seconds.append(clock() - began)
        shares.append(seconds[0] / seconds[1])
    return Spread.of(shares).median


@contextmanager
def waits() -> Iterator[list[str]]:
    """Yield a list that has, after the block, the places where the host waited for the GPU."""
    places: list[str] = []
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            yield places
    finally:
        torch.cuda.set_sync_debug_mode("default")
    places += [f"{w.filename}:{w.lineno}" for w in found if "synchroniz" in str(w.message)]
