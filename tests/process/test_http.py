"""HTTP on the gateway's port: the page and its headers, its config, health, and what is not HTTP at all."""

import gzip
import json
import re
import socket
from collections.abc import Generator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urljoin

import attrs
import pytest

from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.raw_websocket import KEY
from tests.support.shapes import misfits
from tests.support.wire_client import wire_client

pytestmark = pytest.mark.process

TIMEOUT_S = 10.0
PAGE_CONFIG = {
    "basePath": "",
    "assistantName": "Assistant",
    "assistantAvatar": "A",
    "assistantAgentId": "main",
}
# The smallest picture there is: one pixel of GIF.
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)


@attrs.frozen
class Answer:
    """A whole HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(gateway: GatewayProcess, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    """One request on a connection of its own; `if_none_match=...` is the header If-None-Match."""
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=TIMEOUT_S)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=names)
        return answer_of(connection.getresponse())
    finally:
        connection.close()


def get(gateway: GatewayProcess, path: str, **headers: str) -> Answer:
    return ask(gateway, "GET", path, None, **headers)


def answer_of(response: HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def raw(gateway: GatewayProcess, data: bytes) -> bytes:
    """Everything that comes back for `data` until the gateway closes."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=TIMEOUT_S) as stream:
        stream.sendall(data)
        received = b""
        while more := stream.recv(65536):
            received += more
    return received


# --- the page


def test_the_page_comes_with_its_security_headers(gateway: GatewayProcess) -> None:
    answer = get(gateway, "/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<html" in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-cache"


def test_the_page_may_talk_to_no_other_host(gateway: GatewayProcess) -> None:
    policy = get(gateway, "/").headers["content-security-policy"]
    directives = {name: sources for name, *sources in (part.split() for part in policy.split(";"))}
    assert directives["default-src"] == ["'self'"]
    assert directives["script-src"] == ["'self'"]
    for name in ("base-uri", "object-src", "frame-ancestors"):
        assert directives[name] == ["'none'"]
    sources = {source for listed in directives.values() for source in listed}
    assert sources <= {"'self'", "'none'", "'unsafe-inline'", "data:"}


@pytest.mark.parametrize("path", ["/", "/chat?session=main", "/sessions", "/some/deep/place", "/v1/models"])
def test_any_place_inside_the_page_is_the_page_with_its_files_in_reach(
    gateway: GatewayProcess, path: str
) -> None:
    answer = get(gateway, path)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<title>openclawd</title>" in answer.text
    named = set(re.findall(r'(?:src|href)="([^"#]+)"', answer.text))
    assert named
    for file in named:
        location = urljoin(path, file)
        assert location.startswith("/"), "no other host"
        found = get(gateway, location)
        assert found.status == 200
        assert not found.headers["content-type"].startswith("text/html"), location


def test_a_file_that_did_not_change_is_not_sent_again(gateway: GatewayProcess) -> None:
    first = get(gateway, "/app.js")
    again = get(gateway, "/app.js", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert get(gateway, "/app.js", if_none_match='"another"').body == first.body


def test_files_are_compressed_for_those_who_can_read_that(gateway: GatewayProcess) -> None:
    plain, packed = get(gateway, "/app.js"), get(gateway, "/app.js", accept_encoding="gzip, br")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"].lower() == "accept-encoding"
    assert len(packed.body) < len(plain.body)
    assert gzip.decompress(packed.body) == plain.body
    assert "content-encoding" not in get(gateway, "/app.js", accept_encoding="gzip;q=0").headers


@pytest.mark.parametrize("path", ["/", "/app.js", "/healthz", "/nowhere.js", "/avatar/main"])
def test_head_is_get_without_the_body(gateway: GatewayProcess, path: str) -> None:
    head, full = ask(gateway, "HEAD", path), get(gateway, path)
    assert head.status == full.status
    assert head.body == b""
    differing = {"date"}
    assert {k: v for k, v in head.headers.items() if k not in differing} == {
        k: v for k, v in full.headers.items() if k not in differing
    }


@pytest.mark.parametrize(
    "path", ["/nowhere.js", "/assets/gone.css", "/favicon.ico", "/deep/down.map", "/ui", "/ui/x"]
)
def test_a_file_that_is_missing_is_a_404_and_not_the_page(gateway: GatewayProcess, path: str) -> None:
    answer = get(gateway, path)
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/..%2f..%2fpyproject.toml",
        "/%2e%2e/__init__.py",
        "/..\\..\\pyproject.toml",
        "//etc/passwd",
        "/assets/../../__init__.py",
        "/%00.js",
    ],
)
def test_nothing_outside_the_page_is_served(gateway: GatewayProcess, path: str) -> None:
    answer = get(gateway, path)
    assert b"[project]" not in answer.body
    assert b"root:" not in answer.body
    assert b"__version__" not in answer.body
    assert answer.status in {200, 400, 404}


