"""Who is local, and whose address counts."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.auth.locality import Locality, Peer, locate, parse_proxies, peer_from_headers

PROXIES = parse_proxies(("10.0.0.0/8", "127.0.0.9"))


def peer(address: str, **headers: str) -> Peer:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return peer_from_headers(address, 1, named)


@pytest.mark.parametrize(
    ("seen", "address", "is_local"),
    [
        (peer("127.0.0.1", Host="localhost:18789"), "127.0.0.1", True),
        (peer("127.0.0.1", Host="127.0.0.1"), "127.0.0.1", True),
        (peer("::1", Host="[::1]:18789"), "::1", True),
        (peer("::ffff:127.0.0.1", Host="localhost"), "127.0.0.1", True),
        # A name that was rebound to loopback, or none at all.
        (peer("127.0.0.1", Host="evil.example:18789"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="box.local"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="192.168.1.5"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="localhost, localhost"), "127.0.0.1", False),
        (peer("127.0.0.1"), "127.0.0.1", False),
        # A page on this machine; or one that came through a proxy which hides itself and its Host.
        (peer("127.0.0.1", Host="localhost", Origin="http://localhost:8888"), "127.0.0.1", True),
        (peer("127.0.0.1", Host="localhost", Origin="https://gw.example.com"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="localhost", Origin="null"), "127.0.0.1", False),
        # Elsewhere.
        (peer("192.168.1.20", Host="localhost:18789"), "192.168.1.20", False),
        # A proxy that nobody trusts: its word does not count, but it ends locality.
        (peer("127.0.0.1", Host="localhost", X_Forwarded_For="127.0.0.1"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="localhost", X_Forwarded_For="8.8.8.8"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="localhost", X_Real_IP="127.0.0.1"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="localhost", X_Forwarded_Host="localhost"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="localhost", Forwarded="for=127.0.0.1"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="localhost", X_Forwarded_Port="443"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="localhost", Via="1.1 proxy"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="localhost", CF_Connecting_IP="8.8.8.8"), "127.0.0.1", False),
        (peer("127.0.0.1", Host="localhost", Tailscale_User_Login="me@example.com"), "127.0.0.1", False),
        # A trusted one: the right-most hop that is not ours is the client.
        (peer("10.0.0.1", Host="gw", X_Forwarded_For="1.2.3.4, 8.8.8.8, 10.0.0.2"), "8.8.8.8", False),
        (peer("10.0.0.1", Host="gw", X_Forwarded_For="[2001:db8::1]:4711"), "2001:db8::1", False),
        (peer("10.0.0.1", Host="gw", X_Forwarded_For="8.8.8.8:4711"), "8.8.8.8", False),
        # Every hop is ours: the left ones may be the client's own words.
        (peer("10.0.0.1", Host="gw", X_Forwarded_For="10.0.0.3, 10.0.0.2"), "10.0.0.2", False),
        (peer("10.0.0.1", Host="gw", X_Forwarded_For="garbage"), "10.0.0.1", False),
        (peer("10.0.0.1", Host="gw", X_Real_IP="8.8.8.8"), "10.0.0.1", False),
        (peer("10.0.0.1", Host="gw"), "10.0.0.1", False),
        # What a client may have written into the header makes nobody local.
        (peer("10.0.0.1", Host="localhost", X_Forwarded_For="127.0.0.1"), "127.0.0.1", False),
        (peer("127.0.0.9", Host="localhost", X_Forwarded_For="127.0.0.1"), "127.0.0.1", False),
        (peer("127.0.0.9", Host="localhost", X_Forwarded_For="8.8.8.8"), "8.8.8.8", False),
        # Beside a trusted proxy on this machine: a program that says nothing of another is one itself.
        (peer("127.0.0.9", Host="localhost"), "127.0.0.9", True),
        (peer("127.0.0.9", Host="localhost", X_Forwarded_Proto="http"), "127.0.0.9", False),
    ],
)
def test_a_client_is_located(seen: Peer, address: str, is_local: bool) -> None:
    found = locate(seen, trusted_proxies=PROXIES)
    assert (found.address, found.is_local) == (address, is_local)


def test_the_real_ip_header_counts_only_where_it_is_allowed() -> None:
    seen = peer("10.0.0.1", Host="gw", X_Real_IP="8.8.8.8")
    assert locate(seen, trusted_proxies=PROXIES, allow_real_ip=True).address == "8.8.8.8"


def test_a_trusted_proxy_may_say_which_host_was_asked_for() -> None:
    seen = peer("10.0.0.1", Host="127.0.0.1", X_Forwarded_Host="gw.example.com", X_Forwarded_For="8.8.8.8")
    assert locate(seen, trusted_proxies=PROXIES) == Locality("8.8.8.8", "gw.example.com", is_local=False)
    assert locate(seen).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("seen", "scheme"),
    [
        (peer("10.0.0.1", Host="gw", X_Forwarded_Proto="https"), "https"),
        (peer("10.0.0.1", Host="gw", X_Forwarded_Proto="http, HTTPS"), "https"),
        (peer("10.0.0.1", Host="gw", X_Forwarded_Proto="wss"), "https"),
        (peer("10.0.0.1", Host="gw", X_Forwarded_Proto="gopher"), None),
        (peer("10.0.0.1", Host="gw"), None),
        (peer("192.168.1.20", Host="gw", X_Forwarded_Proto="https"), None),
        (attrs.evolve(peer("192.168.1.20", Host="gw", X_Forwarded_Proto="http"), tls=True), "https"),
    ],
)
def test_the_scheme_is_known_from_our_own_tls_or_a_trusted_proxy(seen: Peer, scheme: str | None) -> None:
    assert locate(seen, trusted_proxies=PROXIES).scheme == scheme


def test_a_unix_socket_is_on_this_machine() -> None:
    assert locate(Peer("", unix_uid=1000)) == Locality("unix", None, is_local=True, at_loopback=True)


def test_an_address_that_is_none_is_not_local() -> None:
    assert not locate(Peer("", host_header="localhost")).is_local


def test_a_misspelt_proxy_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        parse_proxies(("10.0.0.0.1",))


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_header_makes_a_remote_peer_local(host: str, forwarded_for: str, forwarded_host: str) -> None:
    seen = Peer("192.168.1.20", 1, host, None, forwarded_for, forwarded_for, forwarded_host, forwarded=True)
    assert not locate(seen, trusted_proxies=PROXIES, allow_real_ip=True).is_local
    spoken_for = Peer("10.0.0.1", 1, host, None, forwarded_for, None, forwarded_host, forwarded=True)
    assert not locate(spoken_for, trusted_proxies=PROXIES).is_local
