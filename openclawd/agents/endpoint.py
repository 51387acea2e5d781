"""Where a provider is, what it wants to see, and which words help a user when something is wrong with it.

Nothing here shows a secret: `address` leaves out credentials and query, and `quote` blots out keys that a
provider sends back in its error texts.
"""

import base64
import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

import attrs

from openclawd.agents.entries import ANTHROPIC_MESSAGES, OPENAI_COMPLETIONS
from openclawd.agents.model import ModelError, ModelErrorKind
from openclawd.config.secret import Secret

# As much of a provider's own words as fits a chat bubble.
_QUOTE_LENGTH: Final = 240
# Shorter "secrets" occur by chance in ordinary words.
_SECRET_MIN_LENGTH: Final = 6


# What the requests and answers of `anthropic-messages` look like; the one version there is.
_ANTHROPIC_VERSION: Final = "2023-06-01"
# Further than any server on this planet is away.
CONNECT_TIMEOUT_S: Final = 10.0


@attrs.frozen(eq=False, repr=False)
class Patience:
    """How long a provider may be silent, in seconds."""

    connect_s: float = CONNECT_TIMEOUT_S
    # A local server may load the model from disk first, a reasoning model may think in silence.
    first_token_s: float = 300.0
    # Once it speaks, a pause this long is a dead connection.
    between_chunks_s: float = 120.0


@attrs.frozen(eq=False, repr=False)
class Endpoint:
    """One provider's address and credentials. The hints are whole sentences, each saying one thing to do."""

    provider: str
    base_url: str
    key_hint: str
    address_hint: str
    model_hint: str
    api_key: Secret | None = None
    extra_headers: Mapping[str, Secret | str] = attrs.field(factory=dict)
    api: str = OPENAI_COMPLETIONS

    def same_as(self, other: "Endpoint") -> bool:
        """Whether it is asked in the same way, with the same credentials."""
        names = (field.name for field in attrs.fields(Endpoint))
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def url(self, path: str) -> str:
        """`path` below the base URL, without user and password, its query kept. Raises ModelError."""
        parts = self._parts()
        return parts._replace(netloc=_netloc(parts), path=parts.path.rstrip("/") + "/" + path).geturl()

    @property
    def address(self) -> str:
        """The base URL as it may be shown."""
        try:
            parts = self._parts()
        except ModelError:
            return "its base URL"
        return f"{parts.scheme}://{_netloc(parts)}{parts.path.rstrip('/')}"

    def host_and_port(self) -> tuple[str, int]:
        """Where a connection goes. Raises ModelError."""
        parts = self._parts()
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    def is_loopback(self) -> bool:
        """Whether it is this machine; such a server is never asked through a proxy. An address that is none
        is not.
        """
        try:
            host = self.host_and_port()[0]
        except ModelError:
            return False
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def headers(self) -> dict[str, str]:
        """Credentials (none without a key) and the configured headers. Raises ModelError."""
        headers: dict[str, str] = {}
        parts = self._parts()
        if self.api == ANTHROPIC_MESSAGES:
            headers["anthropic-version"] = _ANTHROPIC_VERSION
        if self.api_key and self.api == ANTHROPIC_MESSAGES:
            headers["x-api-key"] = self.api_key.reveal().strip()
        elif self.api_key:
            headers["authorization"] = f"Bearer {self.api_key.reveal().strip()}"
        elif parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        for name, value in self.extra_headers.items():
            headers[name.lower()] = value.reveal() if isinstance(value, Secret) else value
        for name, text in headers.items():
            if not (text.isascii() and text.isprintable()):
                raise ModelError(
                    ModelErrorKind.BAD_KEY,
                    f"The {name} header for {self.provider} holds characters that no header can carry. "
                    f"{self.key_hint}",
                )
        return headers

    def quote(self, words: str) -> str:
        """A provider's words on one line, short, without our secrets."""
        for text in sorted(self._secrets(), key=len, reverse=True):
            if len(text) >= _SECRET_MIN_LENGTH:
                words = words.replace(text, "***")
        words = " ".join(words.split()).rstrip(".")
        return words if len(words) <= _QUOTE_LENGTH else words[: _QUOTE_LENGTH - 1] + "…"

    def _secrets(self) -> set[str]:
        """What a provider was shown and may send back: keys, headers, login and query of the URL, each as
        it is and as a URL or a header writes it.
        """
        sent = {each.reveal().strip() for each in self.extra_headers.values() if isinstance(each, Secret)}
        if self.api_key:
            sent.add(self.api_key.reveal().strip())
        try:
            parts = urlsplit(self.base_url.strip())
        except ValueError:
            parts = urlsplit("")
        login = parts.netloc.rpartition("@")[0]
        if login:
            plain = ":".join(map(unquote, login.split(":", 1)))
            sent |= {login, plain, base64.b64encode(plain.encode()).decode(), *login.split(":", 1)}
        sent |= {pair.partition("=")[2] for pair in parts.query.split("&")}
        return sent | {unquote(text) for text in sent} | {quote(text, safe="") for text in sent}

    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.base_url.strip())
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ModelError(
                ModelErrorKind.UNREACHABLE,
                f"The base URL of {self.provider} is not an http or https address "
                f"(such as http://127.0.0.1:8080/v1). {self.address_hint}",
            )
        return parts


def _netloc(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]
