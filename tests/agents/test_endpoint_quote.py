"""A provider's words are shown without what it was sent."""

import base64

import pytest

from openclawd.agents.endpoint import Endpoint
from openclawd.config.secret import Secret

ENDPOINT = Endpoint(
    provider="echo",
    base_url="https://me%40home:pass%2Fword@host/v1?api_key=url%2Bkey&x=short",
    key_hint="",
    address_hint="",
    model_hint="",
    api_key=Secret("sk+secret/key"),
    extra_headers={"X-Tenant": Secret("tenant-secret"), "X-Plain": "not a secret"},
)


@pytest.mark.parametrize(
    "sent",
    [
        "sk+secret/key",
        "sk%2Bsecret%2Fkey",
        "tenant-secret",
        "url%2Bkey",
        "url+key",
        "me%40home:pass%2Fword",
        "me@home",
        "pass/word",
        base64.b64encode(b"me@home:pass/word").decode(),
    ],
)
def test_nothing_secret_that_was_sent_is_repeated(sent: str) -> None:
    assert ENDPOINT.quote(f"cannot use {sent} here.") == "cannot use *** here"


def test_short_values_and_plain_headers_are_words_like_others() -> None:
    assert ENDPOINT.quote("not a secret, in short") == "not a secret, in short"
