"""The same few failures in the codes and wordings of many servers."""

from datetime import UTC, datetime

import orjson
import pytest

from openclawd.agents.model import ModelErrorKind
from openclawd.agents.provider_errors import complaint_in_body, complaint_in_event, model_error, retry_after_s
from tests.agents.asking import endpoint

ACME = endpoint("https://api.acme.example/v1")
NOW = datetime(2026, 2, 3, 12, 0, 0, tzinfo=UTC)

K = ModelErrorKind

# status, body as the server sends it, kind
ANSWERS: list[tuple[str, int, object, ModelErrorKind]] = [
    (
        "openai context",
        400,
        {"error": {"message": "…", "code": "context_length_exceeded"}},
        K.CONTEXT_TOO_LONG,
    ),
    ("anthropic", 400, {"error": {"message": "prompt is too long: 210000 tokens"}}, K.CONTEXT_TOO_LONG),
    (
        "gemini",
        400,
        [{"error": {"message": "The input token count (9) exceeds", "code": 400}}],
        K.CONTEXT_TOO_LONG,
    ),
    ("xai", 400, {"error": "This model's maximum prompt length is 131072"}, K.CONTEXT_TOO_LONG),
    ("llama.cpp", 400, {"error": {"code": 400, "type": "exceed_context_size_error"}}, K.CONTEXT_TOO_LONG),
    (
        "lm studio",
        400,
        {"error": "The number of tokens to keep from the initial prompt is"},
        K.CONTEXT_TOO_LONG,
    ),
    ("groq", 413, {"error": {"message": "Please reduce the length of the messages"}}, K.CONTEXT_TOO_LONG),
    ("nginx", 413, "<html>Request Entity Too Large</html>", K.CONTEXT_TOO_LONG),
    ("openai model", 404, {"error": {"message": "…", "code": "model_not_found"}}, K.UNKNOWN_MODEL),
    ("openai model 403", 403, {"error": {"message": "…", "code": "model_not_found"}}, K.UNKNOWN_MODEL),
    (
        "ollama",
        404,
        {"error": {"message": "model 'x' not found", "type": "not_found_error"}},
        K.UNKNOWN_MODEL,
    ),
    (
        "vllm",
        404,
        {"object": "error", "message": "The model `x` does not exist.", "code": 404},
        K.UNKNOWN_MODEL,
    ),
    ("openrouter", 400, {"error": {"message": "x/y is not a valid model ID", "code": 400}}, K.UNKNOWN_MODEL),
    ("no path", 404, "<html>not found</html>", K.PROTOCOL),
    ("fastapi path", 404, {"detail": "Not Found"}, K.PROTOCOL),
    ("method", 405, {"detail": "Method Not Allowed"}, K.PROTOCOL),
    ("key", 401, {"error": {"message": "…", "code": "invalid_api_key"}}, K.BAD_KEY),
    ("key without a body", 401, "", K.BAD_KEY),
    ("quota", 429, {"error": {"message": "…", "code": "insufficient_quota"}}, K.RATE_LIMITED),
    ("deepseek", 402, {"error": {"message": "Insufficient Balance"}}, K.RATE_LIMITED),
    ("tokens a minute", 429, {"error": {"message": "too many tokens per minute"}}, K.RATE_LIMITED),
    ("overloaded", 503, "upstream connect error", K.OVERLOADED),
    ("cloudflare", 529, {"error": {"message": "Overloaded"}}, K.OVERLOADED),
    ("timeout", 408, "", K.OVERLOADED),
    ("proxy login", 407, "", K.UNREACHABLE),
    ("odd parameter", 400, {"error": {"message": "Unsupported parameter with this model: 'x'"}}, K.REFUSED),
    ("fastapi list", 422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, K.REFUSED),
    ("nothing", 400, "", K.REFUSED),
]


