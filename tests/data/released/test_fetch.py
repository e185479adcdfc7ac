"""Whatever a server does, the file is right or isn't there."""

import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest

from adagen.runtime.errors import AdagenError

OTHER = b"vinegar" * 100_000


# A good server


def test_a_published_file(server, cellar):
    url = server.on("/wine", server.serve())
    cellar.fetch(url=url, sha256=server.sha256, size=len(server.content))
    assert cellar.holds()
    assert cellar.said == [f"{cellar.path}: fetched from {url}; its SHA-256 is as published."]
    assert server.ranges == [None]


@pytest.mark.parametrize("digits", [0, 8])
def test_a_file_without_published_hash_is_pinned_and_said_so(server, cellar, digits):
    cellar.fetch(url=server.on("/wine", server.serve()), sha256=server.sha256[:digits])
    assert cellar.holds()
    assert f"{server.sha256} is pinned in wine.pth.sha256" in cellar.said[0]


@pytest.mark.parametrize("digest", ["", "whole"])
def test_a_file_that_is_there_is_not_fetched(server, cellar, digest):
    wine = {"url": server.on("/wine", server.serve()), "sha256": digest and server.sha256}
    cellar.fetch(**wine)
    cellar.fetch(**wine)
    assert len(server.requests) == 1
    assert cellar.said[1].endswith("unchanged since it was verified.")


# Cuts


@pytest.mark.parametrize("sha256", ["", "whole"])
@pytest.mark.parametrize("etag", ['"1"', ""])
def test_a_cut_download_goes_on_where_it_stopped(server, cellar, sha256, etag):
    serve, size = server.serve, len(server.content)
    url = server.on("/wine", serve(cut=200_000, etag=etag), serve(cut=300_000, etag=etag), serve())
    if not etag:
        server.replies["/wine"][-1] = serve(etag="")
    cellar.fetch(url=url, sha256=sha256 and server.sha256)
    assert cellar.holds()
    assert server.ranges == [None, "bytes=200000-", "bytes=500000-"]
    assert {request.if_range for request in server.requests[1:]} == {etag or None}
    assert sum(request.sent for request in server.requests) == size


def test_a_part_of_another_run_is_gone_on_with(server, cellar, monkeypatch):
    monkeypatch.setattr("adagen.data.downloads.ATTEMPTS", 1)
    url = server.on("/wine", server.serve(cut=200_000), server.status(503))
    assert "503" in cellar.refuses(url=url)
    assert cellar.part.stat().st_size == 200_000
    server.on("/wine", server.serve())
    cellar.fetch(url=url)
    assert cellar.holds() and server.ranges[-1] == "bytes=200000-"


def test_a_whole_part_needs_no_request(server, cellar):
    url = server.on("/wine", server.serve())
    cellar.fetch(url=url, sha256=server.sha256, size=len(server.content))
    cellar.path.rename(cellar.part)
    cellar.pin.unlink()
    cellar.fetch(url=url, sha256=server.sha256, size=len(server.content))
    assert cellar.holds() and len(server.requests) == 1


def test_a_file_that_changed_meanwhile_is_begun_anew(server, cellar):
    """If-Range makes a proper server send the whole of its new file."""
    new = server.serve(OTHER, etag='"2"')
    cellar.fetch(url=server.on("/wine", server.serve(cut=200_000), new))
    assert cellar.holds(OTHER) and server.ranges == [None, "bytes=200000-"]


@pytest.mark.parametrize("etag", ['"2"', ""])
def test_a_server_that_ignores_if_range(server, cellar, etag):
    """It goes on with another file: seen by its ETag, or by its length."""

    def careless(handler) -> None:
        handler.headers.replace_header("If-Range", etag)
        server.serve(OTHER, etag=etag)(handler)

    url = server.on("/wine", server.serve(cut=200_000), careless, server.serve(OTHER, etag=etag))
    cellar.fetch(url=url)
    assert cellar.holds(OTHER) and server.ranges == [None, "bytes=200000-", None]


@pytest.mark.parametrize("sha256", ["", "whole"])
def test_a_server_that_ignores_ranges(server, cellar, sha256):
    url = server.on("/wine", server.plain(cut=200_000), server.plain())
    cellar.fetch(url=url, sha256=sha256 and server.sha256)
    assert cellar.holds()
    assert [request.sent for request in server.requests] == [200_000, len(server.content)]


def test_a_server_that_always_cuts_is_given_up(server, cellar):
    url = server.on("/wine", server.plain(cut=200_000))
    assert "IncompleteRead" in cellar.refuses(url=url)
    assert len(server.requests) == 6  # one that brought bytes, five that brought none more


def test_a_part_of_another_address_counts_only_with_a_published_hash(server, cellar, monkeypatch):
    monkeypatch.setattr("adagen.data.downloads.ATTEMPTS", 1)
    first = server.on("/first", server.serve(cut=200_000), server.status(500))
    second = server.on("/second", server.serve(etag='"of another server"'))
    cellar.fetch(url=first, mirrors=(second,), sha256=server.sha256)
    assert cellar.holds() and server.ranges[-1] == "bytes=200000-"
    assert server.requests[-1].if_range is None

    cellar.path.unlink()
    cellar.pin.unlink()
    server.on("/first", server.serve(cut=200_000), server.status(500))
    cellar.fetch(url=first, mirrors=(second,))
    assert cellar.holds() and server.ranges[-1] is None


# Wrong bytes


def test_wrong_bytes_never_appear(server, cellar):
    url = server.on("/wine", server.serve(OTHER))
    message = cellar.refuses(url=url, sha256=server.sha256)
    assert sha256(OTHER).hexdigest() in message and f"{server.sha256} is published" in message
    assert not cellar.part.exists() and len(server.requests) == 1


