"""The guard before every HTTP route: what auth/provenance.py refuses is answered and logged here, in words.

Whoever reads an answer of these may be the owner at a new name, and then the one command in it mends it; or a
page that attacks, which a browser does not show the answer to.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import attrs

from openclawd.auth.hosts import parse_origin
from openclawd.auth.locality import Locality, Peer
from openclawd.auth.origins import allowing
from openclawd.auth.policy import Policy
from openclawd.auth.provenance import (
    FetchMetadata,
    RequestFault,
    judge_request,
    origin_at,
    strange_host,
)
from openclawd.net.http import Request, Response
from openclawd.net.refusal_log import RefusalLog
from openclawd.net.static import PAGE_PARTS

# Monitors ask these by address, by service name or by whatever they were given.
ANY_HOST: Final = frozenset(("/health", "/healthz", "/ready", "/readyz"))
_THE_PAGE: Final = "openclawd dashboard"
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 15vh auto; padding: 0 1.5rem }}
h1 {{ font-size: 1.25rem }}
pre {{ padding: .75rem 1rem; border: 1px solid; border-radius: .5rem; white-space: pre-wrap;
  overflow-wrap: anywhere; user-select: all }}
</style>
<h1>{title}</h1>
<p>{text}</p>
<pre>{command}</pre>
</html>
"""
# Header values of strangers are cut to this.
_SHOWN_MAX_CHARACTERS: Final = 200


@attrs.frozen(eq=False, repr=False)
class _Words:
    title: str
    text: str
    command: str
    condition: str = ""
    """Of the command, for the log; the text has it in words."""


@attrs.frozen(eq=False, repr=False)
class Caller:
    """Who asks. `is_owner`: over the local socket, as the gateway's own user or root."""

    peer: Peer
    locality: Locality
    is_owner: bool


class Guard:
    """Lets a request pass, or answers it. `policy` is asked at each request, so a new one counts at once."""

    def __init__(self, policy: Callable[[], Policy], refusals: RefusalLog) -> None:
        self._policy = policy
        self._refusals = refusals

    def admit(self, request: Request, peer: Peer) -> Caller | Response:
        """Who asks, for the routes; or the answer to a request that none of them may see."""
        policy = self._policy()
        locality = policy.locate(peer)
        fetch = FetchMetadata(
            request.header("sec-fetch-site"),
            request.header("sec-fetch-mode"),
            request.header("sec-fetch-dest"),
        )
        fault = judge_request(
            request.method,
            peer,
            locality,
            fetch,
            policy.origins,
            any_host=request.path in ANY_HOST,
            page_part=request.path.endswith(PAGE_PARTS),
        )
        if fault is None:
            return Caller(peer, locality, is_owner=policy.is_owner(peer))
        words = _words(fault, peer, locality, fetch, policy)
        fields = {
            "reason": fault.value,
            "address": locality.address,
            "host": shown(locality.host),
            "origin": shown(peer.origin),
            "method": request.method,
            "path": shown(request.path),
            "next": words.condition + words.command,
        }
        self._refusals.refused({name: value for name, value in fields.items() if value is not None})
        return _answer(request, fault, words)


def _words(
    fault: RequestFault, peer: Peer, locality: Locality, fetch: FetchMetadata, policy: Policy
) -> _Words:
    match fault:
        case RequestFault.HOST:
            host = strange_host(peer, locality, policy.origins) or ""
            origin = origin_at(host, peer, locality, fetch)
            if origin is None:
                return _Words(
                    "This gateway was asked for under a name that is none",
                    f"The Host header is {_quoted(host)}. What works is the link that this prints:",
                    _THE_PAGE,
                )
            return _Words(
                f"This gateway does not know the name {origin.host}",
                "It answers under its own names only, since another site could point any name at it (DNS "
                f"rebinding). If {origin.host} is yours, run this on the gateway's machine:",
                allowing(origin, policy.origins),
                "if the name is yours: ",
            )
        case RequestFault.ORIGIN:
            origin = parse_origin(peer.origin or "")
            if origin is None or peer.unix_uid is not None:
                return _Words(
                    "This page may not talk to the gateway",
                    f"Its origin is {_quoted(peer.origin)}, which could be anybody's. Open the page by the "
                    "link that this prints:",
                    _THE_PAGE,
                )
            return _Words(
                f"Pages of {origin} may not talk to this gateway",
                f"It was asked for at {_quoted(locality.host)}, and pages come from the same address. If "
                f"{origin} is where your own proxy serves it, run this on the gateway's machine:",
                allowing(origin, policy.origins),
                "if the page is yours: ",
            )
        case RequestFault.FRAMED:
            title = "The gateway is not shown inside another page"
        case RequestFault.CROSS_SITE:
            title = "Another site asked for this"
    return _Words(title, "Open it in a tab of its own, by the link that this prints:", _THE_PAGE)


def _answer(request: Request, fault: RequestFault, words: _Words) -> Response:
    status = HTTPStatus.MISDIRECTED_REQUEST if fault is RequestFault.HOST else HTTPStatus.FORBIDDEN
    headers = (("Cache-Control", "no-store"), ("Content-Security-Policy", _POLICY), ("Vary", "*"))
    if "text/html" in (request.header("accept") or ""):
        # Its table of entities is a third of a megabyte.
        import html

        shown = {name: html.escape(value) for name, value in attrs.asdict(words).items()}
        body = _PAGE.format(**shown)
        return Response(status, (("Content-Type", "text/html; charset=utf-8"), *headers), body.encode())
    body = f"{words.title}.\n{words.text}\n\n  {words.command}\n"
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"), *headers), body.encode())


def _quoted(header: str | None) -> str:
    return f'"{shown(header) or ""}"'


def shown(header: str | None) -> str | None:
    """As much of a stranger's words as the log takes."""
    return header[:_SHOWN_MAX_CHARACTERS] if header is not None else None