# --- verbs and garbage


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/v1/chat/completions", "/__openclaw/control-ui-config.json"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_verbs_are_refused(gateway: GatewayProcess, method: str, path: str) -> None:
    answer = ask(gateway, method, path, b'{"hello": 1}')
    assert (answer.status, answer.text.strip()) == (405, "Method Not Allowed")
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        b"hello there\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_one_400_and_the_end(gateway: GatewayProcess, garbage: bytes) -> None:
    received = raw(gateway, garbage)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"traceback" not in received.lower()


def test_a_head_without_an_end_is_cut_off(gateway: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=TIMEOUT_S) as stream:
        received = b""
        try:
            stream.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 200_000)
            while more := stream.recv(65536):
                received += more
        except ConnectionError:
            pass
    assert received == b"" or received.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    assert get(gateway, "/healthz").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: {KEY}\r\n",
            426,
        ),
        ("Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", 400),
        (f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n", 400),
    ],
)
def test_a_wrong_upgrade_is_answered_in_http(gateway: GatewayProcess, headers: str, status: int) -> None:
    received = raw(gateway, f"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n{headers}\r\n".encode())
    assert received.startswith(f"HTTP/1.1 {status} ".encode())


# --- connections


def test_a_connection_is_kept_for_the_next_request(gateway: GatewayProcess) -> None:
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=TIMEOUT_S)
    connection.request("GET", "/healthz")
    assert answer_of(connection.getresponse()).status == 200
    first = connection.sock
    connection.request("GET", "/app.js")
    assert answer_of(connection.getresponse()).status == 200
    assert connection.sock is first
    connection.close()


def test_pipelined_requests_are_answered_in_their_order(gateway: GatewayProcess) -> None:
    request = "GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"
    received = raw(
        gateway,
        (
            request.format("/healthz", "")
            + request.format("/nowhere.js", "")
            + request.format("/readyz", "Connection: close\r\n")
        ).encode(),
    )
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", received)
    assert statuses == [b"200", b"404", b"200"]
    assert received.index(b'"live"') < received.index(b"Not Found") < received.index(b'"ready"')


def test_an_http_1_0_client_is_answered_and_let_go(gateway: GatewayProcess) -> None:
    received = raw(gateway, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b'{"ok":true,"status":"live"}')


# --- health and config


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_health_is_live(gateway: GatewayProcess, path: str) -> None:
    answer = get(gateway, path)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert json.loads(answer.body) == {"ok": True, "status": "live"}


@pytest.mark.parametrize("path", ["/ready", "/readyz"])
def test_readiness_says_what_fails(gateway: GatewayProcess, path: str) -> None:
    answer = get(gateway, path)
    assert answer.status == 200
    assert misfits(json.loads(answer.body), {"ready": True, "failing": [], "uptimeMs": int}) == []


def test_the_page_config_needs_no_credential_where_v3_has_it(gateway: GatewayProcess) -> None:
    answer = get(gateway, "/__openclaw/control-ui-config.json")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-cache"
    assert misfits(json.loads(answer.body), PAGE_CONFIG) == []


def test_the_page_config_needs_the_token_where_v4_has_it(gateway: GatewayProcess) -> None:
    path = "/control-ui-config.json"
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}):
        answer = get(gateway, path, **headers)
        assert answer.status == 401
        assert json.loads(answer.body) == {"error": {"message": "Unauthorized", "type": "unauthorized"}}
    answer = get(gateway, path, authorization=f"Bearer {TOKEN}")
    assert misfits(json.loads(answer.body), PAGE_CONFIG | {"serverVersion": str}) == []
    assert get(gateway, f"{path}?token={TOKEN}").status == 401, "a token in a URL counts for nothing"


def test_an_agent_without_a_picture_has_none(gateway: GatewayProcess) -> None:
    assert get(gateway, "/avatar/main").status == 404
    assert json.loads(get(gateway, "/avatar/main?meta=1").body) == {"avatarUrl": None}
    assert get(gateway, "/avatar/nobody").status == 404


