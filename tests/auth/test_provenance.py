"""Which HTTP requests are answered at all: Host, Origin, Sec-Fetch-Site."""

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.auth.locality import locate, parse_proxies, peer_from_headers
from openclawd.auth.origins import OriginRules
from openclawd.auth.provenance import FetchMetadata, RequestFault, judge_request, origin_at, strange_host

RULES = OriginRules(
    ("https://gw.example.com",), ("box", "box.local"), public_origin="https://claw.example.org"
)
PROXIES = parse_proxies(("10.0.0.1",))
HOST, ORIGIN, FRAMED, CROSS = RequestFault


def judged(
    method: str = "GET",
    address: str = "127.0.0.1",
    rules: OriginRules = RULES,
    any_host: bool = False,
    page_part: bool = False,
    unix_uid: int | None = None,
    **headers: str,
) -> RequestFault | None:
    """The verdict on a request to localhost with these headers: `sec_fetch_site="none"`."""
    named = {"host": "localhost:18789"} | {name.replace("_", "-"): value for name, value in headers.items()}
    peer = attrs.evolve(peer_from_headers(address, 1, named.items()), unix_uid=unix_uid)
    fetch = FetchMetadata(*(named.get(f"sec-fetch-{part}") for part in ("site", "mode", "dest")))
    locality = locate(peer, trusted_proxies=PROXIES)
    return judge_request(method, peer, locality, fetch, rules, any_host=any_host, page_part=page_part)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:18789",
        "LOCALHOST.:18789",
        "claw.localhost:18789",
        "127.0.0.1",
        "[::1]:18789",
        "192.168.1.5:18789",
        "[fd00::1]",
        "203.0.113.9",
        "box",
        "Box:18789",
        "box.local",
        "box.lan:18789",
        "box.home.arpa",
        "box.internal",
        "box.tail1234.ts.net",
        "gw.example.com",
        "gw.example.com:8443",
        "claw.example.org",
    ],
)
def test_the_gateway_answers_under_its_own_names(host: str) -> None:
    assert judged(host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:18789",
        "evil.local:18789",
        "evil",
        "box.evil.example",
        "evil.box",
        "box.evil.lan",
        "box.fritz.box",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "127.1",
        "2130706433:18789",
        "evil.tail1234.ts.net",
        "box.a.b.ts.net",
        "box.ts.net",
        "notgw.example.com",
        "example.com",
        "",
        "localhost, evil.example",
        "localhost@evil.example",
        "gw.example.com:port",
    ],
)
def test_any_other_name_may_be_rebound(host: str) -> None:
    assert judged(host=host) is HOST
    assert judged("POST", host=host, origin=f"http://{host}") is HOST


@pytest.mark.parametrize("rules", [OriginRules(("*",)), OriginRules(host_fallback=True)])
def test_who_wants_every_name_has_every_name(rules: OriginRules) -> None:
    assert judged(rules=rules, host="any.example") is None


def test_a_probe_is_answered_under_any_name_but_to_no_foreign_page() -> None:
    assert judged(any_host=True, host="10-0-0-7.pod.example") is None
    assert judged(any_host=True, host="evil.example", origin="http://evil.example") is ORIGIN
    assert judged(any_host=True, origin="https://evil.example") is ORIGIN
    assert judged(any_host=True, sec_fetch_site="cross-site", sec_fetch_mode="no-cors") is CROSS


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "http://localhost:8888",
        "http://localhost",
        "http://127.0.0.2.evil.example:18789",
        "http://192.168.1.5:18789",
        "chrome-extension://abcdef",
        "http://localhost:18789, https://evil.example",
    ],
)
def test_a_page_of_another_origin_is_refused_whatever_it_wants(method: str, origin: str) -> None:
    assert judged(method, origin=origin) is ORIGIN


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:18789",
        "http://127.0.0.1:18789",
        "https://gw.example.com",
        "https://gw.example.com:443",
    ],
)
def test_the_gateways_own_page_and_listed_ones_are_not(method: str, origin: str) -> None:
    assert judged(method, origin=origin, sec_fetch_site="same-origin") is None


def test_the_parts_of_a_page_load_for_a_page_that_a_proxy_made_look_foreign() -> None:
    assert judged(page_part=True, origin="https://gw.test") is None
    assert judged("POST", page_part=True, origin="https://gw.test") is ORIGIN
    assert judged(page_part=True, origin="null") is ORIGIN
    assert judged(page_part=True, origin="https://evil.example", sec_fetch_site="cross-site") is CROSS
    assert judged(page_part=True, host="evil.example", origin="http://evil.example") is HOST


def test_a_listed_page_may_be_on_another_site() -> None:
    assert judged(origin="https://gw.example.com", sec_fetch_site="cross-site", sec_fetch_mode="cors") is None


