"""A certificate and its key on disk: read as TLS will use them, or made where there is none.

One that we make is signed by its own key, so nobody trusts it who was not told its fingerprint. It says in
its subject that it is ours. A new one for the same key is one file, replaced in one step: after a crash there
is a pair that fits.
"""

import errno
import hashlib
import ipaddress
import logging
import os
import re
import ssl
import stat
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from openclawd.config.atomic import replace_file, sync_folder
from openclawd.config.settings import TlsSettings
from openclawd.net.tls import server_context

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

# Apple's systems refuse more than 825 days, of certificates that their owner trusts by hand, too.
VALID: Final = timedelta(days=800)
# Clocks differ.
_BACKDATED: Final = timedelta(days=1)
# By it we know our own.
_ORGANISATION: Final = "openclawd, self-signed"
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

_log = logging.getLogger("openclawd.tls")


class CertificateUnusable(Exception):
    """There is no certificate to serve. The text names the file and ends in what helps."""


@attrs.frozen(eq=False, repr=False)
class Certificate:
    """One that can be served. `fingerprint` is the SHA-256 of its DER form, as `AB:CD:…`."""

    fingerprint: str
    expires_at_ms: int
    is_ours: bool
    names: frozenset[str]
    context: ssl.SSLContext


def fingerprint_in(pem: bytes) -> str | None:
    """The fingerprint of the first certificate in a file; None when there is none."""
    found = _PEM.search(pem)
    try:
        return fingerprint_of(ssl.PEM_cert_to_DER_cert(found[0].decode())) if found is not None else None
    except ValueError:
        return None


def fingerprint_of(der: bytes) -> str:
    """As openssl and browsers show it."""
    return hashlib.sha256(der).digest().hex(":").upper()


def read_certificate(tls: TlsSettings) -> Certificate:
    """The pair in its files. Raises CertificateUnusable."""
    from cryptography import x509

    pem = _read(tls.certificate, tls)
    key = _read(tls.key, tls)
    try:
        parsed = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise CertificateUnusable(f"{tls.certificate} holds no certificate (PEM).\n{_cure(tls)}") from error
    if b"ENCRYPTED" in key:
        # OpenSSL would ask for the passphrase, where nobody may be.
        raise CertificateUnusable(
            f"{tls.key} is encrypted, and a daemon has nobody to ask for its passphrase.\n"
            f"Decrypt it: openssl pkey -in {tls.key} -out {tls.key}.plain"
        )
    context = server_context()
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except ssl.SSLError as error:
        raise CertificateUnusable(
            f"{tls.key} is not the key of {tls.certificate} ({error.reason or 'no PEM'}).\n{_cure(tls)}"
        ) from error
    if tls.authorities is not None:
        _read(tls.authorities, tls)
        try:
            # OpenSSL finds there what stands between our certificate and a root, and sends it along.
            context.load_verify_locations(tls.authorities)
        except ssl.SSLError as error:
            cure = "Do without: openclawd config unset gateway.tls.caPath"
            raise CertificateUnusable(f"{tls.authorities} holds no certificates (PEM).\n{cure}") from error
    if tls.key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("others can read the key", extra={"fields": {"hint": f"chmod 600 {tls.key}"}})
    return Certificate(
        fingerprint=fingerprint_in(pem) or "",
        expires_at_ms=int(parsed.not_valid_after_utc.timestamp() * 1000),
        is_ours=parsed.issuer == parsed.subject == _our_name(),
        names=_names_in(parsed),
        context=context,
    )


def make_certificate(tls: TlsSettings, names: Iterable[str], now_ms: int) -> None:
    """A self-signed certificate for these names and addresses, and a key (ECDSA P-256) where there is none.

    Raises CertificateUnusable.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    try:
        key = _key(tls)
        made = (
            x509.CertificateBuilder()
            .subject_name(_our_name())
            .issuer_name(_our_name())
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + VALID)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        _write(tls.certificate, made.public_bytes(Encoding.PEM))
    except OSError as error:
        raise _unmakeable(tls, error) from error


def check_place(tls: TlsSettings) -> None:
    """Raises CertificateUnusable where `make_certificate` would, as far as it can be told before."""
    try:
        if tls.key.exists():
            _key(tls)
        for file in (tls.certificate, tls.key):
            folder = next(each for each in file.parents if each.exists())
            if not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except OSError as error:
        raise _unmakeable(tls, error) from error


def _unmakeable(tls: TlsSettings, error: OSError) -> CertificateUnusable:
    where = error.filename or tls.certificate
    return CertificateUnusable(
        f"No certificate can be made: {where}: {error.strerror or error}.\n"
        f"Give the folder to the user that runs the gateway: ls -ld {tls.certificate.parent}"
    )


def _key(tls: TlsSettings) -> "EllipticCurvePrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        text = tls.key.read_bytes()
    except FileNotFoundError:
        made = ec.generate_private_key(ec.SECP256R1())
        _write(tls.key, made.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
        return made
    try:
        key = pem.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateUnusable(
            f"{tls.certificate} is missing, and {tls.key} is none that we could make one for.\n"
            f"Put the certificate there, or let both be made: mv {tls.key} {tls.key}.old"
        )
    return key


def _write(path: Path, pem: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, pem, like=path.parent)
    sync_folder(path.parent)


def _read(path: Path, tls: TlsSettings) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CertificateUnusable(f"{path} is missing.\n{_cure(tls)}") from error
    except OSError as error:
        raise CertificateUnusable(f"{path} cannot be read: {error.strerror}.\nSee: ls -l {path}") from error


def _cure(tls: TlsSettings) -> str:
    if not tls.make:
        return "Mend it, or let a certificate be made: openclawd config set gateway.tls.autoGenerate true"
    if not tls.certificate.exists():
        return "The gateway makes both when it starts: openclawd gateway"
    return f"Mend it, or let another be made: mv {tls.certificate} {tls.certificate}.old"


def _our_name() -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    pairs = ((NameOID.ORGANIZATION_NAME, _ORGANISATION), (NameOID.COMMON_NAME, "openclawd gateway"))
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in pairs])


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names_in(parsed: "x509.Certificate") -> frozenset[str]:
    from cryptography import x509

    try:
        found = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()
    addresses = found.get_values_for_type(x509.IPAddress)
    return frozenset((*found.get_values_for_type(x509.DNSName), *map(str, addresses)))