# --- settings


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> Generator[GatewayProcess, None, None]:
    """A gateway with another page under /claw, and an agent with a picture."""
    folder = tmp_path_factory.mktemp("custom")
    site, workspace = folder / "site", folder / "workspace"
    (site / "assets").mkdir(parents=True)
    (site / "index.html").write_text("<!doctype html><title>Another page</title>")
    (site / "assets" / "main.js").write_text("console.log('another')")
    (folder / "secret.txt").write_text("outside")
    (site / "link.txt").symlink_to(folder / "secret.txt")
    workspace.mkdir()
    (workspace / "face.gif").write_bytes(PIXEL)
    config = {
        "gateway": {"controlUi": {"basePath": "/claw", "root": str(site)}},
        "agents": {
            "list": [
                {
                    "id": "main",
                    "workspace": str(workspace),
                    "identity": {"name": "Clawd", "avatar": "face.gif"},
                },
                {"id": "thief", "workspace": str(workspace), "identity": {"avatar": "../secret.txt"}},
            ]
        },
    }
    with gateway_process(config) as running:
        yield running


def test_a_base_path_moves_the_page_and_its_config(custom: GatewayProcess) -> None:
    moved = get(custom, "/claw")
    assert (moved.status, moved.headers["location"]) == (302, "/claw/")
    assert "Another page" in get(custom, "/claw/").text
    assert "Another page" in get(custom, "/claw/chat").text
    for outside in ("/", "/chat", "/clawed/", "/__openclaw/control-ui-config.json"):
        assert get(custom, outside).status == 404
    config = json.loads(get(custom, "/claw/__openclaw/control-ui-config.json").body)
    assert misfits(config, {"basePath": "/claw", "assistantName": "Clawd", "assistantAgentId": "main"}) == []
    assert get(custom, "/healthz").status == 200


async def test_the_websocket_stays_at_the_root_under_a_base_path(custom: GatewayProcess) -> None:
    for path in ("/", "/claw/"):
        async with wire_client(custom.port, resource=path) as client:
            await client.connect(token=TOKEN)


def test_another_page_is_served_in_place_of_ours(custom: GatewayProcess) -> None:
    script = get(custom, "/claw/assets/main.js")
    assert script.body == b"console.log('another')"
    assert get(custom, "/claw/deep/place/assets/main.js").body == script.body
    assert get(custom, "/claw/app.js").status == 404
    assert get(custom, "/claw/").headers["x-frame-options"] == "DENY"


def test_a_link_out_of_the_page_is_not_followed(custom: GatewayProcess) -> None:
    assert get(custom, "/claw/link.txt").status == 404


def test_an_agents_picture_is_served_and_nothing_else_of_its_workspace(custom: GatewayProcess) -> None:
    picture = get(custom, "/claw/avatar/main")
    assert (picture.status, picture.headers["content-type"], picture.body) == (200, "image/gif", PIXEL)
    assert json.loads(get(custom, "/claw/avatar/main?meta=1").body) == {"avatarUrl": "/claw/avatar/main"}
    assert get(custom, "/claw/avatar/thief").status == 404
    assert get(custom, "/claw/avatar/..%2f..%2fsecret.txt").status == 404


async def test_without_the_page_the_rest_still_works() -> None:
    with gateway_process({"gateway": {"controlUi": {"enabled": False}}}) as gateway:
        assert get(gateway, "/").status == 404
        assert get(gateway, "/__openclaw/control-ui-config.json").status == 404
        assert get(gateway, "/healthz").status == 200
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)


def test_a_page_without_its_files_says_so(tmp_path: Path) -> None:
    with gateway_process({"gateway": {"controlUi": {"root": str(tmp_path)}}}) as gateway:
        answer = get(gateway, "/")
    assert answer.status == 503
    assert "index.html" in answer.text


# --- floods


async def test_a_flood_of_idle_sockets_keeps_no_client_out() -> None:
    """With room for 256 descriptors in all, of which a reserve is kept for everything else."""
    with gateway_process(shell="ulimit -n 256") as gateway:
        async with wire_client(gateway.port) as early:
            await early.connect(token=TOKEN)
            flood = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(400)]
            try:
                async with wire_client(gateway.port) as late:
                    await late.connect(token=TOKEN)
                    sent = await late.call(
                        "chat.send", {"sessionKey": "main", "message": "/help", "idempotencyKey": "flood"}
                    )
                    assert sent["status"] == "started"
                assert (await early.call("health"))["ok"], "who was in before stays in"
                assert get(gateway, "/healthz").status == 200
            finally:
                for stream in flood:
                    stream.close()
