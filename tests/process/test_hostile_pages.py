"""What a browser sends on behalf of another site (R8), and what a program forges: all of it refused."""

import re
import socket
from http.client import HTTPConnection
from typing import Final

import attrs
import pytest

from tests.process.clients import BACKEND, CLI, PAGE, origin
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess
from tests.support.wire_client import wire_client

pytestmark = pytest.mark.process

TIMEOUT_S: Final = 10.0
EVIL: Final = "https://evil.example"
ROUTES: Final = (
    "/",
    "/app.js",
    "/chat?session=main",
    "/__openclaw/control-ui-config.json",
    "/control-ui-config.json",
    "/avatar/main",
    "/metrics",
    "/nowhere.js",
)
PROBES: Final = ("/health", "/healthz", "/ready", "/readyz")
COMMAND: Final = re.compile(
    r"^  openclawd (?:config set openclawd\.publicOrigin https?://\S+|dashboard)$", re.MULTILINE
)


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    text: str


def ask(
    gateway: GatewayProcess, path: str, method: str = "GET", source: str = "127.0.0.1", **headers: str
) -> Answer:
    """One request; `sec_fetch_site="none"` is the header Sec-Fetch-Site."""
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=TIMEOUT_S, source_address=(source, 0))
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=b"{}" if method == "POST" else None, headers=named)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read().decode())
    finally:
        connection.close()


@pytest.mark.parametrize("path", ROUTES)
def test_a_rebound_name_gets_one_command_and_nothing_else(gateway: GatewayProcess, path: str) -> None:
    answer = ask(gateway, path, host=f"evil.example:{gateway.port}")
    assert answer.status == 421
    assert COMMAND.search(answer.text)
    assert answer.headers["cache-control"] == "no-store"
    assert TOKEN not in answer.text


@pytest.mark.parametrize("path", [*ROUTES, *PROBES])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("asking", [EVIL, "null", "http://localhost:1"])
def test_another_sites_request_is_refused_on_every_route(
    gateway: GatewayProcess, path: str, method: str, asking: str
) -> None:
    answer = ask(gateway, path, method, origin=asking, sec_fetch_site="cross-site", sec_fetch_mode="cors")
    assert answer.status == 403
    if not path.endswith(".js"):  # see below
        assert ask(gateway, path, method, origin=asking).status == 403
    assert COMMAND.search(answer.text)
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", [*ROUTES, *PROBES])
@pytest.mark.parametrize("dest", ["image", "script", "style", "iframe", "embed", "object"])
def test_another_site_loads_and_frames_no_part_of_the_gateway(
    gateway: GatewayProcess, path: str, dest: str
) -> None:
    mode = "navigate" if dest in {"iframe", "embed", "object"} else "no-cors"
    answer = ask(gateway, path, sec_fetch_site="cross-site", sec_fetch_mode=mode, sec_fetch_dest=dest)
    assert answer.status == 403


def test_a_script_of_the_page_is_no_secret_and_of_no_use_elsewhere(gateway: GatewayProcess) -> None:
    """Behind a proxy that changes the Host it looks foreign: the page must load to say what is wrong."""
    answer = ask(gateway, "/app.js", origin=EVIL)
    assert answer.status == 200
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers
    assert ask(gateway, "/app.js", "POST", origin=EVIL).status == 403


def test_a_link_on_another_site_opens_the_page(gateway: GatewayProcess) -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert ask(gateway, "/", **link).status == 200
    # Whatever else a link says, the page talks to where it came from.
    answer = ask(gateway, "/?gatewayUrl=wss://evil.example", **link)
    assert answer.status == 200
    assert "connect-src 'self';" in answer.headers["content-security-policy"] + ";"


@pytest.mark.parametrize("path", [*ROUTES, *PROBES])
def test_every_answer_says_that_it_is_for_no_other_site(gateway: GatewayProcess, path: str) -> None:
    headers = ask(gateway, path, host="localhost").headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("headers", "policy"),
    [
        ({"sec_fetch_site": "none", "user_agent": "Mozilla/5.0"}, "same-origin"),
        ({"user_agent": "curl/8"}, "same-origin"),
        # At an insecure place a browser only complains of it.
        ({"user_agent": "Mozilla/5.0"}, None),
    ],
)
def test_the_page_has_its_window_to_itself_where_browsers_know_how(
    gateway: GatewayProcess, headers: dict[str, str], policy: str | None
) -> None:
    answer = ask(gateway, "/", **headers)
    assert answer.headers.get("cross-origin-opener-policy") == policy


