"""A SLURM of one node, this machine, from Debian's packages slurm-wlm and munge; as root."""

import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

# Elsewhere the step of a job doesn't find it.
CONFIG = Path("/etc/slurm")
OURS = "# Of adagen's tests; deleted after them."
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel")
PATIENCE = 30

SETTINGS = """{ours}
ClusterName=adagen
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MinJobAge=3600
ReturnToService=2
# More cores than there are, so that several jobs run side by side.
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 {memory}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why there can be no cluster here; None where there can."""
    if os.geteuid() != 0:
        return "starting a SLURM takes root"
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    if lacking := [name for name in NEEDED if shutil.which(name, path=path) is None]:
        return f"no {lacking[0]}: apt-get install slurm-wlm munge"
    settings = CONFIG / "slurm.conf"
    if settings.exists() and OURS not in settings.read_text():
        return f"{settings} is somebody's own"
    return None


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """A cluster with this machine as its node; its files and logs are in `folder`."""
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    memory = re.search(r"RealMemory=\d+", _output("/usr/sbin/slurmd", "-C"))
    assert memory
    settings = SETTINGS.format(ours=OURS, host=host, folder=folder, memory=memory[0])
    CONFIG.mkdir(exist_ok=True)
    files = {"slurm.conf": settings, "cgroup.conf": f"{OURS}\nCgroupPlugin=cgroup/v1\n"}
    with ExitStack() as stack:
        for name, text in files.items():
            stack.callback((CONFIG / name).unlink, missing_ok=True)
            (CONFIG / name).write_text(text)
        _start_munge(stack)
        for daemon in ("slurmctld", "slurmd"):
            _start(stack, [f"/usr/sbin/{daemon}", "-D"], folder / f"{daemon}.out")
        # Of a test that failed.
        stack.callback(_done, "scancel", "--full", "--signal=KILL", "--user=root")
        _until("the node is idle", lambda: _output("sinfo", "-h", "-o", "%T").strip() == "idle")
        yield


def _start_munge(stack: ExitStack) -> None:
    """What the daemons know each other by; it has to be a user of its own that runs it."""
    if _done("munge", "-n"):
        return
    user = pwd.getpwnam("munge")
    socket_folder = Path("/run/munge")
    socket_folder.mkdir(exist_ok=True)
    os.chown(socket_folder, user.pw_uid, user.pw_gid)
    command = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
    _start(stack, [*command, "/usr/sbin/munged", "--foreground"], Path(os.devnull))
    _until("munge answers", lambda: _done("munge", "-n"))


def _start(stack: ExitStack, command: list[str], output: Path) -> None:
    with output.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)

    def stop() -> None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()

    stack.callback(stop)


def _done(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode == 0


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout


def _until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.2)
