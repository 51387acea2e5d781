"""The one certificate that a command trusts: this machine's own, or the one that was named."""

from typing import TYPE_CHECKING

import attrs

from openclawd.cli.failure import Failure, NotRunning
from openclawd.daemon.certificate_files import fingerprint_in

if TYPE_CHECKING:
    from openclawd.config.settings import TlsSettings


@attrs.frozen
class Pin:
    """The one certificate to trust: its SHA-256 as 64 hex digits, and who told it."""

    sha256: str
    told_by: str
    cure: str


def pin_of(tls: "TlsSettings") -> Pin:
    """The certificate of this machine's gateway. Raises Failure."""
    cure = "If it was changed, let the gateway read it: openclawd gateway reload"
    return Pin(plain(certificate_fingerprint(tls)), str(tls.certificate), cure)


def certificate_fingerprint(tls: "TlsSettings") -> str:
    """The fingerprint of the certificate in its file, as people are shown it. Raises Failure."""
    file = tls.certificate
    try:
        shown = fingerprint_in(file.read_bytes())
    except FileNotFoundError:
        raise NotRunning(
            f"There is no certificate yet ({file}); the gateway makes one.",
            cure="Start it: openclawd gateway",
        ) from None
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}", cure=f"See: ls -l {file}") from error
    if shown is None:
        raise Failure(f"{file} holds no certificate.", cure=f"Look at it: openssl x509 -noout -in {file}")
    return shown


def plain(fingerprint: str) -> str:
    """Without what makes it readable."""
    return fingerprint.replace(":", "").lower()
