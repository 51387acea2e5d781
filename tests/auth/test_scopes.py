"""What a scope implies, and which tokens are beyond guessing."""

import secrets

import pytest

from openclawd.auth.scopes import ADMIN, PAIRING, READ, WRITE, allows, covers
from openclawd.auth.strength import is_strong


@pytest.mark.parametrize(
    ("granted", "needed", "allowed"),
    [
        ((ADMIN,), PAIRING, True),
        ((WRITE,), READ, True),
        ((READ,), WRITE, False),
        ((READ,), READ, True),
        ((), READ, False),
        ((WRITE,), ADMIN, False),
    ],
)
def test_admin_implies_everything_and_write_implies_read(
    granted: tuple[str, ...], needed: str, allowed: bool
) -> None:
    assert allows(granted, needed) is allowed


def test_nothing_is_covered_by_anything() -> None:
    assert covers((), ())
    assert not covers((READ,), (READ, WRITE))


@pytest.mark.parametrize(
    ("token", "strong"),
    [
        ("mytoken123", False),
        ("0f1e2d3c4b5a69788796a5b4c3d2e1f0", True),
        ("0f1e2d3c4b5a69788796a5b4c3d2e1f", False),
        ("0" * 48, False),
        ("0123456789abcdef" * 2, False),
        ("Zk3vQ9xL2mW7tB5nR8cY1p", True),
        ("zk3vq9xl2mw7tb5nr8cy1p", False),
        ("Aa1Aa1Aa1Aa1Aa1Aa1Aa1Aa1", False),
        ("correct horse battery staple", False),
        ("", False),
    ],
)
def test_a_strong_token_is_long_and_looks_random(token: str, strong: bool) -> None:
    assert is_strong(token) is strong


def test_the_tokens_that_the_gateway_makes_are_strong() -> None:
    assert all(is_strong(secrets.token_hex(24)) for _ in range(200))
