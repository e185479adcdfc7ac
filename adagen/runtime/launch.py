"""Environment variables by which a launcher tells a process that it is one of several.

`accelerate launch` and `torchrun` set all of them. Job systems set some for purposes of their own,
such as the number of a pod: without a launcher's own variable they mean nothing to a stage.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from adagen.runtime.errors import AdagenError

LAUNCHED = "LOCAL_RANK"
"""Environment variable that launchers set in every process that they start."""

NUMBERS = ("RANK", "WORLD_SIZE", LAUNCHED)
ADDRESS = ("MASTER_ADDR", "MASTER_PORT")

START = (
    "Start it with `accelerate launch` or `torchrun`, or unset " + LAUNCHED + " to run it alone."
)


@dataclass(frozen=True)
class Launch:
    """The place of this process among those of a launch.

    Attributes:
        rank: number of this process, from 0.
        count: number of all processes.
        local_rank: number of this process on its machine, from 0.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """The launch that the environment describes, or None where no launcher started this.

        Raises:
            AdagenError: a launcher's variables are incomplete or contradict one another.
        """
        if LAUNCHED not in environment or not any(map(environment.get, ("RANK", "WORLD_SIZE"))):
            return None
        # A single process exchanges nothing, so that it needs no address.
        alone = environment.get("WORLD_SIZE", "1") == "1" and environment.get("RANK", "0") == "0"
        if alone:
            return cls()
        if missing := [name for name in (*NUMBERS, *ADDRESS) if not environment.get(name)]:
            raise AdagenError(
                f"{LAUNCHED} is set, as launchers of several processes set it, but {missing[0]} is "
                f"not. {START}"
            )
        given = ", ".join(f"{name}={environment[name]}" for name in NUMBERS)
        try:
            rank, count, local_rank = (int(environment[name]) for name in NUMBERS)
        except ValueError:
            raise AdagenError(f"{given} are not all whole numbers. {START}") from None
        if not 0 <= local_rank <= rank < count:
            raise AdagenError(
                f"{given} contradict one another: 0 <= {LAUNCHED} <= RANK < WORLD_SIZE is "
                f"expected. {START}"
            )
        return cls(rank, count, local_rank)


def is_first_process() -> bool:
    """True unless this is one of the later processes of a launch: the first alone writes files."""
    return LAUNCHED not in os.environ or os.environ.get("RANK", "0") == "0"
