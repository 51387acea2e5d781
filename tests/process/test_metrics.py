"""`/metrics`, `gateway.admissions` and the event loop's lag, of a real gateway."""

import json
import socket
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.process.chats import send
from tests.process.clients import READ_ONLY
from tests.support.gateway_process import TOKEN, GatewayProcess
from tests.support.wire_client import Refused, wire_client

pytestmark = pytest.mark.process

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_in(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(gateway: GatewayProcess, **headers: str) -> str:
    """What a scraper gets over TCP. Raises HTTPError."""
    with urlopen(Request(f"{gateway.url}metrics", headers=headers), timeout=10) as answer:
        return str(answer.read().decode())


def scrape_locally(gateway: GatewayProcess) -> str:
    """The same over the local socket, without a secret."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(10)
        stream.connect(str(gateway.state / "openclawd" / "gateway.sock"))
        stream.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b""
        while more := stream.recv(65536):
            received += more
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    return body.decode()


def ready(gateway: GatewayProcess) -> dict[str, Any]:
    with urlopen(f"{gateway.url}readyz", timeout=10) as answer:
        said: dict[str, Any] = json.load(answer)
        return said


def test_who_shows_nothing_or_something_wrong_gets_401(gateway: GatewayProcess) -> None:
    for headers in ({}, {"Authorization": f"Bearer {'f' * 48}"}, {"Authorization": f"Basic {TOKEN}"}):
        with pytest.raises(HTTPError) as refused:
            scrape(gateway, **headers)
        assert refused.value.code == 401
        assert refused.value.headers["WWW-Authenticate"] == "Bearer"
        assert json.loads(refused.value.read())["error"]["type"] == "unauthorized"


async def test_what_happened_is_counted(gateway: GatewayProcess) -> None:
    before = samples_in(scrape(gateway, Authorization=f"Bearer {TOKEN}"))
    async with wire_client(gateway.port) as client:
        await client.refusal(token="e" * 48)
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        for _ in range(3):
            await client.call("health")
        with pytest.raises(Refused):
            await client.call("invented.by.a.client")
        await send(client, "counted", "How are you?")
        await client.event("chat", runId="counted", state="final")
        after = samples_in(scrape_locally(gateway))

    def more(name: str, **labels: str) -> float:
        key = name, frozenset(labels.items())
        return after.get(key, 0.0) - before.get(key, 0.0)

    assert more("openclawd_admissions_total", outcome="admitted", reason="", credential="token") == 1
    refusal = {"outcome": "refused", "reason": "token_mismatch", "credential": "token"}
    assert more("openclawd_admissions_total", **refusal) == 1
    assert more("openclawd_clients", role="operator", generation="v3") == 1
    assert more("openclawd_calls_total", method="health", outcome="ok") == 3
    assert more("openclawd_calls_total", method="unknown", outcome="refused") == 1
    assert more("openclawd_call_seconds_total", method="health") > 0
    assert more("openclawd_uptime_seconds") > 0
    assert more("openclawd_runs_total", outcome="done") == 1
    assert more("openclawd_events_published_total", event="chat") >= 1
    assert after["openclawd_runs_active", frozenset()] == 0
    assert after["openclawd_memory_peak_bytes", frozenset()] > 10e6
    assert not any("invented" in str(key) for key in after)


async def test_the_last_decisions_can_be_asked_for_by_administrators(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.refusal(token="d" * 48)
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN)
        told = await client.call("gateway.admissions", {"limit": 2})
    first, second = told["recent"]
    assert (first["outcome"], first["conn"]) == ("admitted", hello["server"]["connId"])
    assert (second["outcome"], second["reason"]) == ("refused", "token_mismatch")
    logged = gateway.decisions("refused", conn=second["conn"])[0]
    assert second.items() <= {**logged, "outcome": "refused", "ts": second["ts"]}.items()
    assert any(each["outcome"] == "refused" and each["count"] > 0 for each in told["counts"])
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, scopes=READ_ONLY)
        with pytest.raises(Refused, match=r"operator\.admin"):
            await client.call("gateway.admissions")


async def test_health_tells_of_the_event_loop(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=(4, 4))
        told = (await client.call("health", {"probe": True}))["eventLoop"]
    assert told["degraded"] is False
    assert told["delayP99Ms"] <= told["delayMaxMs"]
    assert ready(gateway)["eventLoop"].keys() == told.keys()