def test_wrong_bytes_at_one_address(server, cellar):
    wrong = server.on("/wrong", server.serve(OTHER))
    right = server.on("/right", server.serve())
    cellar.fetch(url=wrong, mirrors=(right,), sha256=server.sha256)
    assert cellar.holds()


def test_a_spoilt_part_gets_a_second_chance_in_one_piece(server, cellar):
    cellar.folder.mkdir()
    cellar.part.write_bytes(b"x" * 200_000)
    cellar.fetch(url=server.on("/wine", server.serve()), sha256=server.sha256)
    assert cellar.holds() and server.ranges == ["bytes=200000-", None]


@pytest.mark.parametrize("size", [1, 10_000_000])
def test_a_wrong_size_is_seen_before_the_download(server, cellar, size):
    message = cellar.refuses(url=server.on("/wine", server.serve()), size=size)
    assert f"has 600,000 bytes there, but {size:,} are expected" in message
    assert server.requests[0].sent < len(server.content) or size == 1


def test_a_server_that_lies_about_the_length(server, cellar):
    """It promises more than it has, or less."""
    url = server.on("/wine", server.plain(length=700_000))
    assert "could not be fetched" in cellar.refuses(url=url, sha256=server.sha256)
    url = server.on("/wine", server.plain(length=500_000))
    assert "is published" in cellar.refuses(url=url, sha256=server.sha256)


def test_a_web_page_is_not_the_file(server, cellar):
    page = server.plain(b"<html>Log in</html>", Content_Type="text/html; charset=utf-8")
    good = server.on("/good", server.serve())
    assert "web page" in cellar.refuses(url=server.on("/wine", page))
    cellar.fetch(url=server.on("/wine", page), mirrors=(good,))
    assert cellar.holds()


def test_a_file_of_unknown_length_is_taken_only_if_a_cut_would_show(server, cellar):
    def endless(handler) -> None:
        handler.start(200, Connection="close")
        handler.body(server.content)
        handler.close_connection = True

    url = server.on("/wine", endless)
    assert "doesn't say how long" in cellar.refuses(url=url)
    cellar.fetch(url=url, sha256=server.sha256)
    assert cellar.holds()


def test_compression_is_refused(server, cellar):
    url = server.on("/wine", server.plain(Content_Encoding="gzip"))
    assert "compressed" in cellar.refuses(url=url)


# Errors


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, cellar, code):
    busy = server.status(code, Retry_After=0)
    cellar.fetch(url=server.on("/wine", busy, busy, server.serve()))
    assert cellar.holds() and len(server.requests) == 3


def test_a_server_that_asks_to_wait_is_obeyed(server, cellar, monkeypatch):
    slept = []
    monkeypatch.setattr("tenacity.sleep_using_event", lambda event: slept.append)
    busy = [server.status(503, Retry_After=7), server.status(429, Retry_After=9999)]
    cellar.fetch(url=server.on("/wine", *busy, server.serve()))
    assert slept == [7, 120]


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_missing_file_is_not_asked_for_again(server, cellar, code):
    gone, good = server.on("/gone", server.status(code)), server.on("/good", server.serve())
    cellar.fetch(url=gone, mirrors=(good,))
    assert cellar.holds() and [request.path for request in server.requests] == ["/gone", "/good"]


def test_every_address_is_told_with_its_error(server, cellar):
    addresses = {
        server.on("/gone", server.status(404)): "404 Not Found",
        server.on("/busy", server.status(503)): "503 Service Unavailable",
        server.on("/other", server.serve(OTHER)): "has the SHA-256",
        "http://127.0.0.1:9/wine": "refused",
        "gopher://nowhere/wine": "No connection adapters",
    }
    url, *mirrors = addresses
    message = cellar.refuses(url=url, mirrors=tuple(mirrors), sha256=server.sha256)
    *told, last = message.split("; ")
    assert len([*told, last]) == len(addresses) and "\n" not in message
    for text, (address, reason) in zip([*told, last], addresses.items(), strict=True):
        assert f"{address}: " in text and reason in text
    assert "'wine'" in told[0] and "ADAGEN_MIRROR" in last


def test_one_failure_does_not_stop_the_others(server, cellar):
    from adagen.config import Asset
    from adagen.data import downloads, fetching

    settings = cellar.settings(url=server.on("/wine", server.serve()))
    terms = {"licence": "MIT", "description": "White."}
    for name in ("cider", "ale"):
        url = server.on(f"/{name}", server.status(404))
        settings.catalogue[name] = Asset(file=f"{name}.pth", url=url, **terms)
    with pytest.raises(AdagenError) as error, downloads.DownloadBar() as bar:
        fetching.fetch(settings, ["cider", "wine", "ale"], mirror="", jobs=2, bar=bar, say=print)
    assert cellar.read() == server.content
    assert "2 of 3 assets are missing" in str(error.value)
    assert "cider.pth" in str(error.value) and "ale.pth" in str(error.value)


# Interruption


def test_an_interrupt_before_everything_has_begun_stops_what_has(server, cellar, monkeypatch):
    """Ctrl-C may come while files are still being handed out to threads."""
    submit = ThreadPoolExecutor.submit

    def interrupted(pool, task):
        submit(pool, task)
        while not cellar.part.exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    url = server.on("/wine", server.serve(server.content * 10, seconds=0.02))  # 12 seconds
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        cellar.fetch(url=url)
    assert time.monotonic() - began < 6
    assert cellar.part.exists() and not cellar.path.exists()
