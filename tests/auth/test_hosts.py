"""Host and Origin headers, read strictly: what browsers send is understood, and nothing else."""

import ipaddress
import shlex
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.auth.hosts import Origin, is_loopback, parse_origin, split_host


@pytest.mark.parametrize(
    ("header", "parsed"),
    [
        ("localhost", ("localhost", None)),
        ("LocalHost:18789", ("localhost", 18789)),
        (" localhost ", ("localhost", None)),
        # The empty port of RFC 9110, and the dot at the end of a name that is absolute.
        ("localhost:", ("localhost", None)),
        ("gw.example.com.:443", ("gw.example.com", 443)),
        ("127.0.0.1.", ("127.0.0.1", None)),
        ("[::1]", ("::1", None)),
        ("[2001:DB8::1]:8443", ("2001:db8::1", 8443)),
        ("xn--bcher-kva.example", ("xn--bcher-kva.example", None)),
        ("_service.backend-1", ("_service.backend-1", None)),
        ("a:0", ("a", 0)),
        ("a:65535", ("a", 65535)),
    ],
)
def test_a_host_is_a_name_and_a_port(header: str, parsed: tuple[str, int | None]) -> None:
    assert split_host(header) == parsed


@pytest.mark.parametrize(
    "header",
    [
        "",
        ".",
        ":80",
        "a..b",
        "a...",
        ".a",
        "a:65536",
        "a:-1",
        "a:٣",
        "a:80:80",
        "a b",
        "user@a",
        "a/b",
        "a?b",
        "a#b",
        "a,b",
        "bücher.example",
        "a%2eb",
        "$(id)",
        "<script>",
        "a;reboot",
        "a\x00b",
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[127.0.0.1]",
        "[::1]x",
        "[::1%25eth0]",
        "[fe80::1%<b>]",
        "[v1.a]",
        "a" * 64,
        ".".join(["a" * 63] * 4) + ".a",
    ],
)
def test_what_no_browser_sends_is_no_host(header: str) -> None:
    assert split_host(header) is None


@pytest.mark.parametrize(
    ("header", "origin"),
    [
        ("http://localhost:18789", "http://localhost:18789"),
        ("HTTPS://GW.Example.com", "https://gw.example.com"),
        ("https://gw.example.com:443/", "https://gw.example.com"),
        ("http://gw.example.com:443", "http://gw.example.com:443"),
        ("http://[::1]:8888", "http://[::1]:8888"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ],
)
def test_an_origin_has_one_text(header: str, origin: str) -> None:
    assert str(parse_origin(header)) == origin


@pytest.mark.parametrize(
    "header",
    [
        "null",
        "",
        "file://",
        "localhost",
        "//localhost",
        "http:/localhost",
        "http://",
        "http:///x",
        "http://localhost/path",
        "http://localhost//",
        "http://localhost?x",
        "http://user:word@localhost",
        "http://localhost, http://evil.example",
        "http://localhost http://evil.example",
        "http://evil.example\\@localhost",
        "1http://localhost",
        "ht tp://localhost",
        "http://[::1",
        "http://localhost:port",
    ],
)
def test_what_is_no_origin_is_none(header: str) -> None:
    assert parse_origin(header) is None


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"]
)
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "localhost.evil.example", "127.0.0.1.evil.example", "127.1", "2130706433", "0x7f.1"],
)
def test_what_only_looks_like_loopback_is_not(host: str) -> None:
    assert not is_loopback(host)


_LABELS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=20)
_NAMES = st.lists(_LABELS, min_size=1, max_size=4).map(".".join)
_HOSTS = _NAMES | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(lambda ip: f"[{ip}]")
_PORTS = st.none() | st.integers(0, 65535)


@given(_HOSTS, _PORTS, st.booleans())
def test_every_name_and_address_comes_out_as_it_went_in(host: str, port: int | None, dot: bool) -> None:
    dotted = f"{host}." if dot and not host.startswith("[") else host
    header = dotted if port is None else f"{dotted}:{port}"
    assert split_host(header) == (host.lower().strip("[]"), port)


@given(st.sampled_from(["http", "https"]), _HOSTS, _PORTS)
def test_an_origins_text_means_the_same_origin(scheme: str, host: str, port: int | None) -> None:
    origin = parse_origin(f"{scheme}://{host}" + ("" if port is None else f":{port}"))
    assert isinstance(origin, Origin)
    assert parse_origin(str(origin)) == origin


@given(st.text(max_size=60))
def test_what_is_understood_is_harmless_wherever_it_is_shown(header: str) -> None:
    parsed = split_host(header)
    if parsed is not None:
        name = parsed[0]
        assert set(name) <= set(string.ascii_lowercase + string.digits + "-_.:")
        if ":" in name:
            ipaddress.IPv6Address(name)
    origin = parse_origin("https://" + header)
    if origin is not None:
        assert shlex.split(shlex.quote(str(origin))) == [str(origin)]
        assert not set(str(origin)) & set("<>&\"'`$;|\\ \n")
