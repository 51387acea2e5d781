"""Which pages may connect: Origin against Host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.auth.origins import OriginFault, OriginRules, equals_host, judge_origin

RULES = OriginRules(allowed=("https://gw.example.com",), own_names=("box.local", "Box.tail1234.ts.net"))
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
        # Loopback pages from another port: a tunnel (#30469), a development server.
        ("http://localhost:8888", "localhost:18789", None),
        ("http://localhost:9", "127.0.0.1:18789", None),
        # Listed, wherever it is served.
        ("https://gw.example.com", "10.0.0.1:18789", None),
        ("https://gw.example.com/", "gw.example.com", None),
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
