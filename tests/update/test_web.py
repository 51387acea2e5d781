"""What a place on the web may do to whoever asks it: little, and not for long."""

import gzip
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError

from openclawd.update.web import Patience, WebPlace, _followed
from tests.update.web_server import WebServer, dripping, redirect, send

# No file that is not there within it is waited for; as short as it may be where nobody is slow.
SHORT = Patience(grace_s=0.3, bytes_per_s=10**9, connect_s=0.3)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "a+b").write_bytes(b"content")
    with WebServer(tmp_path).serving() as server:
        yield server


def copied(place: WebPlace, path: str = "a+b", length: int = 7) -> bytes:
    into = BytesIO()
    place.copy(path, into, length, lambda _: None)
    return into.getvalue()


def test_a_file_comes_as_it_lies_there(server: WebServer) -> None:
    assert copied(WebPlace(server.url)) == b"content"


def test_how_much_has_come_is_told(server: WebServer) -> None:
    told: list[int] = []
    WebPlace(server.url).copy("a+b", BytesIO(), 7, told.append)
    assert told[-1] == 7


def test_an_address_may_end_in_a_slash(server: WebServer) -> None:
    assert copied(WebPlace(f"{server.url}/")) == b"content"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nx-long: ",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["status line", "head", "body", "body without a length"],
)
def test_whoever_drips_is_left(server: WebServer, head: bytes) -> None:
    server.bad["a+b"] = dripping(server.closing, head)
    with pytest.raises((SlowRetrievalError, DownloadError)):
        copied(WebPlace(server.url, SHORT), length=100_000)


def test_a_server_that_accepts_and_is_silent_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(SlowRetrievalError):
            copied(WebPlace(f"http://127.0.0.1:{port}", SHORT))


def test_a_redirect_on_the_same_way_is_followed(server: WebServer) -> None:
    server.bad["moved"] = redirect("/targets/a+b")
    assert copied(WebPlace(server.url), "moved") == b"content"


def test_a_circle_of_redirects_ends(server: WebServer) -> None:
    server.bad["moved"] = redirect("moved")
    with pytest.raises(DownloadError, match="sends us on more than"):
        copied(WebPlace(server.url), "moved")


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/y"])
def test_a_redirect_to_something_else_is_refused(server: WebServer, to: str) -> None:
    server.bad["moved"] = redirect(to)
    with pytest.raises(DownloadError):
        copied(WebPlace(server.url), "moved")


def test_a_redirect_out_of_the_encryption_is_refused() -> None:
    asked, onward = httpx.Request("GET", "https://a/x"), httpx.Request("GET", "http://a/x")
    with pytest.raises(DownloadError, match="from https: to http:"):
        _followed(asked, onward)
    assert _followed(onward, asked) is asked


def test_it_is_asked_for_as_it_lies_there(server: WebServer) -> None:
    asked: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler, data: bytes) -> None:
        asked.append(request.headers["accept-encoding"])
        send(request, data)

    server.bad["a+b"] = answer
    copied(WebPlace(server.url))
    assert asked == ["identity"]


def test_nothing_is_unpacked_on_the_way(server: WebServer) -> None:
    """A small answer that becomes a large one: its size is that of what was sent."""

    def packed(request: BaseHTTPRequestHandler, _data: bytes) -> None:
        body = gzip.compress(bytes(10_000_000))
        request.send_response(200)
        request.send_header("content-encoding", "gzip")
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    server.bad["a+b"] = packed
    assert len(copied(WebPlace(server.url), length=20_000)) < 20_000


def test_the_disk_being_full_is_not_the_servers_fault(server: WebServer) -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):  # noqa: PTH123
        WebPlace(server.url).copy("a+b", full, 7, lambda _: None)


def test_metadata_that_is_not_there_is_a_404(server: WebServer) -> None:
    place = WebPlace(server.url)
    with pytest.raises(DownloadHTTPError) as missing:
        place.fetcher.download_bytes(f"{place.metadata_url}2.root.json", 100)
    assert missing.value.status_code == 404


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[", "http://a b/"])
def test_an_address_that_cannot_be_asked_is_a_sentence(url: str) -> None:
    with pytest.raises(DownloadError) as failed:
        copied(WebPlace(url, SHORT))
    assert "Traceback" not in str(failed.value)


def test_a_password_in_an_address_is_for_the_server_only(server: WebServer) -> None:
    place = WebPlace(server.url.replace("http://", "http://owner:secret@") + "/?key=secret")
    assert place.name == f"{server.url}/"


def test_the_patience_for_metadata_is_for_what_it_may_be_large(server: WebServer) -> None:
    """A mirror that drips holds up the next one, for as long as a file of that size takes, no longer."""
    server.bad["timestamp.json"] = dripping(server.closing, b"")
    place = WebPlace(server.url, SHORT)
    with pytest.raises((SlowRetrievalError, DownloadError), match=r"16384 bytes in|broke off"):
        place.fetcher.download_bytes(f"{place.metadata_url}timestamp.json", 16384)


def test_patience_grows_with_the_file() -> None:
    assert Patience(grace_s=30, bytes_per_s=1000).for_bytes(5000) == 35