def test_a_program_sends_no_origin_and_may_post() -> None:
    assert judged("POST") is None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "cross-site, none", "whatever"])
@pytest.mark.parametrize(
    ("mode", "dest"), [("no-cors", "image"), ("no-cors", "script"), ("cors", "empty"), ("navigate", "worker")]
)
def test_other_sites_load_no_part_of_the_gateway(site: str, mode: str, dest: str) -> None:
    assert judged(sec_fetch_site=site, sec_fetch_mode=mode, sec_fetch_dest=dest) is CROSS


def test_a_link_on_another_site_may_lead_here() -> None:
    link: dict[str, Any] = {
        "sec_fetch_site": "cross-site",
        "sec_fetch_mode": "navigate",
        "sec_fetch_dest": "document",
    }
    assert judged(**link) is None
    assert judged("POST", **link) is CROSS


@pytest.mark.parametrize("dest", ["iframe", "frame", "embed", "object", "fencedframe"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none"])
def test_nothing_shows_the_gateway_in_a_frame(site: str, dest: str) -> None:
    assert judged(sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest=dest) is FRAMED


def test_a_trusted_proxy_says_under_which_name_it_was_asked() -> None:
    through: dict[str, Any] = {
        "address": "10.0.0.1",
        "x_forwarded_for": "198.51.100.7",
        "x_forwarded_proto": "https",
    }
    assert judged(**through, host="openclawd:18789", x_forwarded_host="gw.example.com") is None
    assert judged(**through, host="10.0.0.9:18789", x_forwarded_host="evil.example") is HOST
    # Plain http on the same machine is another origin than the https that the proxy serves.
    asked: dict[str, Any] = {"host": "192.168.1.5", "x_forwarded_host": "192.168.1.5"}
    assert judged("POST", **through, **asked, origin="https://192.168.1.5") is None
    assert judged("POST", **through, **asked, origin="http://192.168.1.5") is ORIGIN


def test_a_page_rebound_to_a_trusted_proxys_address_cannot_write_itself_another_name() -> None:
    rebound: dict[str, Any] = {"address": "10.0.0.1", "host": "evil.example:18789"}
    assert judged(**rebound, x_forwarded_host="localhost", x_forwarded_for="127.0.0.1") is HOST


def test_a_stranger_cannot_forward_a_name() -> None:
    assert judged(host="evil.example", x_forwarded_host="localhost") is HOST
    assert judged(x_forwarded_host="evil.example") is None


def test_the_local_socket_has_no_name_and_serves_no_page() -> None:
    assert judged(address="", unix_uid=1000, host="whatever.example") is None
    assert judged(address="", unix_uid=1000, origin="http://localhost:18789") is ORIGIN


def test_an_old_client_names_no_host() -> None:
    peer = peer_from_headers("127.0.0.1", 1, ())
    assert judge_request("GET", peer, locate(peer), FetchMetadata(), RULES) is None


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({"host": "gw.test:18789"}, "http://gw.test:18789"),
        ({"host": "gw.test"}, "https://gw.test"),
        ({"host": "gw.test:443"}, "https://gw.test"),
        ({"host": "gw.test:8443", "sec-fetch-site": "none"}, "https://gw.test:8443"),
        ({"host": "gw.test", "x-forwarded-proto": "http"}, "http://gw.test"),
        ({"host": "gw.test", "x-forwarded-proto": "ftp"}, "https://gw.test"),
        ({"host": "bad host"}, "None"),
    ],
)
def test_the_hint_names_the_origin_that_was_meant(headers: Mapping[str, str], origin: str) -> None:
    peer = peer_from_headers("192.168.1.20", 1, headers.items())
    locality = locate(peer)
    host = strange_host(peer, locality, RULES)
    assert host == headers["host"]
    assert str(origin_at(host, peer, locality, FetchMetadata(headers.get("sec-fetch-site")))) == origin


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=20), st.text(max_size=40))
def test_no_header_of_a_stranger_raises(host: str, origin: str, site: str, forwarded: str) -> None:
    judged(host=host, origin=origin, sec_fetch_site=site)
    judged(address="10.0.0.1", host=host, x_forwarded_host=forwarded, x_forwarded_proto=site)


@given(st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){0,3}", fullmatch=True), st.integers(0, 65535))
def test_only_names_that_nobody_else_can_own_are_answered(name: str, port: int) -> None:
    if judged(host=f"{name}:{port}") is None:
        machine, _, suffix = name.partition(".")
        address = all(part.isdigit() for part in name.split("."))
        assert (
            name in ("localhost", "gw.example.com", "claw.example.org")
            or machine == "box"
            or address
            or (suffix.endswith("localhost"))
        )
