"""A server that misbehaves as told, and `adagen.data.fetching.fetch` against it."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import tenacity

from adagen.config import Asset, Assets
from adagen.data import downloads, fetching
from adagen.runtime.errors import AdagenError

CONTENT = random.Random(0).randbytes(600_000)
SHA256 = sha256(CONTENT).hexdigest()
Reply = Callable[["Handler"], None]


@dataclass
class Request:
    """What the server was asked, and the bytes of body it sent."""

    path: str
    range: str | None
    if_range: str | None
    sent: int = 0


@dataclass
class Script:
    """What the server does: replies to a path, in turn; the last one for ever."""

    replies: dict[str, list[Reply]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script
    request_: Request

    def do_GET(self) -> None:
        self.request_ = Request(self.path, self.headers["Range"], self.headers["If-Range"])
        self.script.requests.append(self.request_)
        replies = self.script.replies.get(self.path, [status(404)])
        (replies.pop(0) if len(replies) > 1 else replies[0])(self)

    def start(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def body(self, content: bytes, seconds: float = 0) -> None:
        for begin in range(0, len(content), 10_000):
            piece = content[begin : begin + 10_000]
            self.wfile.write(piece)
            self.request_.sent += len(piece)
            time.sleep(seconds)

    def offset(self) -> int:
        asked = self.headers["Range"]
        return int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0

    def log_message(self, *_: object) -> None:
        pass


def status(code: int, **headers: object) -> Reply:
    return lambda handler: handler.start(code, Content_Length=0, **headers)


def serve(content: bytes = CONTENT, etag: str = '"1"', seconds: float = 0, cut: int = 0) -> Reply:
    """A proper server of `content`; closes the connection after `cut` bytes of body."""

    def reply(handler: Handler) -> None:
        begin = handler.offset()
        if handler.headers["If-Range"] not in (None, etag):
            begin = 0
        if begin >= len(content):
            return handler.start(416, Content_Length=0, Content_Range=f"bytes */{len(content)}")
        headers: dict[str, object] = {"Content_Length": len(content) - begin}
        if etag:
            headers["ETag"] = etag
        if begin:
            headers["Content_Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        handler.start(206 if begin else 200, **headers)
        handler.body(content[begin:][: cut or None], seconds)
        handler.close_connection = bool(cut)

    return reply


def plain(content: bytes = CONTENT, cut: int = 0, length: int = 0, **headers: object) -> Reply:
    """A server without ranges, which may send less than it promises (`length`)."""

    def reply(handler: Handler) -> None:
        handler.start(200, Content_Length=length or len(content), **headers)
        handler.body(content[: cut or None])
        handler.close_connection = True

    return reply


@dataclass
class Server(Script):
    address: str = ""
    content: bytes = CONTENT
    sha256: str = SHA256
    serve = staticmethod(serve)
    plain = staticmethod(plain)
    status = staticmethod(status)

    def on(self, path: str, *replies: Reply) -> str:
        """Script a path; its address."""
        self.replies[path] = list(replies)
        return self.address + path

    @property
    def ranges(self) -> list[str | None]:
        return [request.range for request in self.requests]


@pytest.fixture
def server() -> Iterator[Server]:
    script = Server()
    handler = type("Scripted", (Handler,), {"script": script})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        http.handle_error = lambda *_: None  # clients that hang up are what is tested
        script.address = f"http://127.0.0.1:{http.server_port}"
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield script
        http.shutdown()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "BACKOFF", tenacity.wait_none())
    monkeypatch.delenv(fetching.MIRROR, raising=False)


@dataclass
class Cellar:
    """A folder of assets with one entry, `wine`."""

    folder: Path
    said: list[str] = field(default_factory=list)

    def settings(self, **wine: Any) -> Assets:
        entry = {"file": "wine.pth", "licence": "MIT", "description": "Red.", **wine}
        return Assets(folder=str(self.folder), catalogue={"wine": Asset(**entry)})

    def fetch(self, mirror: str = "", **wine: Any) -> None:
        with downloads.DownloadBar() as bar:
            fetching.fetch(
                self.settings(**wine),
                ["wine"],
                mirror=mirror,
                jobs=3,
                bar=bar,
                say=self.said.append,
            )

    def refuses(self, mirror: str = "", **wine: Any) -> str:
        """Fetching fails, and leaves nothing under the name of the file. The message."""
        with pytest.raises(AdagenError) as error:
            self.fetch(mirror, **wine)
        assert not self.path.exists() and not self.pin.exists()
        return str(error.value)

    @property
    def path(self) -> Path:
        return self.folder / "wine.pth"

    @property
    def part(self) -> Path:
        return self.folder / "wine.pth.part"

    @property
    def pin(self) -> Path:
        return self.folder / "wine.pth.sha256"

    def holds(self, content: bytes = CONTENT) -> bool:
        """The file is there, whole and pinned, and nothing half-done beside it."""
        names = {path.name for path in self.folder.iterdir()} - {"wine.pth.lock"}
        pinned = self.pin.read_text() == f"{sha256(content).hexdigest()}  wine.pth\n"
        return names == {"wine.pth", "wine.pth.sha256"} and pinned and self.read() == content

    def read(self) -> bytes:
        return self.path.read_bytes()


@pytest.fixture
def cellar(tmp_path: Path) -> Cellar:
    return Cellar(tmp_path / "assets")
