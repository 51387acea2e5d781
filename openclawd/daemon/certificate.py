"""The certificate that newcomers are shown: watched, renewed before it expires, read anew on reload.

Whoever is connected keeps the one that he was shown. Of a certificate that is not ours we can only say when
it expires.
"""

import logging
import ssl
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import trio

from openclawd.config.settings import TlsSettings
from openclawd.daemon.certificate_files import (
    Certificate,
    CertificateUnusable,
    check_place,
    make_certificate,
    read_certificate,
)
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.refusal import StartRefused

_DAY_MS: Final = 86_400_000
# A laptop may sleep for weeks.
RENEWED_BEFORE_MS: Final = 60 * _DAY_MS
# Time for a person to get another.
WARNED_BEFORE_MS: Final = 14 * _DAY_MS
CHECKED_EVERY_S: Final = 43_200.0

_log = logging.getLogger("openclawd.tls")


def check_certificate(tls: TlsSettings) -> None:
    """Raises StartRefused as a start with these settings would, but makes nothing."""
    try:
        if not tls.make or tls.certificate.exists():
            read_certificate(tls)
        else:
            check_place(tls)
    except (CertificateUnusable, OSError) as error:
        raise StartRefused(ExitCode.CONFIG, str(error)) from error


class Certificates:
    """One gateway's certificate, and the next one."""

    def __init__(
        self, tls: TlsSettings, names: Callable[[], Iterable[str]], now_ms: Callable[[], int]
    ) -> None:
        """Reads it, and makes it where there is none and `tls` allows that; `names` gives the host names and
        addresses to put into it. Raises StartRefused.
        """
        self._tls = tls
        self._names = names
        self._now_ms = now_ms
        try:
            self._current = self._load(tls)
            if not self._renew_if_due():
                self._tell("certificate")
        except CertificateUnusable as error:
            raise StartRefused(ExitCode.CONFIG, str(error)) from error
        missing = sorted(set(names()) - self._current.names) if self._current.is_ours else []
        if missing:
            hint = (
                f"for one that has them, another fingerprint with it: rm {tls.certificate}, then start again"
            )
            fields = {"names": ", ".join(missing), "hint": hint}
            _log.warning("certificate lacks names", extra={"fields": fields})

    @property
    def context(self) -> ssl.SSLContext:
        """For the next handshake."""
        return self._current.context

    @property
    def fingerprint(self) -> str:
        """Its SHA-256, as openssl and browsers show it."""
        return self._current.fingerprint

    def reload(self, tls: TlsSettings | None = None) -> bool:
        """Read the files again, or those of other settings; whether there is another certificate now.

        Connections go on as they are. What cannot be used changes nothing, and is warned of; raises
        CertificateUnusable.
        """
        wanted = self._tls if tls is None else tls
        try:
            found = self._load(wanted)
        except CertificateUnusable as error:
            fields = {"reason": " ".join(str(error).split()), "sha256": self.fingerprint}
            _log.warning("certificate kept", extra={"fields": fields})
            raise
        changed = found.fingerprint != self._current.fingerprint
        self._tls, self._current = wanted, found
        if changed:
            self._tell("certificate changed")
        return changed

    async def keep_fresh(self) -> None:
        """Renew what is ours before it expires, warn of what is not; until cancelled."""
        while True:
            await trio.sleep(CHECKED_EVERY_S)
            try:
                self._renew_if_due()  # a millisecond and a write, once in two years
            except CertificateUnusable as error:
                fields = {"reason": " ".join(str(error).split())}
                _log.error("certificate not renewed", extra={"fields": fields})
            if self._current.expires_at_ms - self._now_ms() < WARNED_BEFORE_MS:
                self._tell("certificate expires", level=logging.WARNING)

    def _renew_if_due(self) -> bool:
        due = self._current.expires_at_ms - self._now_ms() < RENEWED_BEFORE_MS
        if not (due and self._current.is_ours and self._tls.make):
            return False
        make_certificate(self._tls, self._names(), self._now_ms())
        self._current = read_certificate(self._tls)
        self._tell("certificate renewed", level=logging.WARNING)
        return True

    def _load(self, tls: TlsSettings) -> Certificate:
        if tls.make and not tls.certificate.exists():
            make_certificate(tls, self._names(), self._now_ms())
            _log.info("certificate made", extra={"fields": {"saved": str(tls.certificate)}})
        return read_certificate(tls)

    def _tell(self, message: str, *, level: int = logging.INFO) -> None:
        expires = datetime.fromtimestamp(self._current.expires_at_ms / 1000, UTC)
        fields = {
            "sha256": self.fingerprint,
            "expires": expires.date().isoformat(),
            "file": str(self._tls.certificate),
        }
        _log.log(level, message, extra={"fields": fields})
