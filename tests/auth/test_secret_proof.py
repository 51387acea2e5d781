"""Proving that one holds the gateway's secret."""

import pytest

from openclawd.auth.credentials import SharedAuth
from openclawd.auth.secret_proof import proves_secret, secret_proof
from openclawd.config.secret import Secret

TOKEN, PASSWORD = Secret("the-token"), Secret("the password")


@pytest.mark.parametrize(
    ("shared", "secret", "proven"),
    [
        (SharedAuth("token", TOKEN, PASSWORD), TOKEN, True),
        (SharedAuth("token", TOKEN, PASSWORD), PASSWORD, False),
        (SharedAuth("password", TOKEN, PASSWORD), PASSWORD, True),
        (SharedAuth("password", TOKEN, PASSWORD), TOKEN, False),
        (SharedAuth("none", TOKEN, PASSWORD), TOKEN, False),
        (SharedAuth("token", None, PASSWORD), Secret(""), False),
        (SharedAuth("token", Secret("\udcff"), None), Secret("\udcff"), True),
    ],
)
def test_only_the_secret_asked_for_is_proven(shared: SharedAuth, secret: Secret, proven: bool) -> None:
    assert proves_secret(shared, "once", secret_proof(secret, "once")) is proven


def test_a_proof_is_good_for_its_own_word_only() -> None:
    shared = SharedAuth("token", TOKEN)
    assert not proves_secret(shared, "twice", secret_proof(TOKEN, "once"))
    assert not proves_secret(shared, "once", "")
    assert not proves_secret(shared, "once", "ümlaut")


def test_a_proof_does_not_hold_the_secret() -> None:
    assert TOKEN.reveal() not in secret_proof(TOKEN, "once")
