"""What those may see who may read the configuration but not own it."""

import hashlib
from pathlib import Path

import pytest

from openclawd.config.load import load_text
from openclawd.config.paths import Paths
from openclawd.config.reading import parse
from openclawd.config.redact import REDACTED, config_get_result, redact, redact_text

PATHS = Paths(state_dir=Path("/home/me/.openclaw"), config_file=Path("/home/me/.openclaw/openclaw.json"))


@pytest.mark.parametrize(
    "text",
    [
        "{gateway: {auth: {token: 'S3CRET'}}}",
        "{gateway: {auth: {password: 'S3CRET'}}}",
        "{gateway: {remote: {token: 'S3CRET'}}}",
        "{models: {providers: {x: {apiKey: 'S3CRET'}}}}",
        "{models: {providers: {x: {headers: {'X-Any': 'S3CRET'}}}}}",
        "{models: {providers: {x: {baseUrl: 'http://me:S3CRET@host/v1'}}}}",
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
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    document = parse(text)
    assert redact(document) == document
    assert redact_text(text, document) == text


def test_a_text_that_cannot_be_read_is_not_shown() -> None:
    assert redact_text("{token: 'S3CRET", {}) == ""


def test_the_answer_of_config_get_has_stocks_shape() -> None:
    text = '{ "gateway": { "auth": { "token": "s3cret" } }, "channels": {} }\n'
    result = config_get_result(load_text(PATHS, text, {}))
    covered = {"gateway": {"auth": {"token": REDACTED}}, "channels": {}}
    assert result == {
        "path": "/home/me/.openclaw/openclaw.json",
        "exists": True,
        "raw": text.replace("s3cret", REDACTED),
        "parsed": covered,
        "resolved": covered,
        "valid": True,
        "config": covered,
        "hash": hashlib.sha256(text.encode()).hexdigest(),
        "issues": [],
        "warnings": [{"path": "", "message": "kept for stock and not used here: channels"}],
        "legacyIssues": [],
    }
