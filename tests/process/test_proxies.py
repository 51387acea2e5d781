"""First contact through what people put before a gateway (R10): nginx, Tailscale Serve, a forwarded port.

Each way ends connected, by no other means than the commands that the page and the log name.
"""

import json
import socket
import ssl
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from tests.process.fronts import Browser
from tests.support import nginx as front
from tests.support.certificate import server_certificate
from tests.support.forwarder import forwarder
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.nginx import nginx

pytestmark = pytest.mark.process

TRUSTED: Final = {"trustedProxies": ["127.0.0.1"]}
BASE: Final = {"controlUi": {"basePath": "/claw"}}
MACHINE: Final = socket.gethostname().partition(".")[0].lower()
SET: Final = "openclawd config set openclawd.publicOrigin "
ADD: Final = "openclawd config set gateway.controlUi.allowedOrigins "
APPROVE: Final = "openclawd devices approve REQUEST"


@attrs.frozen
class Way:
    """One set-up, and the commands that it takes. `host` and `takes` may name the proxy's PORT."""

    name: str
    host: str
    takes: tuple[str, ...]
    headers: front.Headers = front.FORWARDED
    gateway: dict[str, Any] = attrs.field(factory=dict)
    openclawd: dict[str, Any] = attrs.field(factory=dict)
    prefix: str = ""
    strip: bool = False
    tls: bool = False
    address: str = "127.0.0.1"
    """Whom the log names in the end."""


