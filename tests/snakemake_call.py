"""`snakemake ...` in a process that has imported it already, which is most of what a dry run takes.

A server process imports Snakemake, its plugins and the configuration once, and every call is a fork
of it.
"""

import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

IMPORTED = ["pytest", "snakemake_call", "snakemake_loaded", "smart_open"]
IMPORTED += ["adagen.planning.workflow"]
STREAMS = ("stdout", "stderr")
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(IMPORTED)


def call(
    options: Sequence[str], *, folder: Path, environment: dict[str, str], timeout: float
) -> CompletedProcess[str]:
    """Run `snakemake` with these options in a folder; its status and what it printed."""
    with TemporaryDirectory() as printed:
        process = context.Process(target=_main, args=(options, folder, environment, printed))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"snakemake {' '.join(options)} took more than {timeout} s")
        texts = [Path(printed, stream).read_text() for stream in STREAMS]
    return CompletedProcess(["snakemake", *options], process.exitcode, *texts)


def _main(options: Sequence[str], folder: Path, environment: dict[str, str], printed: str) -> None:
    from snakemake.cli import main

    for descriptor, stream in enumerate(STREAMS, start=1):
        file = os.open(Path(printed, stream), os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["snakemake", *options]
    main()
