"""What went wrong at a provider, in words that end in what helps.

Compatible servers agree on the success path only: each has its own codes and wordings for the same few
failures. This file knows them (OpenAI, Anthropic, OpenRouter, Groq, Mistral, xAI, DeepSeek, Gemini's
compatible endpoint, vLLM, llama.cpp, LM Studio, Ollama), and turns them into a ModelError. No I/O; the clock
is passed in.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import attrs
import orjson

from openclawd.agents.endpoint import Endpoint
from openclawd.agents.entries import ANTHROPIC_MESSAGES, OPENAI_COMPLETIONS
from openclawd.agents.model import ModelError, ModelErrorKind

# Where a provider says "again" without saying when.
DEFAULT_RETRY_AFTER_S: Final = 1.0

_CONTEXT_TOO_LONG: Final = re.compile(
    r"context.?(length|window|size|limit)|maximum (context|prompt length)|prompt (is )?too long"
    r"|prompt exceeds|prompt token count|input token count|input is too long|too many (input )?tokens"
    r"|reduce (the|your) (length|message|prompt)|tokens to keep from the initial prompt|model token limit"
    r"|too large for model|inputs` tokens",
    re.IGNORECASE,
)
_UNKNOWN_MODEL: Final = re.compile(
    r"model_not_found|not_found_error model:|not a valid model|no such model|invalid model|unknown model"
    r"|no endpoints found|model\b.{0,120}(not found|not exist|not supported by|is not available|have access)",
    re.IGNORECASE | re.DOTALL,
)
_NO_CREDIT: Final = re.compile(
    r"insufficient.?(quota|balance|credit|funds)|your current quota|credit balance|more credits"
    r"|billing.(hard.limit|not.active)",
    re.IGNORECASE,
)
# Codes that settle it: the words beside them often advertise more credit.
_RATE_LIMIT_CODES: Final = frozenset({"rate_limit_exceeded", "rate_limit_error", "too_many_requests"})
# Told apart first, as most servers name the context window beside it.
_MAX_TOKENS_TOO_LARGE: Final = re.compile(
    r"max_?\w*tokens\b.{0,80}?(too (large|high|big)|less than|above maximum|(valid|supported) range"
    r"|: \d+ > \d)",
    re.IGNORECASE | re.DOTALL,
)

_KINDS: Final = {OPENAI_COMPLETIONS: "OpenAI-compatible", ANTHROPIC_MESSAGES: "Anthropic-compatible"}
_ROUTES: Final = {OPENAI_COMPLETIONS: "chat/completions", ANTHROPIC_MESSAGES: "v1/messages"}
_BASE_URLS: Final = {
    OPENAI_COMPLETIONS: "Most servers want a base URL that ends in /v1.",
    ANTHROPIC_MESSAGES: "The base URL is what stands before /v1/messages.",
}

# An error text says what it is about at its beginning, and what looks for words in it may take long.
_MAX_WORDS_CHARS: Final = 4_000

# An error object inside a stream has no HTTP status; these are the codes and types that stand for one.
_STATUS_OF_CODE: Final = {
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "insufficient_quota": 402,
    "billing_error": 402,
    "not_found_error": 404,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "too_many_requests": 429,
    "server_error": 500,
    "internal_server_error": 500,
    "internal_error": 500,
    "api_error": 500,
    "request_too_large": 413,
    "timeout_error": 504,
    "overloaded_error": 529,
    "service_unavailable": 503,
}


def _beginning(text: str) -> str:
    return text[:_MAX_WORDS_CHARS]


@attrs.frozen
class ProviderComplaint:
    """A provider's error, taken out of whichever envelope it came in."""

    status: int
    code: str = attrs.field(converter=_beginning)
    words: str = attrs.field(converter=_beginning)


