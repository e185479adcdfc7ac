"""Servers that send too much, too slowly, or without end: told at once, and bounded on the disk."""

import os
import time

import pytest

from adagen.data.downloads import copy
from adagen.data.replies import Failure
from adagen.runtime.errors import AdagenError


def chunked(*pieces: bytes, times: int = 1, seconds: float = 0.0):
    """A reply in chunks, whose length nobody says."""

    def reply(handler) -> None:
        handler.start(200, Transfer_Encoding="chunked")
        for _ in range(times):
            for piece in pieces:
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                handler.wfile.flush()
                time.sleep(seconds)
        handler.wfile.write(b"0\r\n\r\n")

    return reply


def dripping(text: bytes, seconds: float):
    """Raw bytes, one after the other."""

    def reply(handler) -> None:
        handler.close_connection = True
        for byte in text:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(seconds)

    return reply


@pytest.fixture
def peak(monkeypatch):
    """The most bytes that any partial file has had."""
    from adagen.data.downloads import DownloadBar

    seen, update = [0], DownloadBar.update

    def watched(self, part, done, *, size):
        seen[0] = max(seen[0], part.stat().st_size)
        update(self, part, done, size=size)

    monkeypatch.setattr(DownloadBar, "update", watched)
    return seen


@pytest.mark.parametrize("hashed", [True, False])
def test_a_reply_without_end_stops_at_the_known_size(server, cellar, peak, hashed):
    url = server.on("/wine", chunked(b"x" * 100_000, times=1000))
    wine = {"sha256": server.sha256} if hashed else {}
    message = cellar.refuses(url=url, size=10_000, **wine)
    assert "it sends more than the 10,000 bytes that are expected" in message
    assert peak[0] <= 10_000 and not cellar.part.exists() and len(server.requests) == 1


def test_a_reply_without_end_of_a_file_of_unknown_size(server, cellar, peak, monkeypatch):
    monkeypatch.setattr("adagen.data.downloads.DOWNLOAD_BYTES", 50_000)
    url = server.on("/wine", chunked(b"x" * 10_000, times=1000))
    assert "more than the 50,000 bytes" in cellar.refuses(url=url)
    assert peak[0] <= 50_000 and not cellar.part.exists()
    url = server.on("/large", server.plain(length=10**17))
    assert "give its `size`" in cellar.refuses(url=url)


def test_more_bytes_than_the_reply_announced_are_not_read(server, cellar):
    url = server.on("/wine", server.plain(server.content + b"x" * 1000, length=len(server.content)))
    cellar.fetch(url=url, sha256=server.sha256)
    assert cellar.holds()


def test_a_chunked_file_of_the_right_size_is_taken(server, cellar):
    url = server.on("/wine", chunked(server.content))
    cellar.fetch(url=url, size=len(server.content), sha256=server.sha256)
    assert cellar.holds()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("adagen.data.replies.WINDOW", 0.2)
    monkeypatch.setattr("adagen.data.replies.OPENING", 0.4)


def test_a_byte_now_and_then_is_no_progress(server, cellar, impatient):
    slow = chunked(b"x", times=50, seconds=0.05)
    good = server.on("/good", server.serve())
    begin = time.monotonic()
    cellar.fetch(url=server.on("/slow", slow), mirrors=(good,), sha256=server.sha256)
    assert cellar.holds() and time.monotonic() - begin < 5
    # The slow one twice; what it sent spoils the good one's, which is asked again for all.
    assert [request.path for request in server.requests] == ["/slow"] * 2 + ["/good"] * 2


def test_a_slow_server_is_named(server, cellar, impatient):
    message = cellar.refuses(url=server.on("/slow", chunked(b"x", times=50, seconds=0.05)))
    assert "fewer than 20,000 bytes arrived in 0.2 seconds" in message


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + b"T: 1\r\n" * 50,
    ],
    ids=["headers", "trailers"],
)
def test_headers_and_trailers_without_end(server, cellar, impatient, text):
    begin = time.monotonic()
    head, _, _ = text.rpartition(b"\r\n\r\n") if b"\r\n\r\n" in text else (b"", b"", b"")

    def reply(handler) -> None:
        handler.wfile.write(head)
        dripping(text[len(head) :], 0.03)(handler)

    message = cellar.refuses(url=server.on("/wine", reply))
    assert "seconds" in message and time.monotonic() - begin < 5


def test_a_chunk_line_without_end_takes_no_memory(server, cellar):
    def reply(handler) -> None:
        handler.start(200, Transfer_Encoding="chunked")
        for _ in range(100):
            handler.wfile.write(b"0" * 100_000)
        handler.close_connection = True

    assert "could not be fetched" in cellar.refuses(url=server.on("/wine", reply))


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Length": "9" * 5000},
        {"Content_Length": "-1"},
        {"Content_Length": "12", "Retry_After": "9" * 5000},
        {"Content_Length": "\u0663"},
    ],
)
@pytest.mark.parametrize("code", [200, 206, 503])
def test_numbers_in_headers_that_are_none(server, cellar, headers, code, monkeypatch):
    monkeypatch.setattr("adagen.data.downloads.ATTEMPTS", 1)
    if code == 206:
        headers = {**headers, "Content_Range": f"bytes 0-{'9' * 5000}/{'9' * 5000}"}

    def reply(handler) -> None:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"HTTP/1.1 {code} X", *lines, "", ""])
        handler.wfile.write(head.encode() + b"x" * 10)
        handler.close_connection = True

    assert "could not be fetched" in cellar.refuses(url=server.on("/wine", reply))


def test_a_mirror_with_a_file_of_another_size_is_not_copied(server, cellar, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "wine.pth").write_bytes(server.content)
    wine = {"url": "https://unused", "size": 10, "sha256": server.sha256}
    message = cellar.refuses(str(mirror), **wine)
    assert "has 600,000 bytes there, but 10 are expected" in message
    assert not cellar.part.exists()


def test_a_file_that_grows_while_it_is_copied(tmp_path, monkeypatch):
    source, part = tmp_path / "source", tmp_path / "part"
    source.write_bytes(b"x" * 10)

    class Bar:
        def update(self, *_, **__):
            with source.open("ab") as stream:
                stream.write(b"x" * 10)

    class Stop:
        def is_set(self):
            return False

    with pytest.raises(Failure, match="grows"):
        copy(source, part, size=0, bar=Bar(), stop=Stop())


@pytest.mark.parametrize("place", ["part", "path"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_lies_in_the_place_of_a_file(server, cellar, place, make):
    cellar.folder.mkdir()
    make(getattr(cellar, place))
    with pytest.raises(AdagenError, match=r"is a (pipe|folder), but a file is expected"):
        cellar.fetch(url=server.on("/wine", server.serve()), sha256=server.sha256)
