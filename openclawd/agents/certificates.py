"""The authorities that vouch for a provider's certificate: the system's, wherever this system keeps them.

OpenSSL looks in one place, which is settled when it is built. A frozen gateway carries the OpenSSL of the
machine that froze it, and other systems keep their authorities elsewhere. Who sets SSL_CERT_FILE or
SSL_CERT_DIR has chosen, and gets nothing else.
"""

import re
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora and its kin
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, the BSDs
)
# openssl-rehash(1): a certificate is found in a folder by the hash of its subject.
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.\d+")


def client_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """What a client checks certificates with. Reads files: not for the event loop."""
    context = ssl.create_default_context()
    default = ssl.get_default_verify_paths()
    chosen = any(environ.get(name) for name in (default.openssl_cafile_env, default.openssl_capath_env))
    if chosen or has_authorities(default):
        return context
    bundle = first_of(BUNDLES)
    if bundle is not None:
        context.load_verify_locations(bundle)
        return context
    import httpx

    return httpx.create_ssl_context(trust_env=False)  # Mozilla's, which come with httpx


def has_authorities(place: ssl.DefaultVerifyPaths) -> bool:
    """Whether there is anything where OpenSSL looks."""
    if place.cafile is not None and _holds_something(Path(place.cafile)):
        return True
    try:
        return place.capath is not None and any(
            _HASHED.fullmatch(file.name) for file in Path(place.capath).iterdir()
        )
    except OSError:
        return False  # what we may not read is of no use to OpenSSL


def first_of(bundles: Iterable[str]) -> str | None:
    """The first file that is there and holds something."""
    return next((each for each in bundles if _holds_something(Path(each))), None)


def _holds_something(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0