WAYS: Final = (
    # What the proxy keeps to itself cannot be known; at a loopback name it looks like a forwarded port.
    Way("no headers, at an address", "127.0.0.1:PORT", (), front.NOTHING),
    # Nothing tells it from a forwarded port: who holds the secret there is the owner.
    Way("no headers, at a name", "gw.test:PORT", (SET + "http://gw.test:PORT",), front.NOTHING),
    Way("the Host only, at a name", "gw.test:PORT", (SET + "http://gw.test:PORT", APPROVE), front.HOST),
    Way("a proxy that is not trusted", "gw.test:PORT", (SET + "http://gw.test:PORT", APPROVE)),
    Way(
        "a trusted one",
        "gw.test:PORT",
        (SET + "http://gw.test:PORT", APPROVE),
        gateway=TRUSTED,
        address="127.0.0.2",
    ),
    Way(
        "a trusted one that renames the Host",
        "gw.test:PORT",
        (SET + "http://gw.test:PORT", APPROVE),
        front.FORWARDED_HOST,
        TRUSTED,
        address="127.0.0.2",
    ),
    Way(
        "an untrusted one that renames the Host",
        "gw.test:PORT",
        (SET + "http://gw.test:PORT", APPROVE),
        front.FORWARDED_HOST,
    ),
    Way("TLS", "gw.test:PORT", (SET + "https://gw.test:PORT", APPROVE), tls=True),
    Way("TLS, the Host only", "gw.test:PORT", (SET + "https://gw.test:PORT", APPROVE), front.HOST, tls=True),
    Way(
        "TLS, and the port gets lost",
        "gw.test:PORT",
        (SET + "https://gw.test", ADD + "'[\"https://gw.test:PORT\"]'", APPROVE),
        front.HOST_WITHOUT_PORT,
        tls=True,
    ),
    Way(
        "TLS at an address, and the port gets lost",
        "192.0.2.5:PORT",
        (SET + "https://192.0.2.5:PORT", APPROVE),
        front.HOST_WITHOUT_PORT,
        tls=True,
    ),
    Way(
        "at the machine's own name", f"{MACHINE}.local:PORT", (APPROVE,), gateway=TRUSTED, address="127.0.0.2"
    ),
    Way("at an address", "192.0.2.5:PORT", (APPROVE,)),
    Way(
        "at a known name",
        "gw.test",
        (APPROVE,),
        tls=True,
        gateway=TRUSTED,
        openclawd={"publicOrigin": "https://gw.test"},
        address="127.0.0.2",
    ),
    Way("a base path", "192.0.2.5:PORT", (APPROVE,), gateway=BASE, prefix="/claw"),
    Way("a base path that the gateway does not know", "192.0.2.5:PORT", (APPROVE,), prefix="/claw"),
    Way("a base path that the proxy takes off", "192.0.2.5:PORT", (APPROVE,), prefix="/claw", strip=True),
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    server_certificate(folder)
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def set_up(
    request: pytest.FixtureRequest, certificate: tuple[Path, Path]
) -> Generator[tuple[Way, Browser], None, None]:
    """A gateway, nginx before it, and a browser before that."""
    way: Way = request.param
    with ExitStack() as stack:
        gateway = stack.enter_context(gateway_process({"gateway": way.gateway, "openclawd": way.openclawd}))
        port = stack.enter_context(
            nginx(
                gateway.port,
                way.headers,
                prefix=way.prefix,
                strip=way.strip,
                certificate=certificate if way.tls else None,
            )
        )
        tls = ssl.create_default_context(cafile=str(certificate[0])) if way.tls else None
        host = way.host.replace("PORT", str(port))
        yield way, Browser(gateway, port, host, f"{way.prefix}/", tls)


@pytest.mark.parametrize("set_up", WAYS, indirect=True, ids=lambda way: way.name.replace(" ", "-"))
async def test_every_way_ends_connected_by_the_commands_that_were_shown(set_up: tuple[Way, Browser]) -> None:
    way, browser = set_up
    done = await browser.arrive()
    assert [_general(command) for command in done] == [
        command.replace("PORT", str(browser.port)) for command in way.takes
    ]
    (admitted,) = browser.gateway.decisions("admitted", device=browser.device.id)
    assert admitted["address"] == way.address


def _general(command: str) -> str:
    start, word, _ = command.partition("approve ")
    return f"{start}{word}REQUEST" if word else command


# --- whom the limiter slows


@pytest.mark.parametrize(
    ("gateway", "headers", "source"),
    [
        # Nobody asked for its word, so all behind it are one; whatever they write.
        ({}, front.FORWARDED, "proxy:127.0.0.1"),
        # It appends the address that it saw.
        (TRUSTED, front.FORWARDED, "proxy:127.0.0.2"),
        (TRUSTED | {"allowRealIpFallback": True}, front.REAL_IP, "proxy:127.0.0.2"),
        (TRUSTED, front.REAL_IP, "proxy:127.0.0.1"),
    ],
    ids=["untrusted", "trusted", "real-ip", "real-ip-without-the-fallback"],
)
async def test_no_header_of_a_guesser_makes_him_another_one(
    gateway: dict[str, Any], headers: front.Headers, source: str
) -> None:
    with gateway_process({"gateway": gateway}) as running, nginx(running.port, headers) as port:
        for number in range(3):
            forged = {"X-Forwarded-For": f"198.51.100.{number}", "X-Real-IP": f"198.51.100.{number}"}
            guess = {"token": f"guess {number}"}
            browser = Browser(running, port, f"192.0.2.5:{port}", headers=forged, auth=guess)
            await browser.open_socket()
        refused = running.decisions("refused", reason="token_mismatch")
    assert len(refused) == 3
    assert {line["source"] for line in refused} == {source}


# --- a proxy that has authenticated its users


@pytest.fixture(scope="module")
def office() -> Generator[tuple[GatewayProcess, int], None, None]:
    """Mode trusted-proxy, and an nginx that says who came: whoever its `X-Who` names."""
    mode = {
        "mode": "trusted-proxy",
        "trustedProxy": {
            "userHeader": "x-forwarded-user",
            "requiredHeaders": ["x-forwarded-proto"],
            "allowUsers": ["alice@example.com"],
            "allowLoopback": True,
        },
    }
    config = {"gateway": TRUSTED | {"auth": mode}, "openclawd": {"publicOrigin": "http://office.test"}}
    who = ("X-Forwarded-User", "$http_x_who")
    no_token = {"OPENCLAW_GATEWAY_TOKEN": ""}
    with (
        gateway_process(config, environment=no_token) as gateway,
        nginx(gateway.port, (*front.FORWARDED, who)) as port,
    ):
        yield gateway, port


def at_the_office(office: tuple[GatewayProcess, int], who: str) -> Browser:
    gateway, port = office
    return Browser(gateway, port, "office.test", headers={"X-Who": who}, auth=None)


async def test_whom_the_proxy_vouches_for_is_in(office: tuple[GatewayProcess, int]) -> None:
    browser = at_the_office(office, "alice@example.com")
    assert await browser.arrive() == []
    (line,) = browser.gateway.decisions("admitted", device=browser.device.id)
    assert (line["credential"], line["address"]) == ("trusted-proxy", "127.0.0.2")
    assert browser.get("/control-ui-config.json")[0] == 200


@pytest.mark.parametrize(
    ("who", "reason"),
    [("", "trusted_proxy_user_missing"), ("mallory@example.com", "trusted_proxy_user_not_allowed")],
)
async def test_whom_it_does_not_vouch_for_is_not(
    office: tuple[GatewayProcess, int], who: str, reason: str
) -> None:
    browser = at_the_office(office, who)
    assert await browser.open_socket() is not None
    assert browser.last_refusal["reason"] == reason
    status, text = browser.get("/control-ui-config.json")
    assert (status, json.loads(text)["error"]["type"]) == (401, "unauthorized")


async def test_who_goes_round_the_proxy_can_say_what_he_likes(office: tuple[GatewayProcess, int]) -> None:
    gateway, _ = office
    forged = {"X-Forwarded-User": "alice@example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": "::1"}
    browser = Browser(gateway, gateway.port, "office.test", headers=forged, auth=None, source="127.0.0.3")
    assert await browser.open_socket() is not None
    assert browser.last_refusal["reason"] == "trusted_proxy_untrusted_source"
    assert browser.get("/control-ui-config.json")[0] == 401


# --- without nginx


async def test_tailscale_serve_needs_no_setting() -> None:
    host = f"{MACHINE}.tail1234.ts.net"
    added = {
        "X-Forwarded-For": "100.101.102.103",
        "X-Forwarded-Host": host,
        "X-Forwarded-Proto": "https",
        "Tailscale-User-Login": "me@example.com",
        "Tailscale-User-Name": "Me",
    }
    with gateway_process() as gateway:
        browser = Browser(gateway, gateway.port, host, headers=added, source="127.0.0.1", scheme="https")
        assert [_general(command) for command in await browser.arrive()] == [APPROVE]
        (line,) = gateway.decisions("admitted", device=browser.device.id)
    assert (line["host"], line["local"]) == (host, False)


async def test_a_forwarded_port_needs_no_setting() -> None:
    """#30469: `ssh -L` from another port to a gateway with `bind: lan`."""
    with gateway_process({"gateway": {"bind": "lan"}}) as gateway:
        async with forwarder(gateway.port) as port:
            browser = Browser(gateway, port, f"localhost:{port}", source="127.0.0.1")
            assert await trio.to_thread.run_sync(browser.open_page) is None
            assert await browser.open_socket() is None
        (line,) = gateway.decisions("admitted")
    assert line["local"] is True
