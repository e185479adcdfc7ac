"""`adagen ...` in a process that has imported its libraries already, for tests of whole runs.

Starting Python and importing torch is most of what a stage of a tiny run takes. A server imports
them once; an `adagen` in front of PATH asks it for a fork, which is a process of its own with its
caller's folder, environment and streams. Tests of starting, killing and stopping processes use the
real command.
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

IMPORTED = (
    "torch",
    "torch.fx.experimental.symbolic_shapes",  # with sympy: for the shapes of distributions
    "accelerate",
    "pandas",
    "seaborn",
    "scipy.linalg",
    "cma",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "adagen.cli",
    "adagen.evaluation.cost",
    "adagen.rewards.build",
    "adagen.training.loop",
)
CALL = """#!{python} -SE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b"0"], [0, 1, 2])
server.sendall(json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode())
server.shutdown(socket.SHUT_WR)
sys.exit(int(server.recv(8) or 137))  # no answer: the stage was killed
"""


@contextmanager
def started_stages() -> Iterator[Path]:
    """A folder for PATH, with an `adagen` that is served until the block ends."""
    with TemporaryDirectory() as folder:  # the path of a socket must be short
        address, command = Path(folder, "socket"), Path(folder, "adagen")
        command.write_text(CALL.format(python=sys.executable, address=str(address)))
        command.chmod(0o755)
        server = subprocess.Popen([sys.executable, __file__, str(address)])
        try:
            while not address.exists():
                assert server.poll() is None, "the server of stages has ended"
                time.sleep(0.05)
            yield Path(folder)
        finally:
            server.kill()
            server.wait()


def serve(address: str) -> None:
    """Answer every call by a fork, until killed."""
    for module in IMPORTED:
        import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(64)
    os.rename(f"{address}.new", address)
    while True:
        caller, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            status = run(caller)
            caller.sendall(str(status).encode())
            os._exit(status)
        caller.close()


def run(caller: socket.socket) -> int:
    """Run a stage in its caller's folder, environment and streams; returns its exit status."""
    import torch

    from adagen.cli import main

    _, streams, _, _ = socket.recv_fds(caller, 1, 3)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # What Python knows of the server's streams is not true of these.
    sys.stdin, sys.stdout, sys.stderr = (_opened(n, mode) for n, mode in enumerate("rww"))
    with caller.makefile("rb") as request:
        sys.argv, folder, environment = json.load(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    status: object = 0
    try:
        main()
    except SystemExit as stopped:
        status = stopped.code
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(status) if isinstance(status, int) else int(status is not None)


def _opened(number: int, mode: str) -> io.TextIOWrapper:
    return os.fdopen(number, mode, buffering=1, closefd=False)


if __name__ == "__main__":
    serve(sys.argv[1])
