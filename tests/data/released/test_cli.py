"""`adagen fetch` as a user calls it: in processes of its own killed and twice at once; listed."""

import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
import yaml

from adagen.cli.main import main

# Some downloads run in processes of their own.
pytestmark = pytest.mark.slow

SIT = {"paradigm": "sit", "weights": {"network": "net", "decoder": "dec"}, "latent": {}}
PATIENCE = 300
"""Seconds for what takes one: on a busy machine the command needs many to start."""
TERMS = {"licence": "MIT", "description": "For a test."}


class Shell:
    """A folder with a config that needs two assets, and `adagen` called in it."""

    def __init__(self, folder: Path, server) -> None:
        self.folder, self.server = folder, server
        self.catalogue = {
            "net": {"file": "net.pth", "url": server.on("/net", server.serve()), **TERMS},
            "dec": {"file": "dec.pth", "url": server.on("/dec", server.serve(b"dec")), **TERMS},
        }

    def configure(self) -> None:
        content = {
            "name": "x",
            "results": "results",
            "resources": "resources",
            "assets": {"folder": "assets", "catalogue": self.catalogue},
            "generators": {"sit": SIT},
            "experiments": {"sit_t8": {"generator": "sit", "steps": 8}},
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(content))

    def start(self, command: str) -> subprocess.Popen[str]:
        """Run in a process of its own."""
        self.configure()
        adagen = Path(sys.executable).with_name("adagen")
        return subprocess.Popen(
            [adagen, *command.split(), "--config", "config.yaml"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Tests that a shell runs in the background inherit that Ctrl-C is ignored.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def fetching(self, name: str) -> tuple[subprocess.Popen[str], Path]:
        """Start to fetch an asset, and wait until some of it is there: the process, and the part.

        A signal before that would meet a Python which is still importing.
        """
        process = self.start(f"fetch {name}")
        part = self.folder / "assets" / f"{name}.pth.part"
        deadline = time.monotonic() + PATIENCE
        while not (part.exists() and part.stat().st_size):
            assert process.poll() is None and time.monotonic() < deadline, "no byte has arrived"
            time.sleep(0.02)
        return process, part

    def __call__(self, command: str, **environment: str) -> tuple[int, str, str]:
        """Run to the end, in this process: status, standard output, standard error."""
        self.configure()
        with (
            pytest.MonkeyPatch.context() as patch,
            redirect_stdout(StringIO()) as out,
            redirect_stderr(StringIO()) as err,
        ):
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["adagen", *command.split(), "--config", "config.yaml"])
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        return ended.value.code or 0, out.getvalue(), err.getvalue()

    def read(self, name: str) -> bytes:
        return (self.folder / "assets" / name).read_bytes()


@pytest.fixture
def shell(tmp_path, server) -> Shell:
    return Shell(tmp_path, server)


def test_fetch_all_that_the_config_needs(shell, server):
    status, out, err = shell("fetch")
    assert (status, out) == (0, "")
    assert shell.read("net.pth") == server.content and shell.read("dec.pth") == b"dec"
    assert "no SHA-256 of it has been published" in err
    assert "fetching: 100%" in err  # one bar over both
    assert shell("fetch")[2].count("unchanged since it was verified") == 2
    assert len(server.requests) == 2


def test_fetch_by_name_as_a_rule_does(shell):
    assert shell("fetch dec")[0] == 0
    assert sorted(path.name for path in (shell.folder / "assets").glob("*.pth")) == ["dec.pth"]


def test_fetch_imports_nothing_heavy():
    code = "import sys, adagen.cli.fetch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE).returncode == 0


def test_a_killed_download_goes_on(shell, server):
    server.on("/net", server.serve(content=server.content * 4, seconds=0.02))
    process, part = shell.fetching("net")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    kept = part.stat().st_size
    assert 0 < kept < len(server.content) * 4
    assert not (shell.folder / "assets" / "net.pth").exists()

    server.on("/net", server.serve(content=server.content * 4))
    assert shell("fetch net")[0] == 0
    assert shell.read("net.pth") == server.content * 4
    assert server.ranges == [None, f"bytes={kept}-"]
    assert server.requests[1].sent == len(server.content) * 4 - kept


def test_control_c_ends_at_once_and_keeps_the_part(shell, server):
    whole = server.content * 100  # takes three minutes at least
    server.on("/net", server.serve(content=whole, seconds=0.03))
    process, part = shell.fetching("net")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0 and "Traceback" not in err
    # At once: long before the download would have ended. Seconds tell nothing on a busy machine.
    assert part.stat().st_size > 0 and server.requests[0].sent < len(whole) / 2


def test_two_processes_fetch_the_same_file_once(shell, server):
    server.on("/net", server.serve(seconds=0.02))
    both = [shell.start("fetch net") for _ in range(2)]
    errors = [process.communicate(timeout=PATIENCE)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert shell.read("net.pth") == server.content
    assert len(server.requests) == 1


def test_a_mirror_folder_without_one_of_the_files(shell, server, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "dec.pth").write_bytes(b"dec")
    status, out, err = shell("fetch", ADAGEN_MIRROR=str(mirror))
    assert (status, out, server.requests) == (2, "", [])
    assert shell.read("dec.pth") == b"dec"
    message = err.splitlines()[-1]
    assert message.startswith("adagen: ") and f"{mirror}/net.pth: there is no such file" in message
    (mirror / "net.pth").write_bytes(server.content)
    assert shell("fetch", ADAGEN_MIRROR=str(mirror))[0] == 0


def test_a_mirror_server(shell, server):
    server.on("/m/net.pth", server.serve())
    assert shell("fetch net", ADAGEN_MIRROR=f"{server.address}/m")[0] == 0
    assert [request.path for request in server.requests] == ["/m/net.pth"]


def test_a_manual_asset(shell):
    del shell.catalogue["dec"]["url"]
    shell.catalogue["dec"]["manual"] = "Write to the monastery."
    status, _, err = shell("fetch")
    message = err.splitlines()[-1]
    assert status == 2 and "Write to the monastery. Put it at assets/dec.pth" in message
    assert "Traceback" not in err
    head, row, about = shell("fetch --list dec")[1].splitlines()
    assert head.split() == ["name", "state", "size"] and row.split() == ["dec", "missing", "?"]
    assert about == "    dec.pth, by hand. Needed by sit_t8. Licence: MIT."
    (shell.folder / "assets" / "dec.pth").write_bytes(b"dec")
    assert shell("fetch")[0] == 0
    shell.catalogue["net"]["url"] = "http://[::1"
    assert "net.pth, no address." in shell("fetch --list net")[1]


def test_the_list(shell, server):
    shell.catalogue["net"]["size"] = len(server.content)
    shell("fetch net")
    status, out, err = shell("fetch --list")
    assert (status, err) == (0, "")
    head, *lines = out.splitlines()
    assert head.split() == ["name", "state", "size"]
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line.split() for line in lines if not line.startswith(" ")}
    assert rows["net"] == ["net", "pinned", "0.6", "MB"]
    assert rows["dec"] == ["dec", "missing", "?"]
    assert rows["imagenet_train"][1:] == ["missing", "147.90", "GB"]
    told = " ".join(out.split())
    assert "net.pth, from 127.0.0.1. Needed by sit_t8. Licence: MIT." in told
    assert "ILSVRC2012_img_train.tar, by hand. Licence: non-commercial research" in told
    wide = shell("fetch --list", COLUMNS="300")[1].splitlines()
    assert 80 < max(map(len, wide)) <= 100 and len(wide) < len(out.splitlines())
    assert "2.70 GB" in out
    (shell.folder / "assets" / "dec.pth").write_bytes(b"dec")
    assert "unverified" in shell("fetch --list dec")[1]
    assert len(shell("fetch --list dec")[1].splitlines()) == 3


def test_a_mistaken_name(shell):
    for command in ("fetch dex", "fetch --list dex"):
        status, out, err = shell(command)
        assert (status, out) == (2, "") and err.count("\n") == 1
        assert "'dex'" in err and "Did you mean 'dec'?" in err
    assert not (shell.folder / "assets").exists()


def test_a_config_without_released_files(shell):
    config = Path(__file__).parents[3] / "config" / "config.yaml"
    command = [Path(sys.executable).with_name("adagen"), "fetch", "--config", config]
    done = subprocess.run(
        command, cwd=shell.folder, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0 and "needs a released file" in done.stderr
    assert list(shell.folder.iterdir()) == []
