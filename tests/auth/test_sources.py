"""Who pays for a wrong guess."""

import attrs
import pytest

from openclawd.auth.locality import Peer, parse_proxies
from openclawd.auth.sources import source_of
from openclawd.auth.tries import EVERYBODY, EVERYBODY_HERE
from tests.auth.clients import LOCAL, PAGE, TOKEN_POLICY

BEHIND_PROXY = attrs.evolve(TOKEN_POLICY, trusted_proxies=parse_proxies(["10.0.0.1", "127.0.0.1"]))


def forwarded(address: str, for_whom: str | None, origin: str | None = None) -> Peer:
    return Peer(address, 1, "claw.example.com", origin, forwarded_for=for_whom, forwarded=True)


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        (Peer("192.0.2.7"), "192.0.2.7"),
        (Peer("::ffff:192.0.2.7"), "192.0.2.7"),
        (Peer("2001:db8:1:2:3::4"), "2001:db8:1:2::/64"),
        (Peer("2001:db8:1:2:ffff::"), "2001:db8:1:2::/64"),
        (Peer("fe80::1%eth0"), "fe80::/64"),
        (Peer("192.0.2.7", origin="http://192.0.2.1:18789"), "192.0.2.7"),
        (forwarded("192.0.2.7", "198.51.100.1"), "192.0.2.7"),
        (Peer("garbage"), "unknown"),
    ],
)
def test_a_stranger_pays_by_address_or_network(peer: Peer, key: str) -> None:
    source = source_of(peer, TOKEN_POLICY.locate(peer))
    assert (source.key, source.is_loopback, source.alone, source.pool) == (key, False, False, EVERYBODY)


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        (LOCAL, "127.0.0.1"),
        (Peer("127.1.2.3", 1, "localhost:18789"), "127.1.2.3"),
        (Peer("::1", 1, "[::1]:18789"), "::1"),
        (Peer("", unix_uid=1001), "uid:1001"),
    ],
)
def test_a_program_on_this_machine_is_one(peer: Peer, key: str) -> None:
    source = source_of(peer, TOKEN_POLICY.locate(peer))
    assert (source.key, source.is_loopback, source.pool) == (key, True, EVERYBODY_HERE)


@pytest.mark.parametrize(
    ("origin", "key"),
    [
        ("http://localhost:18789", "origin:http://localhost:18789"),
        ("HTTP://LOCALHOST.:18789/", "origin:http://localhost:18789"),
        ("https://localhost:443", "origin:https://localhost"),
        ("null", "origin:null"),
        ("http://user@localhost", "origin:null"),
        ("http://" + "x" * 60_000, "origin:null"),
    ],
)
def test_a_page_on_this_machine_pays_by_its_origin(origin: str, key: str) -> None:
    for peer in (attrs.evolve(PAGE, origin=origin), Peer("", origin=origin, unix_uid=1001)):
        source = source_of(peer, TOKEN_POLICY.locate(peer))
        assert (source.key, source.is_loopback, source.pool) == (key, False, EVERYBODY_HERE)


@pytest.mark.parametrize("origin", [None, "https://claw.example.com", "http://localhost:18789"])
@pytest.mark.parametrize("spoofed", [None, "198.51.100.1", "198.51.100.2", "127.0.0.1"])
def test_behind_a_proxy_that_nobody_trusts_all_are_one_and_no_program_of_ours(
    spoofed: str | None, origin: str | None
) -> None:
    """64162: rotating X-Forwarded-For through a proxy on the same host was free."""
    peer = forwarded("127.0.0.1", spoofed, origin)
    source = source_of(peer, TOKEN_POLICY.locate(peer))
    assert (source.key, source.is_loopback, source.pool) == ("proxy:127.0.0.1", False, EVERYBODY)


def test_a_forwarder_that_keeps_its_host_is_no_program_of_ours() -> None:
    peer = Peer("127.0.0.1", 1, "claw.example.com:18789")
    assert source_of(peer, TOKEN_POLICY.locate(peer)).key == "proxy:127.0.0.1"


@pytest.mark.parametrize("proxy", ["10.0.0.1", "127.0.0.1"])
def test_behind_a_trusted_proxy_everybody_pays_for_himself(proxy: str) -> None:
    peer = forwarded(proxy, "203.0.113.9, 198.51.100.1", "https://claw.example.com")
    assert source_of(peer, BEHIND_PROXY.locate(peer)).key == "198.51.100.1"


def test_who_claims_through_a_trusted_proxy_to_be_here_is_not() -> None:
    peer = forwarded("10.0.0.1", "127.0.0.1")
    source = source_of(peer, BEHIND_PROXY.locate(peer))
    assert (source.key, source.is_loopback, source.pool) == ("proxy:127.0.0.1", False, EVERYBODY)
