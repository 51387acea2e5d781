"""Who the gateway itself is: an Ed25519 key (RFC 8032) of its own, made when somebody first asks.

What is bound to a gateway (a push relay's registrations, for one) is bound to this key, so a file that cannot
be read is never replaced by a new one. The private key stays in the file.
"""

import base64
import hashlib
import threading
from pathlib import Path

import attrs

from openclawd.config.atomic import replace_file, sync_folder


class IdentityUnusable(Exception):
    """The key can be neither read nor made. The text names the file and what helps."""


@attrs.frozen
class GatewayIdentity:
    """The public side, as devices present theirs: base64url of the raw key, and its SHA-256 in hex."""

    device_id: str
    public_key: str


class IdentityFile:
    """The key in its file. `get` blocks for as long as the disk takes, and may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: GatewayIdentity | None = None

    def get(self) -> GatewayIdentity:
        """The identity; the same for as long as the file is there. Raises IdentityUnusable."""
        with self._lock:
            if self._known is None:
                try:
                    self._known = self._read()
                except OSError as error:
                    raise IdentityUnusable(f"{self._path}: {error.strerror or error}") from error
            return self._known

    def _read(self) -> GatewayIdentity:
        # Imported here: seven megabytes that a gateway without devices never needs.
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            text = self._make()
        try:
            key = load_pem_private_key(text, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise IdentityUnusable(self._damaged()) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise IdentityUnusable(self._damaged())
        raw = key.public_key().public_bytes_raw()
        public = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return GatewayIdentity(hashlib.sha256(raw).hexdigest(), public)

    def _make(self) -> bytes:
        from cryptography.hazmat.primitives import serialization as pem
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        text = Ed25519PrivateKey.generate().private_bytes(
            pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()
        )
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self._path, text, like=self._path.parent)
        sync_folder(self._path.parent)
        return text

    def _damaged(self) -> str:
        return f"{self._path} holds no Ed25519 key; put the right one back, or remove it for a new identity"
