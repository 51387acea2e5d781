"""TLS over real sockets, with OpenSSL's own client at the other end."""

import os
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import attrs
import pytest
import trio

from openclawd.net.stream import UpgradedStream
from openclawd.net.tls import TlsStream, server_context
from openclawd.net.tls_handshake import accept_tls
from openclawd.protocol.closes import Close
from openclawd.protocol.websocket_frames import close_frame
from tests.support.certificate import server_certificate

MUCH = b"0123456789abcdef" * 250_000
Client = trio.SSLStream[trio.SocketStream]


@attrs.frozen
class Ends:
    """Both sides after the handshake."""

    ours: TlsStream
    theirs: Client


Encrypted = Callable[[], AbstractAsyncContextManager[Ends]]


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's, and a client's that trusts it."""
    folder = tmp_path_factory.mktemp("tls")
    _, certificate = server_certificate(folder)
    server = server_context()
    server.load_cert_chain(certificate, folder / "key.pem")
    return server, ssl.create_default_context(cafile=certificate)


@pytest.fixture
def encrypted(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Encrypted:
    @asynccontextmanager
    async def opened() -> AsyncGenerator[Ends, None]:
        async with raw_pair() as (ours, theirs):
            ends: list[TlsStream | None] = []

            async def accept() -> None:
                ends.append(await accept_tls(ours, contexts[0], nobody_is_told))

            client = trio.SSLStream(theirs, contexts[1], server_hostname="localhost", https_compatible=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(accept)
                nursery.start_soon(client.do_handshake)
            (accepted,) = ends
            assert accepted is not None
            yield Ends(accepted, client)

    return opened


@asynccontextmanager
async def raw_pair() -> AsyncGenerator[tuple[trio.SocketStream, trio.SocketStream], None]:
    """A connection over loopback, which has addresses."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    theirs = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
    ours = await listener.accept()
    async with listener, ours, theirs:
        with trio.fail_after(30):
            yield ours, theirs


def nobody_is_told(fields: Mapping[str, object]) -> None:
    raise AssertionError(fields)


