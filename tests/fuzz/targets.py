"""What a stranger's bytes reach, as functions of bytes.

Each returns when the gateway took the bytes as it promises to, whether it liked them or not, and raises
otherwise. `TARGETS` has them by the names of the folders in corpus/.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import h11
import trio
from trio.abc import Stream
from trio.testing import MemoryReceiveStream, MemorySendStream, MockClock, memory_stream_pair

from openclawd.auth.bearer import BearerVerdict
from openclawd.auth.decisions import Admitted
from openclawd.auth.devices import DeviceView
from openclawd.auth.locality import Peer, peer_from_headers
from openclawd.auth.policy import Policy
from openclawd.config.covered import uncovered
from openclawd.config.edit import EditError, set_value, unset_value
from openclawd.config.load import ConfigError, load_text
from openclawd.config.paths import Paths
from openclawd.config.reading import NotReadable, parse
from openclawd.config.redact import REDACTED, redact, redact_text
from openclawd.config.settings import Flags, resolve_settings
from openclawd.config.syntax import Node, scan
from openclawd.daemon.log import as_line
from openclawd.gateway.connection import REFUSAL_TIMEOUT_S, serve_connection
from openclawd.gateway.handshake import HANDSHAKE_TIMEOUT_S
from openclawd.gateway.wire import CLOSE_PATIENCE_S
from openclawd.methods.method import AnyParams
from openclawd.methods.table import METHODS
from openclawd.net.bearer import Bearers
from openclawd.net.guard import Caller, Guard
from openclawd.net.http import Request, Response, serve_http, text
from openclawd.net.refusal_log import RefusalLog
from openclawd.net.routes import Assistant, PageConfig, Readiness, Routes
from openclawd.net.static import Site
from openclawd.net.stream import UpgradedStream
from openclawd.net.websocket import accept_websocket
from openclawd.protocol.codec import InvalidValue, NotJson, decode, encode, structure
from openclawd.protocol.connect import ConnectParams
from openclawd.protocol.frames import MalformedFrame, parse_request, response_error, response_ok
from openclawd.protocol.problems import find_problems
from tests.auth.clients import (
    DEVICE,
    LOCAL,
    NOBODY,
    PAGE,
    PASSWORD,
    PASSWORD_POLICY,
    REMOTE,
    TOKEN,
    TOKEN_POLICY,
    attempt,
    decide,
    paired,
)
from tests.auth.memory_store import MemoryStore
from tests.gateway.test_connection import desk
from tests.support.raw_websocket import UPGRADE

DEVICE_TOKEN: Final = "a-device-token-that-was-issued"

_PATHS: Final = Paths(state_dir=Path("/nowhere"), config_file=Path("/nowhere/openclaw.json"))
_SITE: Final = Path(__file__).parents[2] / "openclawd" / "control_ui"
# RFC 6455 section 5.5: what a close frame has room for behind its code.
_MAX_REASON_BYTES: Final = 123
# No stranger stays longer, and nobody who has hung up.
_ENDED_AFTER_S: Final = HANDSHAKE_TIMEOUT_S + REFUSAL_TIMEOUT_S + CLOSE_PATIENCE_S + 1
# Long for a machine that has other things to do, short for a library that waits for ever.
_ACCEPTED_AFTER_S: Final = 5
# What `find_problems` says when it finds none.
_NOTHING: Final = ("at root: validation error",)

_EDITS: Final[tuple[tuple[tuple[str, ...], object], ...]] = (
    (("gateway", "auth", "token"), "a'b"),
    (("gateway", "port"), 1),
    (("new",), {"a": [1, {}]}),
)

_WAYS_IN: Final[tuple[tuple[Peer, Policy, DeviceView], ...]] = (
    (LOCAL, TOKEN_POLICY, NOBODY),
    (PAGE, TOKEN_POLICY, NOBODY),
    (REMOTE, TOKEN_POLICY, paired(DEVICE, token=DEVICE_TOKEN)),
    (REMOTE, PASSWORD_POLICY, NOBODY),
)


def frame(data: bytes) -> None:
    """A message of a client: a request, or refused by name; its params fit the method, or it says why not."""
    try:
        request = parse_request(data)
    except NotJson:
        return
    except MalformedFrame as error:
        _assert_told(error.id, error.problem)
        return
    assert request.id
    assert request.method
    answer = {"type": "res", "id": request.id, "ok": True, "payload": request.params}
    assert decode(response_ok(request.id, request.params)) == answer
    method = METHODS.get(request.method)
    if method is not None and method.params is not AnyParams:
        _structured({} if request.params is None else request.params, method.params)


def connect(data: bytes) -> None:
    """The params of a `connect`: who shows no secret of ours stays out, and every decision can be told."""
    try:
        params = decode(data)
    except NotJson:
        return
    _structured(params, ConnectParams)
    for peer, policy, devices in _WAYS_IN:
        decision = decide(attempt(params, peer), policy, devices)
        encode(decision.log_fields())
        if isinstance(decision, Admitted):
            assert _secrets(params) & {TOKEN, PASSWORD, DEVICE_TOKEN}
            continue
        assert decision.error is not None
        response_error("1", decision.error)
        assert len(decision.close.reason.encode()) <= _MAX_REASON_BYTES


def config(data: bytes) -> None:
    """The text of a config file: settings, or an error that names the place."""
    text = data.decode("utf-8", "replace")
    try:
        resolve_settings(load_text(_PATHS, text, {}), {}, Flags())
    except ConfigError as error:
        problems = error.problems
    else:
        return
    assert problems
    for problem in problems:
        assert problem.path or problem.line is not None
        _assert_told(problem.expected, problem.text())


def editing(data: bytes) -> None:
    """A config text that is shown with its secrets covered, taken back, and edited."""
    text = data.decode("utf-8", "replace")
    try:
        document = parse(text)
    except NotReadable:
        return
    shown = redact_text(text, document)
    assert parse(shown) == redact(document)
    # What stands under a key that is given again means nothing, so nobody keeps it.
    if REDACTED not in text and not _has_twins(scan(text).root):
        assert uncovered(shown, text) == text
    for path, value in _EDITS:
        try:
            changed = set_value(text, path, value)
        except EditError:
            continue
        unset = unset_value(changed, path)
        assert _at(parse(changed), path) == value
        assert _at(parse(unset), path) is None


def head(data: bytes) -> None:
    """All that a peer says to the port before it hangs up: every answer is HTTP, and the end comes."""
    answer, methods = trio.run(_served, data, strict_exception_groups=True)
    _assert_http(answer, methods)


def connection(data: bytes) -> None:
    """What comes behind an upgrade: the connection ends by its deadlines, and no fault is logged."""
    visit([(0, data)])


def visit(pieces: Sequence[tuple[float, bytes]], head: bytes = UPGRADE) -> None:
    """The same for bytes that come in pieces, each after a pause in seconds of a clock that jumps."""
    clock = MockClock(autojump_threshold=0)
    with _no_faults():
        trio.run(_connected, head, pieces, clock=clock, strict_exception_groups=True)


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    each.__name__: each for each in (frame, connect, config, editing, head, connection)
}


def _has_twins(node: Node | None) -> bool:
    children = (node.children or ()) if node is not None else ()
    keys = [child.key for child in children if child.key is not None]
    return len(keys) > len(set(keys)) or any(_has_twins(child.value) for child in children)


def _at(value: Any, path: Sequence[str]) -> object:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _assert_told(*texts: str) -> None:
    assert all(texts)
    encode(texts)


def _structured(value: object, cls: type[Any]) -> None:
    """The fast pass and the pass that finds the words must agree."""
    problems = find_problems(value, cls)
    try:
        structure(value, cls)
    except InvalidValue as error:
        _assert_told(error.text(), error.text(first_only=True))
        fits = False
    else:
        fits = True
    assert fits == (problems == _NOTHING), problems


def _secrets(params: object) -> set[object]:
    auth = params.get("auth") if isinstance(params, dict) else None
    return set(auth.values()) if isinstance(auth, dict) else set()


async def _served(data: bytes) -> tuple[bytes, list[str]]:
    """What is answered to `data`, and the methods of the requests that were answered."""
    refusals = RefusalLog(logging.getLogger("openclawd.fuzz"), now_s=lambda: 0.0)
    guard = Guard(lambda: TOKEN_POLICY, refusals)
    routes = _routes(refusals)
    methods: list[str] = []

    async def respond(request: Request) -> Response:
        methods.append(request.method)
        caller = guard.admit(request, peer_from_headers("127.0.0.1", 4711, request.headers))
        return await routes.respond(request, caller) if isinstance(caller, Caller) else caller

    async def upgrade(stream: Stream, _request: Request, answer: bytes, trailing: bytes) -> None:
        assert data.endswith(trailing)
        with trio.fail_after(_ACCEPTED_AFTER_S):
            async with accept_websocket(UpgradedStream(stream, answer, trailing)):
                pass

    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, theirs, respond, upgrade)
        await ours.send_all(data)
        await ours.send_eof()
        answer = await _all_of(ours)
    return answer, methods


def _assert_http(answer: bytes, methods: list[str]) -> None:
    """A whole response to each request, then an upgrade or at most one that ends the connection."""
    for method in methods:
        assert answer, f"no answer to {method}"
        answer = _behind_response(answer, method)
    if answer and not answer.startswith(b"HTTP/1.1 101 "):
        # A refused upgrade may have been a HEAD.
        method = "GET" if b"\r\n\r\n" in answer and not answer.endswith(b"\r\n\r\n") else "HEAD"
        assert _behind_response(answer, method) == b""


def _behind_response(answer: bytes, method: str) -> bytes:
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="HEAD" if method == "HEAD" else "GET", target="/", headers=[("Host", "h")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(answer)
    while not isinstance(event := peer.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Response | h11.Data), event
    return bytes(peer.trailing_data[0])


class _Judge:
    policy = TOKEN_POLICY

    def judge_bearer(self, _peer: Peer, credential: str | None, _now_ms: int) -> BearerVerdict:
        return BearerVerdict(credential == TOKEN, reason="token_mismatch")


def _routes(refusals: RefusalLog) -> Routes:
    page = PageConfig(
        enabled=True,
        base_path="",
        assistant=lambda: Assistant("A", "A", "main"),
        auth_mode=lambda: "token",
        server_version="1",
    )
    return Routes(
        page=page,
        site=Site(_SITE),
        readiness=lambda: Readiness((), 1, dict),
        bearers=Bearers(_Judge(), now_ms=lambda: 0, refusals=refusals),
        metrics=lambda: text(HTTPStatus.OK, "figures"),
        avatar_file=lambda agent_id: _SITE / "favicon.svg" if agent_id == "main" else None,
    )


async def _connected(head: bytes, pieces: Sequence[tuple[float, bytes]]) -> None:
    at = await desk(MemoryStore())

    async def upgrade(stream: Stream, _request: Request, answer: bytes, trailing: bytes) -> None:
        async with (
            accept_websocket(UpgradedStream(stream, answer, trailing)) as wire,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(at.flusher.serve)
            await serve_connection(wire, LOCAL, at, settled=lambda: None)
            nursery.cancel_scope.cancel()

    async def respond(_request: Request) -> Response:
        return text(HTTPStatus.NOT_FOUND, "no upgrade")

    ours, theirs = memory_stream_pair()
    ended = trio.Event()

    async def serve() -> None:
        await serve_http(theirs, respond, upgrade)
        ended.set()

    async def say() -> None:
        try:
            for pause_s, piece in pieces:
                await trio.sleep(pause_s)
                await ours.send_all(piece)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # nobody listens any more

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await ours.send_all(head)
        nursery.start_soon(say)
        with trio.move_on_after(_ENDED_AFTER_S) as patience:
            await _all_of(ours)
        if patience.cancelled_caught:
            assert len(at.clients) == 1, "a stranger stays"
            await ours.aclose()
        with trio.fail_after(_ENDED_AFTER_S):
            await ended.wait()
        assert len(at.clients) == 0


async def _all_of(stream: trio.StapledStream[MemorySendStream, MemoryReceiveStream]) -> bytes:
    received = bytearray()
    while data := await stream.receive_some():
        received += data
    return bytes(received)


@contextmanager
def _no_faults() -> Iterator[None]:
    """Whatever goes wrong inside is logged by a fence; here it counts."""
    faults: list[logging.LogRecord] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            faults.append(record)

    collector = Collector(logging.ERROR)
    logger = logging.getLogger("openclawd")
    logger.addHandler(collector)
    try:
        yield
    finally:
        logger.removeHandler(collector)
    assert faults == [], [as_line(record) for record in faults]
