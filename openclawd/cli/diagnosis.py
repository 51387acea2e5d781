"""From what a browser or a command met on its way in to what it means, and the one command that mends it.

The gateway's own record of a decision says best what helps (`next`); where it cannot be had, the answer that
the client got must do.
"""

import html
import re
import shlex
from collections.abc import Mapping
from typing import Final

from openclawd.cli.finding import Finding, failed, note, ok, waited
from openclawd.cli.place import Place
from openclawd.cli.replay import Handshake, Page

_THERE: Final = "on the gateway's machine: "
# Stock and we refuse a device whose clock differs by two minutes; half of that is worth a word.
SKEW_FAILED_MS: Final = 120_000
SKEW_NOTED_MS: Final = 60_000
# What a record says beside its outcome; who and when is known.
_SHOWN: Final = (
    *("reason", "credential", "presented", "source", "address", "local", "origin", "host"),
    *("delayMs", "retryAfterMs", "scopes", "closeCode"),
)
# Answered so to who shows nothing, which is all that can be found out without.
_ASKS_FOR_SECRET: Final = frozenset(
    ("AUTH_TOKEN_MISSING", "AUTH_PASSWORD_MISSING", "DEVICE_IDENTITY_REQUIRED", "AUTH_REQUIRED")
)
_MISMATCH: Final = frozenset(("AUTH_TOKEN_MISMATCH", "AUTH_PASSWORD_MISMATCH"))
_COMMAND: Final = re.compile(r"<pre>(.+?)</pre>", re.DOTALL)
_PARAGRAPH: Final = re.compile(r"<(?:h1|p)>(.+?)</(?:h1|p)>", re.DOTALL)
_NGINX: Final = (
    "in nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
    ' proxy_set_header Connection "upgrade";'
)
_OURS: Final = re.compile(r"openclaw", re.IGNORECASE)


class Diagnosis:
    """The findings about one place. `here`: its gateway is this machine's and this user's."""

    def __init__(self, place: Place, *, here: bool) -> None:
        self._place = place
        self._here = here

    def page(self, page: Page) -> Finding:
        """The page itself."""
        if page.status == 200 and "text/html" in page.headers.get("content-type", ""):
            if _OURS.search(page.body):
                return ok("page", f"{self._place.origin}{self._place.path} answers with the page")
            return note("page", "a page comes, but not openclawd's own; the next steps say whose it is")
        if page.status in {301, 302, 303, 307, 308}:
            target = page.headers.get("location", "")
            return failed("page", f"redirected to {target}", f"openclawd doctor --url {shlex.quote(target)}")
        words = [html.unescape(each) for each in _PARAGRAPH.findall(page.body)]
        command = _COMMAND.search(page.body)
        if command is not None and page.status in {403, 421}:
            return failed("page", "\n".join(words), self._there(html.unescape(command[1])))
        if page.wants_tls:
            url = f"https://{self._place.address}{self._place.path}"
            return failed("page", "the port speaks TLS only", f"openclawd doctor --url {shlex.quote(url)}")
        if page.status in {502, 503, 504}:
            said = f"HTTP {page.status}: a proxy answers, and does not reach the gateway"
            return failed("page", said, self._there("openclawd gateway status"))
        if page.status == 404:
            said = "HTTP 404: the page is not at this path, or switched off (gateway.controlUi.enabled)"
            return failed("page", said, self._there("openclawd dashboard"))
        return failed("page", f"HTTP {page.status}", self._there("openclawd logs"))

    def clock(self, handshake: Handshake) -> Finding | None:
        """Whether devices' signatures are in time; None when the gateway did not say its time."""
        skew_ms = handshake.skew_ms
        if skew_ms is None or abs(skew_ms) < SKEW_NOTED_MS:
            return None if skew_ms is None else ok("clock", f"{abs(skew_ms) / 1000:.1f} s apart")
        direction = "ahead" if skew_ms > 0 else "behind"
        said = f"the gateway's is {abs(skew_ms) / 1000:.0f} s {direction} of this machine's"
        cure = "set both clocks: sudo timedatectl set-ntp true"
        if abs(skew_ms) < SKEW_FAILED_MS:
            return note("clock", said, cure)
        return failed("clock", f"{said}; devices are refused from {SKEW_FAILED_MS // 1000} s on", cure)

    def entry(
        self,
        name: str,
        handshake: Handshake,
        record: Mapping[str, object] | None,
        *,
        with_secret: bool,
    ) -> Finding:
        """One handshake, of a page or of a command; `record` is the gateway's own, where it can be had."""
        shown = _chosen(record) if record is not None else handshake.told()
        if handshake.hello is not None:
            by = (record or {}).get("credential")
            return ok(name, f"admitted by {by}" if by else "admitted", shown)
        if not with_secret and handshake.code in _ASKS_FOR_SECRET:
            said = "let through as far as one gets without a secret and a device"
            return ok(name, said, shown)
        said, cure = self._refusal(handshake)
        advised = (record or {}).get("next")
        return failed(name, said, self._there(advised) if isinstance(advised, str) else cure, shown)

    def _refusal(self, handshake: Handshake) -> tuple[str, str]:
        code, error = handshake.code, handshake.error
        if error is None:
            return self._no_answer(handshake)
        said = f"refused: {error.get('message')}"
        if "origin not allowed" in said:
            origin = shlex.quote(self._place.origin)
            return said, self._there(f"openclawd config set openclawd.publicOrigin {origin}")
        if code in _MISMATCH:
            given = "--password-file FILE" if "PASSWORD" in code else "--token-file FILE"
            return said, f"give the gateway's own: openclawd doctor --url {self._place.origin} {given}"
        if code == "AUTH_RATE_LIMITED":
            said += f"; it opens again{waited(error.get('retryAfterMs'))}"
            return said, self._there("openclawd gateway limits --clear-all")
        if code == "PROTOCOL_MISMATCH":
            return said, "bring both to versions that know each other: openclawd --version"
        if code == "AUTH_TOKEN_NOT_CONFIGURED":
            return said, self._there("openclawd gateway token rotate")
        return said, self._there("openclawd logs")

    def _no_answer(self, handshake: Handshake) -> tuple[str, str]:
        """It ended before the gateway had said yes or no."""
        if handshake.close is not None:
            number, reason = handshake.close
            again = number in {1012, 1013}
            cure = "try again: openclawd doctor" if again else self._there("openclawd logs")
            return f"closed: {number} {reason}".rstrip(), cure
        if handshake.status is None or handshake.skew_ms is not None:
            return "it sent no challenge, or no answer: what listens is no gateway", self._there(
                "openclawd status"
            )
        if handshake.status == 503:
            return "HTTP 503: the gateway is stopping, or full", "try again: openclawd doctor"
        said = f"HTTP {handshake.status} in place of a WebSocket: a proxy does not pass the upgrade on"
        return said, _NGINX

    def _there(self, command: str) -> str:
        return command if self._here or not command.startswith("openclawd ") else _THERE + command


def _chosen(record: Mapping[str, object]) -> dict[str, object]:
    return {name: record[name] for name in _SHOWN if record.get(name) not in (None, [], "")}