async def received(stream: Client, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive_some(65536)
    return data


Told = list[Mapping[str, object]]


# --- an encrypted stream


async def test_what_either_side_says_reaches_the_other(encrypted: Encrypted) -> None:
    async with encrypted() as ends:
        await ends.theirs.send_all(b"hello")
        assert await ends.ours.receive_some() == b"hello"
        await ends.ours.send_all(b"and you")
        assert await received(ends.theirs, 7) == b"and you"


async def test_what_the_network_takes_at_once_is_out_without_waiting(encrypted: Encrypted) -> None:
    async with encrypted() as ends:
        assert ends.ours.write_now(b"an event")
        assert await received(ends.theirs, 8) == b"an event"


async def test_what_it_does_not_take_is_kept_and_goes_out_before_what_is_sent_next(
    encrypted: Encrypted,
) -> None:
    async with encrypted() as ends, trio.open_nursery() as nursery:
        assert not ends.ours.write_now(MUCH)
        assert not ends.ours.write_now(b"then ")
        nursery.start_soon(ends.ours.send_all, b"the end")
        assert await received(ends.theirs, len(MUCH) + 12) == MUCH + b"then the end"


async def test_several_writers_do_not_get_into_each_others_words(encrypted: Encrypted) -> None:
    parts = [bytes([letter]) * 300_000 for letter in b"abcd"]
    async with encrypted() as ends, trio.open_nursery() as nursery:
        for part in parts:
            nursery.start_soon(ends.ours.send_all, part)
        await trio.testing.wait_all_tasks_blocked()
        assert not ends.ours.write_now(b"e")
        nursery.start_soon(ends.ours.send_all, b"")
        data = await received(ends.theirs, 1_200_001)
    assert sorted(data[at : at + 300_000] for at in range(0, 1_200_000, 300_000)) == parts
    assert data[-1:] == b"e"


async def test_both_may_say_a_lot_at_the_same_time(encrypted: Encrypted) -> None:
    async with encrypted() as ends, trio.open_nursery() as nursery:
        ends.ours.write_now(MUCH)
        nursery.start_soon(ends.ours.send_all, b"")
        nursery.start_soon(ends.theirs.send_all, MUCH)
        heard = bytearray()

        async def hear() -> None:
            while len(heard) < len(MUCH):
                heard.extend(await ends.ours.receive_some(65536))

        nursery.start_soon(hear)
        assert await received(ends.theirs, len(MUCH)) == MUCH
    assert heard == MUCH


async def test_a_websocket_over_it_writes_without_a_task_and_keeps_the_order(encrypted: Encrypted) -> None:
    async with encrypted() as ends, trio.open_nursery() as nursery:
        stream = UpgradedStream(ends.ours, b"", b"")
        assert stream.write_now(b"first ")
        assert not stream.write_now(MUCH)
        nursery.start_soon(stream.send_all, b"")
        assert await received(ends.theirs, len(MUCH) + 6) == b"first " + MUCH


async def test_a_close_frame_that_the_network_does_not_take_at_once_goes_out_all_the_same(
    encrypted: Encrypted,
) -> None:
    async with encrypted() as ends, trio.open_nursery() as nursery:
        stream = UpgradedStream(ends.ours, b"", b"")

        assert not stream.write_now(MUCH)
        assert not stream.write_close(b"the end")
        nursery.start_soon(stream.finish_close)

        assert await received(ends.theirs, len(MUCH) + 7) == MUCH + b"the end"


@pytest.mark.parametrize("proper", [True, False], ids=["close_notify", "truncated"])
async def test_a_peer_that_ends_has_ended_whether_it_says_so_or_not(
    encrypted: Encrypted, proper: bool
) -> None:
    async with encrypted() as ends:
        await ends.theirs.send_all(b"last")
        if proper:
            await ends.theirs.aclose()
        else:
            await ends.theirs.transport_stream.aclose()
        assert await ends.ours.receive_some() == b"last"
        assert await ends.ours.receive_some() == b""
        assert await ends.ours.receive_some() == b""


async def test_a_peer_that_only_listens_any_more_still_gets_its_answer(encrypted: Encrypted) -> None:
    async with encrypted() as ends:
        await ends.theirs.send_all(b"a request")
        await ends.theirs.transport_stream.send_eof()
        assert await ends.ours.receive_some() == b"a request"
        assert await ends.ours.receive_some() == b""
        await ends.ours.send_all(b"the answer")
        assert await received(ends.theirs, 10) == b"the answer"


@pytest.mark.parametrize("way", ["send_eof", "aclose"])
async def test_our_end_is_a_proper_one(encrypted: Encrypted, way: str) -> None:
    async with encrypted() as ends:
        await ends.ours.send_all(b"that is all")
        await getattr(ends.ours, way)()
        strict = ends.theirs
        strict._https_compatible = False
        assert await received(strict, 11) == b"that is all"
        assert await strict.receive_some(1) == b""


async def test_a_websocket_that_is_left_to_another_owner_has_ended_properly(encrypted: Encrypted) -> None:
    async with encrypted() as ends:
        stream = UpgradedStream(ends.ours, b"", b"")
        frame = close_frame(Close(1012, "service restart"))
        assert stream.write_close(frame)
        descriptor = stream.part()
        assert descriptor is not None
        strict = ends.theirs
        strict._https_compatible = False
        assert await received(strict, len(frame)) == frame
        assert await strict.receive_some(1) == b""
        os.close(descriptor)


async def test_after_our_end_what_comes_is_only_waited_for(encrypted: Encrypted) -> None:
    async with encrypted() as ends:
        await ends.theirs.send_all(b"unread")
        await ends.ours.send_eof()
        await ends.theirs.transport_stream.send_eof()
        assert await ends.ours.receive_some()
        assert await ends.ours.receive_some() == b""


async def test_a_write_that_was_cut_off_breaks_the_stream(encrypted: Encrypted) -> None:
    async with encrypted() as ends:
        with trio.move_on_after(0.01) as cut:
            await ends.ours.send_all(MUCH)
        assert cut.cancelled_caught
        with pytest.raises(trio.BrokenResourceError):
            ends.ours.write_now(b"more")
        with pytest.raises(trio.BrokenResourceError):
            await ends.ours.send_all(b"more")


async def test_what_is_no_tls_any_more_ends_it(encrypted: Encrypted) -> None:
    async with encrypted() as ends:
        await ends.theirs.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert await ends.ours.receive_some() == b""


# --- the handshake


async def talk_to(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], said: bytes, told: Told, *, page_path: str = "/"
) -> bytes:
    """What a client that is no TLS client gets for `said`; `told` gets what the log does."""
    async with raw_pair() as (ours, theirs), trio.open_nursery() as nursery:

        async def serve() -> None:
            assert await accept_tls(ours, contexts[0], told.append, page_path=page_path) is None
            await ours.aclose()

        nursery.start_soon(serve)
        await theirs.send_all(said)
        answer = b""
        with suppress(trio.BrokenResourceError):
            while data := await theirs.receive_some(4096):
                answer += data
        await theirs.aclose()
        return answer
    raise AssertionError


