"""Which pages may connect: Origin against Host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.auth.hosts import parse_origin
from openclawd.auth.origins import OriginFault, OriginRules, allowing, equals_host, judge_origin

RULES = OriginRules(allowed=("https://gw.example.com",), own_names=("Box", "box.local"))
INVALID = OriginFault.MISSING_OR_INVALID
REFUSED = OriginFault.NOT_ALLOWED


@pytest.mark.parametrize(
    ("origin", "host", "fault"),
    [
        # A page of the gateway itself, under every name that is nobody else's.
        ("http://localhost:18789", "localhost:18789", None),
        ("http://127.0.0.1:18789", "127.0.0.1:18789", None),
        ("http://[::1]:18789", "[::1]:18789", None),
        ("http://192.168.1.5:18789", "192.168.1.5:18789", None),
        ("http://[fd00::1]:18789", "[FD00:0::1]:18789", None),
        ("http://box.local:18789", "box.local:18789", None),
        ("https://box.tail1234.ts.net", "box.tail1234.ts.net", None),
        ("HTTP://BOX.LOCAL:18789", "Box.Local.:18789", None),
        ("http://box.lan:18789", "box.lan:18789", None),
        ("http://claw.localhost:18789", "claw.localhost:18789", None),
        # Loopback pages from another port: a tunnel (#30469), a development server.
        ("http://localhost:8888", "localhost:18789", None),
        ("http://localhost:9", "127.0.0.1:18789", None),
        # Listed, wherever it is served.
        ("https://gw.example.com", "10.0.0.1:18789", None),
        ("https://gw.example.com/", "gw.example.com", None),
        ("https://gw.example.com:443", "gw.example.com", None),
        # Not listed: other scheme, other port.
        ("http://gw.example.com", "10.0.0.1:18789", REFUSED),
        ("https://gw.example.com:8443", "10.0.0.1:18789", REFUSED),
        # Another site, in every disguise.
        ("https://evil.example", "localhost:18789", REFUSED),
        ("https://evil.example", "192.168.1.5:18789", REFUSED),
        ("http://localhost.evil.example:18789", "localhost:18789", REFUSED),
        ("http://127.0.0.1.evil.example:18789", "127.0.0.1:18789", REFUSED),
        # DNS rebinding: both agree on a name that is not ours.
        ("http://evil.example:18789", "evil.example:18789", REFUSED),
        ("http://evil.local:18789", "evil.local:18789", REFUSED),
        ("https://evil.tail1234.ts.net", "evil.tail1234.ts.net", REFUSED),
        # Another service on the same machine in the network.
        ("http://192.168.1.5:8080", "192.168.1.5:18789", REFUSED),
        ("http://box.local", "box.local:18789", REFUSED),
        ("http://192.168.1.5:18789", "localhost:18789", REFUSED),
        ("chrome-extension://abcdef", "localhost:18789", REFUSED),
        ("http://localhost:18789", None, REFUSED),
        ("http://localhost:18789", "", REFUSED),
        # Nothing that can be judged.
        (None, "localhost:18789", INVALID),
        ("null", "localhost:18789", INVALID),
        ("", "localhost:18789", INVALID),
        ("localhost:18789", "localhost:18789", INVALID),
        ("http://localhost:18789/path", "localhost:18789", INVALID),
        ("http://user@localhost:18789", "localhost:18789", INVALID),
        ("http://localhost:notaport", "localhost:18789", INVALID),
        ("http://localhost\\@evil.example:18789", "localhost:18789", INVALID),
        ("http://[::1", "localhost:18789", INVALID),
        ("http://localhost:1, http://evil.example", "localhost:18789", INVALID),
    ],
)
def test_an_origin_is_judged(origin: str | None, host: str | None, fault: OriginFault | None) -> None:
    assert judge_origin(origin, host, RULES) is fault


def test_a_star_lists_every_origin_but_none_that_is_null() -> None:
    rules = OriginRules(allowed=("*",))
    assert judge_origin("https://any.example", "10.0.0.1:18789", rules) is None
    assert judge_origin("null", "10.0.0.1:18789", rules) is INVALID


def test_where_the_scheme_is_known_a_page_has_the_same_one() -> None:
    """Plain http on port 80 of the machine is another service than the https that a proxy serves there."""
    assert judge_origin("https://192.168.1.5", "192.168.1.5", RULES, "https") is None
    assert judge_origin("http://192.168.1.5", "192.168.1.5", RULES, "https") is REFUSED
    assert judge_origin("http://192.168.1.5", "192.168.1.5", RULES) is None
    assert not equals_host("http://localhost", "localhost", "https")


@pytest.mark.parametrize(
    ("rules", "origin", "command"),
    [
        (OriginRules(), "https://gw.example.com", "openclawd.publicOrigin https://gw.example.com"),
        (
            OriginRules(("https://a.example",)),
            "https://gw.example.com:444",
            "openclawd.publicOrigin https://gw.example.com:444",
        ),
        # Without taking another name's place.
        (
            OriginRules(("https://a.example",), public_origin="https://b.example"),
            "https://gw.example.com",
            "gateway.controlUi.allowedOrigins.1 https://gw.example.com",
        ),
        (OriginRules(), "http://[fd00::1]:80", "openclawd.publicOrigin 'http://[fd00::1]'"),
        # The public origin is where people reach the page; an extension is no such place.
        (
            OriginRules(),
            "chrome-extension://abc",
            "gateway.controlUi.allowedOrigins '[\"chrome-extension://abc\"]'",
        ),
    ],
)
def test_one_command_lets_pages_of_an_origin_in(rules: OriginRules, origin: str, command: str) -> None:
    parsed = parse_origin(origin)
    assert parsed is not None
    assert allowing(parsed, rules) == f"openclawd config set {command}"


def test_the_dangerous_fallback_takes_any_host_that_equals_the_origin() -> None:
    rules = OriginRules(host_fallback=True)
    assert judge_origin("http://name.example:18789", "name.example:18789", rules) is None
    assert judge_origin("http://evil.example:18789", "name.example:18789", rules) is REFUSED


@pytest.mark.parametrize(
    ("origin", "host", "equal"),
    [
        ("http://localhost:18789", "127.0.0.1:18789", True),
        ("http://localhost:8888", "localhost:18789", False),
        ("http://localhost", "localhost", True),
        ("https://localhost", "localhost:443", True),
        (None, "localhost", False),
    ],
)
def test_loopback_names_are_equal_but_ports_count(origin: str | None, host: str, equal: bool) -> None:
    assert equals_host(origin, host) is equal


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_of_a_stranger_raises(origin: str, host: str) -> None:
    judge_origin(origin, host, RULES)
    judge_origin("http://" + origin, host, RULES)
    equals_host("https://[" + origin, "[" + host)
