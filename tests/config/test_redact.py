"""What those may see who may read the configuration but not own it."""

import pytest

from openclawd.config.reading import parse
from openclawd.config.redact import REDACTED, redact, redact_text


@pytest.mark.parametrize(
    "text",
    [
        "{gateway: {auth: {token: 'S3CRET'}}}",
        "{gateway: {auth: {password: 'S3CRET'}}}",
        "{gateway: {remote: {token: 'S3CRET'}}}",
        "{models: {providers: {x: {apiKey: 'S3CRET'}}}}",
        "{models: {providers: {x: {headers: {'X-Any': 'S3CRET'}}}}}",
        "{models: {providers: {x: {baseUrl: 'http://me:S3CRET@host/v1'}}}}",
        "{models: {providers: {x: {baseUrl: 'https://S3CRET@host/v1'}}}}",
        "{models: {providers: {x: {baseUrl: 'https://host/v1?alt=sse&key=S3CRET'}}}}",
        "{channels: {telegram: {botToken: 'S3CRET'}, slack: {signingSecret: 'S3CRET', appToken: 'S3CRET'}}}",
        "{channels: {nostr: {privateKey: 'S3CRET'}, teams: {appPassword: 'S3CRET'}}}",
        "{env: {ANY: 'S3CRET', vars: {OTHER: 'S3CRET'}}}",
        "{skills: {entries: {x: {env: {ANY: 'S3CRET'}}}}}",
        "{hooks: {tokens: ['S3CRET']}}",
        "{gateway: {auth: {token: 'S3CRET'}}, gateway: {auth: {token: 'other'}}}",
        "{a: {url: 'x://u:S3CRET@h'}, a: 1}",
        "// token: S3CRET\n{}",
        "{} /* apiKey = 'S3CRET' */",
        "{gateway: {auth: {token: 'S3CRET'}}} // was S3CRET once",
        "// Authorization: Bearer S3CRET\n{}",
        "{} // it was at http://me:S3CRET@host/v1 or https://host/?api_key=S3CRET",
        "{gateway: {auth: {'tok\\u0065n': 'S3CRET'}}}",
    ],
)
def test_secrets_are_in_neither_form(text: str) -> None:
    document = parse(text)
    raw = redact_text(text, document)
    assert "S3CRET" not in str(redact(document)) + raw
    assert REDACTED in raw
    assert parse(raw).keys() == document.keys()


@pytest.mark.parametrize(
    "text",
    [
        "{gateway: {auth: {mode: 'token', token: '${TOKEN}'}}}",
        "{models: {providers: {x: {models: [{id: 'a', maxTokens: 5}]}}}}",
        "{models: {providers: {x: {apiKey: {source: 'env', provider: 'default', id: 'KEY'}}}}}",
        "{session: {mainKey: 'main'}, gateway: {port: 18789, auth: {token: ''}}} // the token is elsewhere",
        "{env: {shellEnv: {enabled: true}}}",
        "{models: {providers: {x: {baseUrl: 'https://host/v1?alt=sse'}}}} // ask me@host or http://host/a@b",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    document = parse(text)
    assert redact(document) == document
    assert redact_text(text, document) == text


def test_a_text_that_cannot_be_read_is_not_shown() -> None:
    assert redact_text("{token: 'S3CRET", {}) == ""