@pytest.mark.parametrize(
    ("head", "url"),
    [
        (b"GET /x HTTP/1.1\r\nHost: box.local:18789\r\n\r\n", "https://box.local:18789/oc/"),
        (b"POST / HTTP/1.1\r\nAccept: */*\r\nhost:   [::1]:8\r\n\r\n", "https://[::1]:8/oc/"),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nHost: localhost\r\n\r\n", "https://localhost/oc/"),
        (b"GET / HTTP/1.0\r\n\r\n", "https://127.0.0.1:"),
        (b"GET / HTTP/1.1\r\nHost: <script>\r\n\r\n", "https://127.0.0.1:"),
    ],
)
async def test_plain_http_gets_a_kind_400_with_the_url_that_works(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], head: bytes, url: str
) -> None:
    told: Told = []
    answer = await talk_to(contexts, head, told, page_path="/oc/")
    start, _, body = answer.decode().partition("\r\n\r\n")
    assert start.startswith("HTTP/1.1 400 Bad Request\r\n")
    assert f"Use {url}" in body
    assert f"Content-Length: {len(body)}" in start
    ((line),) = told
    assert line["reason"] == "plain-http-on-tls"
    assert line["address"] == "127.0.0.1"
    assert str(line["next"]).startswith(url)


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 64, b"SSH-2.0-OpenSSH_9.6\r\n", b"\xff", b"GET", b"get / HTTP/1"]
)
async def test_garbage_gets_no_answer_and_no_line_in_the_log(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], garbage: bytes
) -> None:
    told: Told = []
    assert await talk_to(contexts, garbage, told) == b""
    assert told == []


async def test_a_handshake_that_stalls_ends_after_ten_seconds(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], autojump_clock: trio.testing.MockClock
) -> None:
    async with raw_pair() as (ours, theirs):
        for said in (b"", b"\x16\x03\x01"):
            if said:
                await theirs.send_all(said)
            begun = trio.current_time()
            assert await accept_tls(ours, contexts[0], nobody_is_told) is None
            assert trio.current_time() - begun == pytest.approx(10)


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_peer_that_leaves_before_the_handshake_leaves_no_line_in_the_log(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], said: bytes
) -> None:
    async with raw_pair() as (ours, theirs):
        await theirs.send_all(said)
        await theirs.aclose()
        with suppress(trio.BrokenResourceError):
            assert await accept_tls(ours, contexts[0], nobody_is_told) is None


async def failing(server: ssl.SSLContext, client: ssl.SSLContext) -> Mapping[str, object]:
    """A handshake that neither side gets through: what the log hears of it."""
    told: Told = []
    async with raw_pair() as (ours, theirs), trio.open_nursery() as nursery:

        async def connect() -> None:
            stream = client.wrap_socket(dup(theirs), do_handshake_on_connect=False)
            stream.server_hostname = "localhost"
            with stream, pytest.raises(ssl.SSLError):
                await trio.to_thread.run_sync(stream.do_handshake)

        nursery.start_soon(connect)
        assert await accept_tls(ours, server, told.append) is None
    (line,) = told
    return line


def dup(stream: trio.SocketStream) -> socket.socket:
    copy = stream.socket.dup()
    plain = socket.socket(fileno=copy.detach())
    plain.setblocking(True)
    return plain


async def test_a_client_that_does_not_know_the_certificate_is_told_of_in_words(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname = False
    line = await failing(contexts[0], stranger)
    assert line["reason"] == "tls-certificate-unknown"
    assert str(line["next"]).endswith("openclawd gateway status")


async def test_versions_before_1_2_are_refused_by_name(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    line = await failing(contexts[0], old)
    assert line == {"reason": "tls-handshake", "said": "UNSUPPORTED_PROTOCOL", "address": "127.0.0.1"}


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), ([], None), (["h2"], None)],
)
async def test_of_the_protocols_offered_http_1_1_is_chosen(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], offered: list[str], chosen: str | None
) -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    if offered:
        client.set_alpn_protocols(offered)
    async with raw_pair() as (ours, theirs), trio.open_nursery() as nursery:
        stream: Any = trio.SSLStream(theirs, client)
        nursery.start_soon(accept_tls, ours, contexts[0], nobody_is_told)
        await stream.do_handshake()
        assert stream.selected_alpn_protocol() == chosen
