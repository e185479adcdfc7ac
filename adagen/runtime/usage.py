"""Processor time of a job, which the workflow has each command say last in its log.

Snakemake's benchmark files have a processor time too, but it is that of the last look at the job:
up to half a minute before its end. Where several processes share a job none of them knows it.
"""

import atexit
import os
import re
import resource
import sys
from pathlib import Path

from adagen.runtime.launch import LAUNCHED

ASKED = "ADAGEN_SAY_PROCESSOR_TIME"
"""Environment variable that the workflow sets, so that logs have the line."""
SAID = re.compile(r"adagen: ([0-9]+\.[0-9]+) s of processor time$", re.MULTILINE)


def say_at_the_end() -> None:
    """Say the processor time of this process and its children when it ends, if that is asked."""
    if os.environ.get(ASKED) and LAUNCHED not in os.environ:
        atexit.register(_say)


def processor_seconds() -> float:
    """Seconds of user and system time, of this process and of its children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def said_in(log: str) -> float | None:
    """The processor time that the text of a log ends with, in seconds; None where it has none."""
    found = SAID.findall(log)
    return float(found[-1]) if found else None


def processor_time(log: Path) -> float | None:
    """The same of a file; None also where there is no such file."""
    return said_in(log.read_text(errors="replace")) if log.is_file() else None


def _say() -> None:
    sys.stdout.flush()  # so that nothing comes after it
    print(f"adagen: {processor_seconds():.2f} s of processor time", file=sys.stderr)
