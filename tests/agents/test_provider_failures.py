"""What can go wrong at a provider, each against a real server on loopback, and what the user reads then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from openclawd.agents.entries import ANTHROPIC_MESSAGES, OPENAI_COMPLETIONS
from openclawd.agents.model import ModelErrorKind
from tests.agents.asking import KEY, SHORT, ask, ask_in_vain
from tests.fake_provider import open_fake_provider
from tests.support.certificate import server_certificate

NOBODY = "http://127.0.0.1:1/v1"

# message, kind, what the sentence has to hold
REFUSALS = [
    ("BAD_KEY", ModelErrorKind.BAD_KEY, ["acme refused the API key (HTTP 401)", "Set ACME_KEY."]),
    ("FORBIDDEN", ModelErrorKind.BAD_KEY, ["HTTP 403", "Your project may not do this", "Set ACME_KEY."]),
    ("UNKNOWN_MODEL", ModelErrorKind.UNKNOWN_MODEL, ["acme has no model 'fake-model'", "Choose another."]),
    ("CONTEXT", ModelErrorKind.CONTEXT_TOO_LONG, ["longer than fake-model can take in", "/new"]),
    ("QUOTA", ModelErrorKind.RATE_LIMITED, ["no credit or quota left", "Top it up"]),
    ("RATE_LIMIT_ALWAYS", ModelErrorKind.RATE_LIMITED, ["takes no more requests", "Try again in 1 s."]),
    ("RATE_LIMIT_ALWAYS=300", ModelErrorKind.RATE_LIMITED, ["Try again in 5 minutes."]),
    ("BUSY", ModelErrorKind.OVERLOADED, ["trouble on its side (HTTP 529) (Overloaded)"]),
    ("TOO_LARGE", ModelErrorKind.CONTEXT_TOO_LONG, ["longer than fake-model can take in"]),
    ("FAIL", ModelErrorKind.OVERLOADED, ["trouble on its side (HTTP 500)", "choose another model"]),
    ("WEB_PAGE", ModelErrorKind.PROTOCOL, ["it is a web page", "Check baseUrl."]),
    ("REDIRECT", ModelErrorKind.PROTOCOL, ["sends requests elsewhere (HTTP 307)", "Check baseUrl."]),
    ("GARBAGE", ModelErrorKind.PROTOCOL, ["it is not JSON", "Check baseUrl."]),
    ("FLOOD", ModelErrorKind.PROTOCOL, ["1048576 bytes"]),
    ("EMPTY", ModelErrorKind.PROTOCOL, ["gave an empty answer", "Send the message again"]),
]


APIS = pytest.mark.parametrize("api", [OPENAI_COMPLETIONS, ANTHROPIC_MESSAGES])


@APIS
@pytest.mark.parametrize(("message", "kind", "words"), REFUSALS, ids=[row[0] for row in REFUSALS])
async def test_a_failure_reaches_the_user_in_words(
    message: str, kind: ModelErrorKind, words: list[str], api: str
) -> None:
    async with open_fake_provider() as provider:
        error, heard = await ask_in_vain(provider.base_url, message, api=api)
    assert error.kind is kind
    assert [word for word in words if word not in str(error)] == []
    assert heard.text == ""


@APIS
@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        ("OVERLOADED_INSIDE", ModelErrorKind.OVERLOADED, "So far "),
        ("BREAK_OFF", ModelErrorKind.BROKEN_OFF, "This is where "),
        ("RESET", ModelErrorKind.BROKEN_OFF, "This is where "),
        ("END_EARLY", ModelErrorKind.BROKEN_OFF, "This is where "),
        ("HANG_MIDDLE", ModelErrorKind.BROKEN_OFF, "Half of "),
        ("ERROR_INSIDE", ModelErrorKind.OVERLOADED, "So far "),
        ("FILTERED", ModelErrorKind.REFUSED, "I would "),
    ],
)
async def test_what_was_said_before_a_failure_stays_said(
    message: str, kind: ModelErrorKind, text: str, api: str
) -> None:
    async with open_fake_provider() as provider:
        error, heard = await ask_in_vain(provider.base_url, message, api=api, patience=SHORT)
    assert error.kind is kind
    assert heard.text == text
    assert len(provider.requests) == 1, "never asked twice once something was said"


@APIS
async def test_the_key_is_in_no_error_even_if_the_provider_repeats_it(api: str) -> None:
    async with open_fake_provider() as provider:
        for message in ("BAD_KEY", "ECHO_KEY"):
            error, _ = await ask_in_vain(provider.base_url, message, api=api)
            assert KEY not in str(error)
    assert "your key *** is odd" in str(error)


@APIS
async def test_a_missing_key_is_called_missing(api: str) -> None:
    async with open_fake_provider(key="another") as provider:
        error, _ = await ask_in_vain(provider.base_url, "hello", api=api, key=None)
    assert "acme wants an API key" in str(error)


async def test_a_key_with_characters_that_no_header_carries_is_a_bad_key() -> None:
    error, _ = await ask_in_vain(NOBODY, "hello", key="sk-“quoted”")
    assert error.kind is ModelErrorKind.BAD_KEY
    assert "quoted" not in str(error)


async def test_a_base_url_without_chat_completions_is_told_from_an_unknown_model() -> None:
    async with open_fake_provider() as provider:
        error, _ = await ask_in_vain(provider.url, "hello")
    assert error.kind is ModelErrorKind.PROTOCOL
    assert f"There is no chat/completions at {provider.url} (HTTP 404)" in str(error)
    assert "/v1" in str(error)


async def test_an_unreachable_server_is_named_without_its_credentials() -> None:
    error, _ = await ask_in_vain("http://me:secret@127.0.0.1:1/v1?key=hush", "hello")
    assert error.kind is ModelErrorKind.UNREACHABLE
    assert str(error) == (
        "acme cannot be reached at http://127.0.0.1:1/v1: connection refused. Check baseUrl."
    )


@pytest.mark.parametrize(
    "base_url", ["localhost:11434/v1", "ftp://host/v1", "http://", "http://host:99999/v1", ""]
)
async def test_a_base_url_that_is_none_says_what_one_looks_like(base_url: str) -> None:
    error, _ = await ask_in_vain(base_url, "hello")
    assert error.kind is ModelErrorKind.UNREACHABLE
    assert "such as http://127.0.0.1:8080/v1" in str(error)


@pytest.mark.parametrize("message", ["HANG", "HANG_HEAD"])
async def test_a_server_that_never_answers_is_given_up(message: str) -> None:
    async with open_fake_provider() as provider:
        error, _ = await ask_in_vain(provider.base_url, message, patience=SHORT)
        await provider.requests[0].ended.wait()
    assert error.kind is ModelErrorKind.UNREACHABLE
    assert "no answer within 0.4 s" in str(error)
    assert provider.requests[0].hung_up


@pytest.mark.parametrize("message", ["RATE_LIMIT", "FAIL_ONCE", "DROP_ONCE"])
async def test_what_fails_once_is_asked_once_more(message: str) -> None:
    async with open_fake_provider() as provider:
        heard = await ask(provider.base_url, message)
    assert heard.text == f"You said: {message}"
    assert len(provider.requests) == 2


@pytest.mark.parametrize(("message", "requests"), [("FAIL", 2), ("BAD_KEY", 1), ("QUOTA", 1), ("CONTEXT", 1)])
async def test_only_what_may_pass_is_asked_again_and_only_once(message: str, requests: int) -> None:
    async with open_fake_provider() as provider:
        await ask_in_vain(provider.base_url, message)
    assert len(provider.requests) == requests


async def test_a_wait_longer_than_half_a_minute_is_told_and_not_waited_for() -> None:
    async with open_fake_provider() as provider:
        with trio.fail_after(10):
            error, _ = await ask_in_vain(provider.base_url, "RATE_LIMIT_ALWAYS=45")
    assert "Try again in 45 s." in str(error)
    assert len(provider.requests) == 1


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    context, _ = server_certificate(tmp_path)
    async with open_fake_provider(ssl_context=context) as provider:
        error, _ = await ask_in_vain(f"https://localhost:{provider.port}/v1", "hello")
    assert error.kind is ModelErrorKind.UNREACHABLE
    assert "its certificate is not trusted" in str(error)
    assert "SSL_CERT_FILE" in str(error)


async def test_ssl_cert_file_vouches_for_a_private_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = server_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with open_fake_provider(ssl_context=context) as provider:
        heard = await ask(f"https://localhost:{provider.port}/v1", "hello")
    assert heard.text == "You said: hello"


async def test_a_server_elsewhere_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with open_fake_provider() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        heard = await ask("http://models.invalid/v1", "hello")
    assert heard.text == "You said: hello"
    assert proxy.requests[0].headers["host"] == "models.invalid"


async def test_no_proxy_exempts_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "models.invalid")
    async with open_fake_provider() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        error, _ = await ask_in_vain("http://models.invalid/v1", "hello")
    assert error.kind is ModelErrorKind.UNREACHABLE
    assert proxy.requests == []


async def test_a_server_on_this_machine_is_never_asked_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with open_fake_provider() as provider:
        assert (await ask(provider.base_url, "hello")).text == "You said: hello"
        assert (await ask(f"http://localhost:{provider.port}/v1", "hello")).text == "You said: hello"


async def test_a_proxy_of_a_kind_that_is_not_spoken_is_named_as_the_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("all_proxy", "socks5://me:secret@127.0.0.1:1")
    error, _ = await ask_in_vain("http://models.invalid/v1", "hello")
    assert error.kind is ModelErrorKind.UNREACHABLE
    assert "HTTPS_PROXY" in str(error)
    assert "secret" not in str(error)


def test_httpx_is_not_loaded_before_the_first_call() -> None:
    code = "import sys, openclawd.agents.catalog; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False).returncode == 0
