"""The right credential always gets in, and who guesses gets nowhere (R1, #28997), with real processes."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count, islice
from typing import Any

import pytest
import trio

from tests.process.clients import BACKEND, FROM_AFAR, origin
from tests.support.device import Device
from tests.support.flood import Try, bearers, flood
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.wire_client import WireClient, wire_client

pytestmark = pytest.mark.process

PASSWORD = "correct horse battery staple"
# Beyond guessing, as the one that a gateway makes itself.
STRONG = "5f0c9a7be21d48638c04d1f7a96e3b52c8e07d14fb6a9235"
BY_TOKEN = {"gateway": {"auth": {"token": STRONG}}}
BY_PASSWORD = {"gateway": {"auth": {"password": PASSWORD}}}
# Four tries, one of which comes back every five quarters of a minute; nobody waits for five seconds here.
MINUTE_AND_A_QUARTER_MS = 75_000
# Ten tries, none of which comes back while a test runs, however busy the machine.
SLOWLY = {"lockoutMs": 10 * 3_600_000}
FOUR_TRIES = {"gateway": {"auth": {"password": PASSWORD, "rateLimit": {"maxAttempts": 4}}}}
# The bounds for an owner who comes back, times three: this machine may be busy.
OWNER_S = 3 * 1.0
PASSWORD_S = 3 * 6.0
# Who is charged: programs of this machine as 127.0.0.1; what a proxy that is not trusted forwards, as that.
HERE, PROXIED = "127.0.0.1", "proxy:127.0.0.1"


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderProcess]:
    with provider_process() as running:
        yield running


def limits(gateway: GatewayProcess) -> dict[tuple[str, str], dict[str, Any]]:
    """What the limiter knows, by source and kind."""
    ran = gateway.command("gateway", "limits", "--json")
    return {(row["source"], row["kind"]): row for row in json.loads(ran.stdout)["limits"]}


def wrong_tokens(number: int) -> Iterator[str]:
    return (f"{each:048x}" for each in range(number))


def every_kind_of_failure() -> Iterator[Try]:
    """Without end: nothing presented, the same wrong token, another one each time, ..."""
    for number in count():
        wrong = f"{number:048x}"
        yield Try()
        yield Try({"token": wrong})
        yield Try({"token": "f" * 48})
        yield Try({"password": wrong})
        yield Try({"deviceToken": wrong})
        yield Try({"token": wrong}, headers=origin("https://evil.example"))
        yield Try({"token": wrong}, headers=FROM_AFAR)
        yield Try({"token": wrong}, change={"role": "king"})
        yield Try({"token": wrong}, change={"maxProtocol": 99, "minProtocol": 98})
        yield Try({"token": wrong}, change={"device": {"id": wrong, "publicKey": "x"}})
        yield Try(text=b"not JSON")
        yield Try(text=b'{"type":"req","id":"1","method":"health"}')


async def paired(gateway: GatewayProcess, device: Device, **auth: str) -> str:
    """Pair the device silently, as its owner does on this machine; its device token."""
    async with wire_client(gateway.port) as client:
        hello = await client.connect(auth=auth, device=device, client=BACKEND)
    return str(hello["auth"]["deviceToken"])


async def seconds_to_connect(gateway: GatewayProcess, **handshake: Any) -> float:
    began = time.monotonic()
    async with wire_client(gateway.port, headers=handshake.pop("headers", ())) as client:
        await client.connect(client=BACKEND, **handshake)
        return time.monotonic() - began


# --- (a) the right credential, after everything that can go wrong


async def test_after_ten_thousand_failures_the_owner_is_in_at_once() -> None:
    with gateway_process(BY_TOKEN) as gateway:
        device = Device()
        device_token = await paired(gateway, device, token=STRONG)
        outcomes = await flood(gateway.port, islice(every_kind_of_failure(), 1_500))
        statuses = await bearers(gateway.port, wrong_tokens(8_500))
        assert outcomes["admitted"] == 0
        assert (outcomes.total(), statuses.total()) == (1_500, 8_500)
        assert (outcomes["AUTH_RATE_LIMITED"] > 0, statuses[429] > 0, statuses[200]) == (True, True, 0)
        for headers in ((), FROM_AFAR):
            assert await seconds_to_connect(gateway, token=STRONG, headers=headers) < OWNER_S
            auth = {"deviceToken": device_token}
            assert await seconds_to_connect(gateway, auth=auth, device=device, headers=headers) < OWNER_S
        assert await bearers(gateway.port, [STRONG]) == {200: 1}


async def test_after_a_thousand_wrong_passwords_a_paired_device_is_in_with_the_right_one() -> None:
    with gateway_process(FOUR_TRIES) as gateway:
        device = Device()
        await paired(gateway, device, password=PASSWORD)
        guesses = (Try({"password": wrong}, headers=FROM_AFAR) for wrong in wrong_tokens(1_000))
        assert (await flood(gateway.port, guesses))["AUTH_RATE_LIMITED"] > 900
        taken = await seconds_to_connect(
            gateway, auth={"password": PASSWORD}, device=device, headers=FROM_AFAR
        )
        assert taken < PASSWORD_S
        # And a stranger of the same address is refused without a look at what he has.
        async with wire_client(gateway.port, headers=FROM_AFAR) as stranger:
            refusal = await stranger.refusal(auth={"password": PASSWORD}, protocol=(4, 4))
        assert refusal.error["details"]["code"] == "AUTH_RATE_LIMITED"
        assert refusal.error["retryAfterMs"] > 0


# --- (b) (c) what costs nothing


async def test_a_thousand_connects_without_a_credential_cost_nothing() -> None:
    with gateway_process() as gateway:
        half = [Try(headers=headers) for headers in ((), FROM_AFAR)] * 250
        page = [Try(headers=origin(f"http://127.0.0.1:{gateway.port}"))] * 500
        assert (await flood(gateway.port, [*half, *page])).total() == 1_000
        assert limits(gateway) == {}


async def test_the_same_wrong_token_a_thousand_times_is_one_failure() -> None:
    with gateway_process({"gateway": {"auth": {"token": STRONG, "rateLimit": SLOWLY}}}) as gateway:
        stale = Try({"token": "f" * 48}, headers=FROM_AFAR)
        assert await flood(gateway.port, [stale] * 1_000) == {"AUTH_TOKEN_MISMATCH": 1_000}
        assert await bearers(gateway.port, ["f" * 48] * 10, headers=FROM_AFAR) == {401: 10}
        row = limits(gateway)[PROXIED, "token"]
        assert (row["triesLeft"], row["known"]) == (9, 1)


# --- (d) guessing


async def test_each_guess_of_a_source_waits_longer_and_the_eleventh_is_not_looked_at() -> None:
    with gateway_process(BY_PASSWORD) as gateway:
        guesses = (Try({"password": wrong}, headers=FROM_AFAR) for wrong in wrong_tokens(30))
        outcomes = await flood(gateway.port, guesses, at_once=30)
        waited = [line["delayMs"] for line in gateway.decisions("refused", reason="password_mismatch")]
        assert sorted(waited) == [0, 250, 500, 1000, 2000, 4000, 5000, 5000, 5000, 5000]
        assert outcomes == {"AUTH_PASSWORD_MISMATCH": 10, "AUTH_RATE_LIMITED": 20}
        for line in gateway.decisions("refused", reason="rate_limited"):
            # Half a minute is what one of ten tries in five minutes takes to come back.
            assert 0 < line["retryAfterMs"] <= 30_000
            assert line["source"] == PROXIED


async def test_an_address_that_is_only_claimed_is_no_other_source() -> None:
    with gateway_process(FOUR_TRIES) as gateway:
        guesses = (
            Try({"password": wrong}, headers=(("X-Forwarded-For", f"203.0.113.{number}"),))
            for number, wrong in enumerate(wrong_tokens(60))
        )
        assert (await flood(gateway.port, guesses, at_once=60))["AUTH_PASSWORD_MISMATCH"] == 4


async def test_a_botnet_has_a_hundred_guesses_and_the_owner_is_not_kept_waiting_by_it() -> None:
    auth = {"password": PASSWORD, "rateLimit": SLOWLY}
    config = {"gateway": {"auth": auth, "trustedProxies": ["127.0.0.1"]}}
    with gateway_process(config) as gateway:
        device = Device()
        async with wire_client(gateway.port, source="127.0.0.9") as owner:
            await owner.connect(auth={"password": PASSWORD}, device=device, client=BACKEND)
        guesses = (
            Try({"password": wrong}, headers=(("X-Forwarded-For", f"198.51.100.{number}"),))
            for number, wrong in enumerate(wrong_tokens(250))
        )
        outcomes = await flood(gateway.port, guesses)
        assert outcomes == {"AUTH_PASSWORD_MISMATCH": 100, "AUTH_RATE_LIMITED": 150}
        from_afar = (("X-Forwarded-For", "198.51.100.251"),)
        taken = await seconds_to_connect(
            gateway, auth={"password": PASSWORD}, device=device, headers=from_afar
        )
        assert taken < PASSWORD_S


# --- (e) across a crash


async def test_what_was_guessed_outlives_a_crash_and_is_forgotten_in_time() -> None:
    with gateway_process(FOUR_TRIES) as gateway:
        guesses = [Try({"password": wrong}, headers=FROM_AFAR) for wrong in wrong_tokens(5)]
        assert await flood(gateway.port, guesses) == {"AUTH_PASSWORD_MISMATCH": 4, "AUTH_RATE_LIMITED": 1}
        await trio.sleep(1.2)  # what is less than a second old may be lost
        gateway.kill()
        gateway.start()
        row = limits(gateway)[PROXIED, "password"]
        assert (row["triesLeft"], row["known"]) == (0, 4)
        async with wire_client(gateway.port, headers=FROM_AFAR) as client:
            refusal = await client.refusal(auth={"password": PASSWORD}, protocol=(4, 4))
        assert 0 < refusal.error["retryAfterMs"] <= MINUTE_AND_A_QUARTER_MS
        gateway.kill()
        pretend_that_time_has_passed(gateway, refusal.error["retryAfterMs"])
        gateway.start()
        assert await seconds_to_connect(gateway, auth={"password": PASSWORD}, headers=FROM_AFAR) < PASSWORD_S
        # A guess that the processes before have seen is still the same guess.
        assert await flood(gateway.port, guesses[:1]) == {"AUTH_PASSWORD_MISMATCH": 1}


def pretend_that_time_has_passed(gateway: GatewayProcess, passed_ms: int) -> None:
    """In the state of a gateway that does not run."""
    state = gateway.state / "openclawd" / "openclawd.sqlite3"
    with closing(sqlite3.connect(state, isolation_level=None)) as connection:
        connection.execute("UPDATE limits SET updated_at_ms = updated_at_ms - ?", (passed_ms,))


# --- the commands


async def test_the_owner_clears_what_others_have_spent(gateway: GatewayProcess) -> None:
    guesses = [Try({"password": "x", "token": wrong}, headers=FROM_AFAR) for wrong in wrong_tokens(2)]
    await flood(gateway.port, guesses)
    shown = gateway.command("gateway", "limits")
    assert shown.returncode == 0
    assert PROXIED in shown.stdout
    assert gateway.command("gateway", "limits", "--clear", PROXIED).returncode == 0
    assert (PROXIED, "token") not in limits(gateway)
    assert gateway.command("gateway", "limits", "--clear-all").returncode == 0
    assert limits(gateway) == {}


async def test_only_administrators_see_and_clear_limits(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, scopes=("operator.write", "operator.pairing"))
        for method in ("gateway.limits.list", "gateway.limits.clear", "gateway.reload"):
            request = await client.request(method, {})
            frame = await client.next_frame()
            while frame.get("id") != request:
                frame = await client.next_frame()
            assert frame["error"]["message"] == "missing scope: operator.admin"


# --- a flood, and somebody who wants to work


async def test_a_flood_from_many_addresses_stops_neither_the_owner_nor_his_chat(
    provider: ProviderProcess,
) -> None:
    with gateway_process(provider.config() | BY_TOKEN) as gateway:
        tries = (
            Try({"token": wrong}, address=f"127.1.{number % 200}.{number // 200 + 1}")
            for number, wrong in enumerate(wrong_tokens(10**6))
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood, gateway.port, tries)
            await trio.sleep(0.5)
            for _ in range(3):
                assert await seconds_to_connect(gateway, token=STRONG) < OWNER_S
            async with wire_client(gateway.port) as client:
                await client.connect(token=STRONG, client=BACKEND)
                assert await seconds_to_chat(client) < OWNER_S
            nursery.cancel_scope.cancel()
        assert len(gateway.decisions("refused", reason="rate_limited")) > 0


async def seconds_to_chat(client: WireClient) -> float:
    """From a message to the last word of its answer."""
    began = time.monotonic()
    params = {"sessionKey": "main", "message": "hello", "idempotencyKey": "one"}
    await client.call("chat.send", params)
    await client.event("chat", runId="one", state="final")
    return time.monotonic() - began
