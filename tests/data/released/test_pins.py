"""Files put there by hand, files that change, and files from a mirror."""

import os

import pytest

from adagen.data import pins
from adagen.runtime.errors import AdagenError

OTHER = b"vinegar" * 100_000


# By hand


def test_what_has_to_be_fetched_by_hand(server, cellar):
    message = cellar.refuses(manual="Ask the innkeeper.")
    assert "Ask the innkeeper." in message and f"Put it at {cellar.path}" in message


@pytest.mark.parametrize("digest", ["", "whole"])
def test_a_file_put_there_by_hand_is_verified(server, cellar, digest):
    cellar.folder.mkdir()
    cellar.path.write_bytes(server.content)
    cellar.fetch(manual="Ask.", sha256=digest and server.sha256)
    assert cellar.holds()
    assert ("as published" if digest else "is pinned") in cellar.said[-1]


def test_a_wrong_file_put_there_by_hand_is_told_and_kept(server, cellar):
    cellar.folder.mkdir()
    cellar.path.write_bytes(OTHER)
    for wine in ({"sha256": server.sha256}, {"size": len(server.content)}):
        with pytest.raises(
            AdagenError, match=r"wine\.pth \(asset 'wine'\) has .* move this one away"
        ):
            cellar.fetch(url=server.address, **wine)
    assert cellar.read() == OTHER and server.requests == []


# Pins


def test_a_later_download_must_match_the_pin(server, cellar):
    url = server.on("/wine", server.serve(), server.serve(OTHER))
    cellar.fetch(url=url)
    cellar.path.unlink()
    with pytest.raises(AdagenError, match=f"{server.sha256} was pinned .*delete the pin"):
        cellar.fetch(url=url)
    assert not cellar.path.exists()
    server.on("/wine", server.serve())
    cellar.fetch(url=url)
    assert cellar.holds() and "as pinned before" in cellar.said[-1]


def test_a_file_that_changed_under_its_pin(server, cellar):
    url = server.on("/wine", server.serve())
    cellar.fetch(url=url)
    with cellar.path.open("r+b") as stream:
        stream.write(b"x")
    with pytest.raises(AdagenError, match="was pinned"):
        cellar.fetch(url=url)
    assert len(server.requests) == 1


def test_a_file_with_a_new_time_is_read_once_more(server, cellar):
    url = server.on("/wine", server.serve())
    cellar.fetch(url=url)
    os.utime(cellar.path, (1, 1))
    cellar.fetch(url=url)
    cellar.fetch(url=url)
    assert [line.split(": ", 1)[1] for line in cellar.said[1:]] == [
        "there; computing its SHA-256.",
        "its SHA-256 is as pinned before.",
        "there, unchanged since it was verified.",
    ]
    assert cellar.holds() and len(server.requests) == 1


def test_another_file_with_the_time_of_the_old_one(server, cellar, monkeypatch):
    monkeypatch.setattr(pins, "RENAMED", 0)
    url = server.on("/wine", server.serve())
    cellar.fetch(url=url)
    status = cellar.path.stat()
    cellar.path.write_bytes(OTHER)
    os.utime(cellar.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(AdagenError, match="was pinned"):
        cellar.fetch(url=url)


def test_what_is_published_counts_more_than_a_pin(server, cellar):
    url = server.on("/wine", server.serve())
    cellar.fetch(url=url)
    cellar.pin.write_text(f"{'0' * 64}  wine.pth\n")
    cellar.fetch(url=url, sha256=server.sha256)
    assert cellar.holds() and "as published" in cellar.said[-1]
    with pytest.raises(AdagenError, match="is published"):
        cellar.fetch(url=url, sha256="f" * 64)


# Mirrors


def test_a_mirror_folder(server, cellar, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "wine.pth").write_bytes(server.content)
    cellar.fetch(str(mirror), url=server.on("/wine", server.serve()), sha256=server.sha256)
    assert cellar.holds() and server.requests == []


def test_a_mirror_server(server, cellar):
    server.on("/mirror/wine.pth", server.serve(cut=200_000), server.serve())
    for slash in ("", "/"):
        cellar.fetch(f"{server.address}/mirror{slash}", manual="Ask.")
    assert cellar.holds() and server.ranges == [None, "bytes=200000-"]


@pytest.mark.parametrize("kind", ["folder", "server"])
def test_nothing_but_the_mirror_is_asked(server, cellar, tmp_path, kind):
    mirror = str(tmp_path) if kind == "folder" else f"{server.address}/mirror"
    message = cellar.refuses(mirror=mirror, url=server.on("/wine", server.serve()))
    assert "/wine.pth: " in message and "nothing is taken from elsewhere" in message
    assert [request.path for request in server.requests] == ["/mirror/wine.pth"] * (
        kind == "server"
    )


def test_a_mirror_with_wrong_bytes(server, cellar, tmp_path):
    (tmp_path / "wine.pth").write_bytes(OTHER)
    assert "is published" in cellar.refuses(
        mirror=str(tmp_path), url=server.address, sha256=server.sha256
    )


def test_a_mirror_that_is_none(cellar):
    assert "no folder and no http(s) address" in cellar.refuses(mirror="/gone", url="http://x")
