"""What is nearly right, from grammars: frames, params, `connect`, configs, heads, whole connections."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openclawd.config.model import Config
from openclawd.methods.method import AnyParams
from openclawd.methods.table import METHODS
from openclawd.protocol.codec import structure
from openclawd.protocol.connect import ConnectParams
from tests.auth.clients import BACKEND, CLI, CONTROL_UI, DEVICE, NODE, PASSWORD, TOKEN, connect
from tests.fuzz import targets
from tests.fuzz.grammar import configs, fitting, json5, junk, nearly, requests, texts
from tests.support.raw_websocket import UPGRADE, client_frame

pytestmark = pytest.mark.fuzz

_SLOW_TO_DRAW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
many = settings(max_examples=1000, deadline=None, suppress_health_check=_SLOW_TO_DRAW)
some = settings(max_examples=400, deadline=None, suppress_health_check=_SLOW_TO_DRAW)

PARAMS = sorted(name for name, method in METHODS.items() if method.params is not AnyParams)


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


# --- frames and params


@pytest.mark.parametrize("method", PARAMS)
def test_what_a_method_says_it_takes_it_takes(method: str) -> None:
    cls = METHODS[method].params

    @settings(max_examples=30, deadline=None, suppress_health_check=_SLOW_TO_DRAW)
    @given(fitting(cls))
    def taken(params: Any) -> None:
        structure(params, cls)

    taken()


@many
@given(requests())
def test_a_request_of_any_method_is_taken_or_refused_by_name(request: Any) -> None:
    targets.frame(as_bytes(request))


# --- connect


_SECRETS = st.sampled_from((TOKEN, PASSWORD, targets.DEVICE_TOKEN, "guessed"))
# What lets a handshake get past the first checks, most of the time.
_PASSING = st.fixed_dictionaries(
    {"minProtocol": st.just(3), "maxProtocol": st.sampled_from((3, 4))},
    optional={
        "role": st.sampled_from(("operator", "node")),
        "client": st.sampled_from((BACKEND, CLI, CONTROL_UI, NODE)),
        "device": st.just(connect(token=TOKEN, device=DEVICE)["device"]),
        "auth": st.dictionaries(st.sampled_from(("token", "deviceToken", "password")), _SECRETS),
    },
)
_CONNECTS = nearly(
    st.builds(lambda params, passing: params | passing, fitting(ConnectParams), _PASSING), slips=1
)


@many
@given(nearly(fitting(ConnectParams)) | _CONNECTS)
def test_a_connect_is_decided_whatever_it_holds(params: Any) -> None:
    targets.connect(as_bytes(params))


# --- configs


@some
@given(json5(nearly(configs(Config))))
def test_a_config_gives_settings_or_an_error_that_names_the_place(text: str) -> None:
    targets.config(text.encode())


@some
@given(json5(nearly(configs(Config), slips=1)), st.integers(0, 400), st.text(max_size=2))
def test_so_does_one_with_a_slip_of_the_keyboard(text: str, place: int, slip: str) -> None:
    targets.config((text[:place] + slip + text[place + 1 :]).encode())


@some
@given(json5(nearly(configs(Config), slips=1)))
def test_a_config_can_be_shown_taken_back_and_edited(text: str) -> None:
    targets.editing(text.encode())


# --- heads


_NAMES = ("Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Content-Length")
_MORE_NAMES = (
    "Transfer-Encoding",
    "Expect",
    "Accept-Encoding",
    "If-None-Match",
    "Authorization",
    "X-Forwarded-For",
    "",
)
_VALUES = (
    "localhost",
    "websocket",
    "h2c, websocket",
    "keep-alive, Upgrade",
    "close",
    "13",
    "dGhlIHNhbXBsZSBub25jZQ==",
    "0",
    "5",
    "5, 5",
)
_MORE_VALUES = (
    "-1",
    "chunked",
    "gzip, chunked",
    "100-continue",
    "gzip;q=0",
    '"a", W/"b"',
    "Bearer x",
    " ",
    "a\tb",
    "é",
)
_TARGETS = (
    "/",
    "*",
    "//",
    "/?",
    "/ui/x",
    "/avatar/main",
    "/avatar/%00",
    "/..%2f..",
    "/assets/x.js",
    "/readyz",
    "http://[",
    "http://h/x?y=%zz",
    "h:1",
    "/" + "a" * 300,
)
_headers = st.lists(
    st.tuples(st.sampled_from(_NAMES + _MORE_NAMES), st.sampled_from(_VALUES + _MORE_VALUES)), max_size=7
)


# A good handshake, but for what the other headers make of it.
_UPGRADE = [line.decode() for line in UPGRADE.split(b"\r\n")[2:] if line]


@st.composite
def _heads(draw: st.DrawFn, *always: list[str]) -> bytes:
    method = draw(st.sampled_from(("GET", "GET", "GET", "HEAD", "POST", "CONNECT", "")))
    version = draw(st.sampled_from(("HTTP/1.1",) * 7 + ("HTTP/1.0", "HTTP/1.9", "")))
    lines = [f"{method} {draw(st.sampled_from(_TARGETS))} {version}"]
    lines += ["Host: localhost"] * draw(st.sampled_from((1, 1, 1, 0)))
    lines += draw(st.sampled_from(always or ([], [], _UPGRADE)))
    lines += [f"{name}: {value}" for name, value in draw(_headers)]
    end = draw(st.sampled_from(("\r\n", "\n")))
    body = draw(st.sampled_from((b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"\x81\x80\0\0\0\0")))
    return end.join([*lines, "", ""]).encode() + body


@some
@given(st.lists(_heads(), min_size=1, max_size=3))
def test_every_head_is_answered_in_http_or_not_at_all(heads: list[bytes]) -> None:
    targets.head(b"".join(heads))


# --- connections

_PAYLOADS = st.builds(as_bytes, requests() | junk) | st.binary(max_size=200) | texts.map(str.encode)
_CONNECT = as_bytes(
    {
        "type": "req",
        "id": "1",
        "method": "connect",
        "params": {
            "minProtocol": 3,
            "maxProtocol": 4,
            "client": {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"},
            "role": "operator",
            "scopes": ["operator.admin"],
            "auth": {"token": "0123456789abcdef0123456789abcdef0123456789abcdef"},
        },
    }
)
_OPENINGS = st.sampled_from((0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A, 0xC1, 0x83, 0xFF))
_FRAMES = st.builds(
    client_frame,
    _PAYLOADS | st.just(_CONNECT),
    first=_OPENINGS,
    masked=st.sampled_from((True,) * 7 + (False,)),
)
_PAUSES = st.sampled_from((0, 0, 0, 0.5, 4, 9.9, 12))


@st.composite
def _visits(draw: st.DrawFn) -> list[tuple[float, bytes]]:
    """Frames, the first of them often a good `connect`, in pieces that may end anywhere."""
    frames = [client_frame(_CONNECT)] if draw(st.booleans()) else []
    said = b"".join(frames + draw(st.lists(_FRAMES, max_size=5)))
    cuts = sorted(draw(st.lists(st.integers(0, len(said)), max_size=2)))
    ends = [*cuts, len(said)]
    return [(draw(_PAUSES), said[start:end]) for start, end in zip([0, *cuts], ends, strict=True)]


@some
@given(_visits(), st.just(UPGRADE) | _heads(_UPGRADE))
def test_a_connection_ends_by_its_deadlines_whatever_it_says(
    pieces: list[tuple[float, bytes]], head: bytes
) -> None:
    targets.visit(pieces, head)
