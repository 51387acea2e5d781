"""`openclawd doctor` at one place: the page, then both ways in, a browser's and a command's."""

import argparse
import shlex
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Final, TypeVar

import trio

from openclawd.agents.certificates import client_context
from openclawd.cli.diagnosis import Diagnosis
from openclawd.cli.failure import reason_of
from openclawd.cli.finding import Finding, Verdict, failed, note, ok
from openclawd.cli.own_gateway import OwnGateway
from openclawd.cli.place import Place, Trust, certificate_of, connected
from openclawd.cli.replay import get_page, shake_hands
from openclawd.config.secret import Secret

T = TypeVar("T")

_BROWSER: Final = "browser"
_COMMAND: Final = "command line"


class Visit:
    """The page of one place, then both ways in."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        environ: Mapping[str, str],
        own: OwnGateway,
        place: Place,
        pinned: str | None,
    ) -> None:
        self._timeout_s = arguments.timeout / 1000
        self._environ = environ
        self._own = own
        self._place = place
        self._pinned = pinned
        self._is_own = not arguments.url

    def findings(self, secrets: Mapping[str, Secret]) -> Iterator[Finding]:
        """Step by step; a step that cannot be made ends it."""
        place = self._place
        cure = "openclawd gateway status"
        if not self._is_own:
            cure = f"if the address is right, on the gateway's machine: {cure}"
        try:
            yield from self._steps(secrets)
        except ssl.SSLError as error:
            plain = f"if it speaks no TLS: openclawd doctor --url http://{place.address}{place.path}"
            yield failed("TLS", f"{place.address}: {error.reason or error}", plain)
        except TimeoutError:
            yield failed("connection", f"{place.address} does not answer", cure)
        except OSError as error:
            yield failed("connection", f"{place.address}: {reason_of(error)}", cure)

    def _steps(self, secrets: Mapping[str, Secret]) -> Iterator[Finding]:
        place, trust = self._place, Trust()
        if place.tls:
            said, trust = self._certificate()
            yield said
            if said.verdict is Verdict.FAILED:
                secrets = {}  # nobody knows who that is
        diagnosis = Diagnosis(place, here=self._is_own)
        page = self._within(partial(get_page, place, trust))
        yield diagnosis.page(page)
        if page.wants_tls:
            return  # whatever else is asked gets the same answer
        if not place.is_secure:
            open_to_all = (
                f"{place.origin} is not encrypted: the network reads along, stock pages refuse to work"
            )
            yield note("encryption", open_to_all, "openclawd config set gateway.tls.enabled true")
        for name, as_page in ((_BROWSER, True), (_COMMAND, False)):
            met = self._within(partial(shake_hands, place, trust, secrets=secrets, as_page=as_page))
            record = self._own.record(met.mark)
            if record is not None:
                diagnosis = Diagnosis(place, here=True)
            if as_page and (clock := diagnosis.clock(met)) is not None:
                yield clock
            yield diagnosis.entry(name, met, record, with_secret=bool(secrets))
            if met.hello is None:
                # Whatever it was refused for, it is not tried once more.
                secrets = {}

    def _certificate(self) -> tuple[Finding, Trust]:
        """By what the gateway's certificate is known, and what a browser will say of it."""

        async def shown(trust: Trust) -> str:
            async with await connected(self._place, trust) as stream:
                return certificate_of(stream)

        checked = Trust(client_context(self._environ))
        try:
            fingerprint = self._within(partial(shown, checked))
        except ssl.SSLCertVerificationError as error:
            unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
            fingerprint = self._within(partial(shown, Trust(unchecked)))
            trust = Trust(unchecked, fingerprint)
            if fingerprint == self._pinned:
                said = "the certificate is the gateway's own; browsers ask once whether to trust it"
                return ok("TLS", f"{said}\nSHA-256 {fingerprint}"), trust
            said = f"the certificate is not trusted: {error.verify_message}\nSHA-256 {fingerprint}"
            url = shlex.quote(f"{self._place.origin}{self._place.path}")
            cure = f"if it is the gateway's: openclawd doctor --url {url} --tls-fingerprint {fingerprint}"
            return failed("TLS", said, cure), trust
        return ok("TLS", f"the certificate is trusted\nSHA-256 {fingerprint}"), checked

    def _within(self, act: Callable[[], Awaitable[T]]) -> T:
        """One step. Raises TimeoutError, OSError."""

        async def bounded() -> T:
            with trio.fail_after(self._timeout_s):
                return await act()

        try:
            return trio.run(bounded, restrict_keyboard_interrupt_to_checkpoints=True)
        except trio.TooSlowError:
            raise TimeoutError from None