@pytest.mark.parametrize(
    ("status", "body", "kind"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS]
)
def test_a_refusal_is_understood(status: int, body: object, kind: ModelErrorKind) -> None:
    data = body.encode() if isinstance(body, str) else orjson.dumps(body)
    error = model_error(complaint_in_body(status, data), ACME, "x")
    assert error.kind is kind
    assert str(error).endswith(".")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"error": {"code": 429, "message": "slow down"}}, K.RATE_LIMITED),
        ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, K.OVERLOADED),
        ({"error": {"code": "invalid_api_key", "message": "…"}}, K.BAD_KEY),
        ({"error": {"code": 502, "message": "Provider disconnected"}}, K.OVERLOADED),
        ({"error": {"message": "maximum context length is 8"}}, K.CONTEXT_TOO_LONG),
        ({"error": "something else"}, K.REFUSED),
        ({"object": "error", "message": "The model `x` does not exist.", "code": 404}, K.UNKNOWN_MODEL),
    ],
)
def test_an_error_inside_a_stream_is_understood_without_a_status(event: object, kind: ModelErrorKind) -> None:
    assert model_error(complaint_in_event(event), ACME, "x").kind is kind


# What OpenAI says beside an ordinary rate limit.
RATE_LIMIT = {
    "error": {
        "message": "Rate limit reached for x on requests per min (RPM): Limit 3, Used 3, Requested 1."
        " Try again in 20s. Visit https://platform.openai.com/account/billing to add a payment method.",
        "type": "requests",
        "code": "rate_limit_exceeded",
    }
}


def test_a_rate_limit_that_mentions_billing_is_waited_for() -> None:
    error = model_error(complaint_in_body(429, orjson.dumps(RATE_LIMIT)), ACME, "x", retry_after_s=20)
    assert error.kind is K.RATE_LIMITED
    assert error.retry_after_s == 20
    assert "takes no more requests" in str(error)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing."),
        (429, "billing_not_active", "Your account is not active, please check your billing details."),
        (400, "billing_hard_limit_reached", "Billing hard limit has been reached"),
        (402, "", "Payment required"),
        (403, "", "Your credit balance is too low"),
    ],
)
def test_an_account_without_credit_is_not_asked_again(status: int, code: str, words: str) -> None:
    body = orjson.dumps({"error": {"message": words, "code": code}})
    error = model_error(complaint_in_body(status, body), ACME, "x")
    assert "no credit or quota left" in str(error)
    assert error.retry_after_s is None


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "'max_tokens' or 'max_completion_tokens' is too large: 9. This model's maximum context length is 8",
        "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens",
        "`max_tokens` must be less than or equal to `8192`, which is less than the `context_window`",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
        "it has a maxOutputTokens value of 100000 but the supported range is from 1 to 65537",
    ],
)
def test_a_limit_that_is_larger_than_the_server_allows_is_told_as_that(words: str) -> None:
    error = model_error(complaint_in_body(400, orjson.dumps({"error": {"message": words}})), ACME, "x")
    assert error.kind is K.REFUSED
    assert "models.providers.acme.models[].maxTokens of x is larger than the server allows" in str(error)


def test_a_providers_own_words_are_quoted_on_one_line_and_cut() -> None:
    body = orjson.dumps({"error": {"message": "first\n  second " + "long " * 200}})
    text = str(model_error(complaint_in_body(400, body), ACME, "x"))
    assert "(first second long long" in text
    assert "…)" in text
    assert len(text) < 400


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("20", 20.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("Tue, 03 Feb 2026 12:00:30 GMT", 30.0),
        ("Tue, 03 Feb 2026 11:00:00 GMT", 0.0),
        ("Tuesday, 03-Feb-26 12:01:00 GMT", 60.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


@pytest.mark.parametrize(
    ("after_s", "words"),
    [(None, "in a minute"), (1, "1 s"), (90, "90 s"), (600, "10 minutes"), (9000, "2 hours")],
)
def test_a_rate_limit_says_when_it_ends(after_s: float | None, words: str) -> None:
    error = model_error(complaint_in_body(429, b""), ACME, "x", retry_after_s=after_s)
    assert words in str(error)


@pytest.mark.parametrize("words", ["max", "model ", "max_tokens ", "context "])
def test_a_text_of_any_length_is_looked_at_only_at_its_beginning(words: str) -> None:
    # Expressions that look at all of it are still at it tomorrow.
    body = orjson.dumps({"error": {"message": words * 500_000}})
    assert model_error(complaint_in_body(400, body), ACME, "m").kind is not K.OVERLOADED
