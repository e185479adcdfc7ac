"""Real processes for tests: `ranks(3, function)` calls it in three that exchange by gloo."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import multiprocessing

from adagen.runtime.processes import Processes, start_processes


def ranks(count: int, function: Callable[[Processes], Any], folder: Path) -> list[Any]:
    """What the function returns in each of `count` new processes; tensors and plain data only.

    It must stand at the top level of a module in this folder.
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(_call, (count, port, function, folder), count)
    return [torch.load(folder / f"{rank}.pt") for rank in range(count)]


def _call(rank: int, count: int, port: int, function: Any, folder: Path) -> None:
    torch.set_num_threads(1)
    place = {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "WORLD_SIZE": count}
    place |= {"RANK": rank, "LOCAL_RANK": rank}
    os.environ.update({key: str(value) for key, value in place.items()})
    with start_processes(1, "cpu") as processes:
        torch.save(function(processes), folder / f"{rank}.pt")