@pytest.mark.parametrize("path", PROBES)
def test_a_probe_may_ask_under_any_name_and_learns_little(gateway: GatewayProcess, path: str) -> None:
    here, elsewhere = ask(gateway, path, host="localhost"), ask(gateway, path, host="pod-7.cluster.example")
    assert (here.status, elsewhere.status) == (200, 200)
    assert elsewhere.text in ('{"ok":true,"status":"live"}', '{"ready":true}')


def test_readiness_in_detail_is_for_this_machine_and_who_has_the_secret(gateway: GatewayProcess) -> None:
    assert '"uptimeMs"' in ask(gateway, "/readyz", host="localhost").text
    elsewhere = {"host": "192.0.2.5"}
    assert ask(gateway, "/readyz", **elsewhere).text == '{"ready":true}'
    assert '"eventLoop"' in ask(gateway, "/readyz", authorization=f"Bearer {TOKEN}", **elsewhere).text
    wrong = ask(gateway, "/readyz", authorization="Bearer wrong", **elsewhere)
    assert (wrong.status, wrong.text) == (200, '{"ready":true}')


def test_a_proxy_that_nobody_trusts_makes_nobody_local(gateway: GatewayProcess) -> None:
    answer = ask(gateway, "/readyz", host="localhost", x_forwarded_for="127.0.0.1")
    assert answer.text == '{"ready":true}'


@pytest.mark.parametrize(
    "target", ["http://evil.example/", "http://evil.example:80/app.js", "http://localhost@evil.example/"]
)
def test_what_the_request_line_names_counts_before_the_host(gateway: GatewayProcess, target: str) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=TIMEOUT_S) as stream:
        stream.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert stream.recv(65536).startswith((b"HTTP/1.1 421 ", b"HTTP/1.1 400 "))


# --- the WebSocket


@pytest.mark.parametrize("client", [PAGE, BACKEND, CLI], ids=lambda client: client["id"])
@pytest.mark.parametrize(
    ("host", "asking"),
    [
        ("localhost", EVIL),
        ("localhost", "null"),
        ("127.0.0.1", "http://127.0.0.1.evil.example"),
        ("evil.example", "http://evil.example"),
        ("evil.local", "http://evil.local"),
        ("192.0.2.5", "http://192.0.2.5:8080"),
    ],
)
async def test_another_sites_page_gets_no_connection_even_with_the_token(
    gateway: GatewayProcess, client: dict[str, str], host: str, asking: str
) -> None:
    """CSWSH and DNS rebinding: the token alone does not make up for the wrong page."""
    device = Device()
    async with wire_client(gateway.port, host_header=host, headers=origin(asking)) as socket_:
        refusal = await socket_.refusal(token=TOKEN, device=device, client=client, protocol=(4, 4))
    assert refusal.error["details"]["code"] == "CONTROL_UI_ORIGIN_NOT_ALLOWED"
    assert refusal.close[0] == 1008
    (line,) = gateway.decisions("refused", device=device.id)
    assert (line["reason"], line["host"], line["origin"]) == ("origin-not-allowed", host, asking)
    assert line["next"]


# --- the log


def test_each_kind_of_refusal_is_one_line_that_says_it_all(gateway: GatewayProcess) -> None:
    for _ in range(20):
        ask(gateway, "/", source="127.0.0.3", host="only-here.example", x_forwarded_for="203.0.113.9")
    (line,) = gateway.decisions("refused", host="only-here.example")
    expected = {
        "reason": "host-not-known",
        "address": "127.0.0.3",
        "method": "GET",
        "path": "/",
        "next": "if the name is yours: openclawd config set openclawd.publicOrigin https://only-here.example",
    }
    assert {name: line[name] for name in expected} == expected