def complaint_in_body(status: int, body: bytes) -> ProviderComplaint:
    """The error in the body of an answer with an HTTP status that is no success."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode(errors="replace").strip()
        return ProviderComplaint(status, "", "" if text.startswith("<") else text)
    if isinstance(value, list) and value:  # Gemini wraps the envelope in a list
        value = value[0]
    found = complaint_in_event(value)
    return attrs.evolve(found, status=status)


def complaint_in_event(value: object) -> ProviderComplaint:
    """The error in `{"error": {...}}`, `{"error": "text"}`, `{"message": ...}` or `{"detail": ...}`."""
    inner = value.get("error") or value if isinstance(value, dict) else value
    if not isinstance(inner, dict):
        return ProviderComplaint(0, "", inner if isinstance(inner, str) else "")
    words = inner.get("message") or inner.get("detail") or inner.get("error") or ""
    codes = [inner.get("code"), inner.get("type"), inner.get("status")]
    numbers = [code for code in codes if isinstance(code, int) and 400 <= code <= 599]
    names = [code for code in codes if isinstance(code, str)]
    status = next(iter(numbers), 0) or next(
        (_STATUS_OF_CODE[name] for name in names if name in _STATUS_OF_CODE), 0
    )
    return ProviderComplaint(status, " ".join(names), words if isinstance(words, str) else str(words))


def model_error(
    complaint: ProviderComplaint, endpoint: Endpoint, model: str, *, retry_after_s: float | None = None
) -> ModelError:
    """The user's sentence. `retry_after_s` is what the provider asked for, where it did."""
    status = complaint.status
    everything = f"{complaint.code} {complaint.words}"
    said = endpoint.quote(complaint.words)
    quoted = f" ({said})" if said else ""
    name = endpoint.provider
    rate_limited = not _RATE_LIMIT_CODES.isdisjoint(complaint.code.split())
    if status == 402 or (status in {0, 400, 403, 429} and not rate_limited and _NO_CREDIT.search(everything)):
        return ModelError(
            ModelErrorKind.RATE_LIMITED,
            f"The account at {name} has no credit or quota left{quoted}. Top it up there, "
            "or choose another model.",
        )
    if status == 429:
        return _rate_limited(name, quoted, retry_after_s)
    if status in {0, 400, 422} and _MAX_TOKENS_TOO_LARGE.search(complaint.words):
        return ModelError(
            ModelErrorKind.REFUSED,
            f"The models.providers.{name}.models[].maxTokens of {model} is larger than the server allows"
            f"{quoted}. Lower it in openclaw.json.",
        )
    if status not in {401, 408} and status < 502 and _CONTEXT_TOO_LONG.search(everything):
        return _context_too_long(model)
    if status not in {401, 408} and status < 500 and _UNKNOWN_MODEL.search(everything):
        return ModelError(
            ModelErrorKind.UNKNOWN_MODEL, f"{name} has no model {model!r}{quoted}. {endpoint.model_hint}"
        )
    if status in {401, 403}:
        return _bad_key(endpoint, status, quoted)
    if status in {404, 405}:
        return ModelError(
            ModelErrorKind.PROTOCOL,
            f"There is no {_ROUTES[endpoint.api]} at {endpoint.address} (HTTP {status}). "
            f"{_BASE_URLS[endpoint.api]} {endpoint.address_hint}",
        )
    if status == 413:
        return _context_too_long(model)
    if status == 407:
        return ModelError(
            ModelErrorKind.UNREACHABLE,
            f"The proxy on the way to {name} wants a login. Put it into HTTPS_PROXY, "
            "or name the host in NO_PROXY.",
        )
    if status == 408 or status >= 500:
        return ModelError(
            ModelErrorKind.OVERLOADED,
            f"{name} has trouble on its side (HTTP {status}){quoted}. Try again in a minute, "
            "or choose another model.",
            retry_after_s=DEFAULT_RETRY_AFTER_S if retry_after_s is None else retry_after_s,
        )
    if 300 <= status < 400:
        return ModelError(
            ModelErrorKind.PROTOCOL,
            f"{endpoint.address} sends requests elsewhere (HTTP {status}), where the key must not follow. "
            f"{endpoint.address_hint}",
        )
    return ModelError(
        ModelErrorKind.REFUSED,
        f"{name} refused the request for {model}{quoted}. Change the message, or choose another model.",
    )


def not_compatible(endpoint: Endpoint, what: str) -> ModelError:
    """For an answer that no server of the configured api gives."""
    return ModelError(
        ModelErrorKind.PROTOCOL,
        f"What came back from {endpoint.address} is no {_KINDS[endpoint.api]} answer: {what}. "
        f"{endpoint.address_hint}",
    )


def unreachable(endpoint: Endpoint, reason: str, *, retry_after_s: float | None = None) -> ModelError:
    """For a provider from which nothing came back."""
    return ModelError(
        ModelErrorKind.UNREACHABLE,
        f"{endpoint.provider} cannot be reached at {endpoint.address}: {reason}. {endpoint.address_hint}",
        retry_after_s=retry_after_s,
    )


def broken_off(endpoint: Endpoint, how: str) -> ModelError:
    """For an answer that stopped before its end."""
    return ModelError(
        ModelErrorKind.BROKEN_OFF,
        f"{endpoint.provider} {how} before the answer was complete. What came until then is kept; "
        "send “go on”, or the message again.",
    )


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Retry-After (RFC 9110, 10.2.3: seconds or a date) as seconds from `now`; None where it says nothing."""
    if header is None:
        return None
    text = header.strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


def _bad_key(endpoint: Endpoint, status: int, quoted: str) -> ModelError:
    # A 401's own words repeat parts of the key; a 403's may be about a region or a project, so they are
    # shown.
    has_key = bool(endpoint.api_key)
    what = "refused the API key" if has_key else "wants an API key"
    return ModelError(
        ModelErrorKind.BAD_KEY,
        f"{endpoint.provider} {what} (HTTP {status}){quoted if status == 403 else ''}. {endpoint.key_hint}",
    )


def _rate_limited(name: str, quoted: str, after_s: float | None) -> ModelError:
    when = "in a minute" if after_s is None else f"in {_in_words(after_s)}"
    return ModelError(
        ModelErrorKind.RATE_LIMITED,
        f"{name} takes no more requests just now{quoted}. Try again {when}.",
        retry_after_s=DEFAULT_RETRY_AFTER_S if after_s is None else after_s,
    )


def _context_too_long(model: str) -> ModelError:
    return ModelError(
        ModelErrorKind.CONTEXT_TOO_LONG,
        f"This conversation has grown longer than {model} can take in. Start a new one with /new, "
        "or choose a model with a larger context window.",
    )


def _in_words(seconds: float) -> str:
    whole = max(1, round(seconds))
    if whole < 120:
        return f"{whole} s"
    return f"{round(whole / 60)} minutes" if whole < 7200 else f"{round(whole / 3600)} hours"
