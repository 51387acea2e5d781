"""A device as a client holds it: an Ed25519 key, and signatures over both payload forms."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Device:
    """One key pair; `sign` gives the `device` object of a connect request."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public_key = base64url(raw)
        self.id = hashlib.sha256(raw).hexdigest()

    def sign(
        self,
        *,
        nonce: str,
        client: Mapping[str, Any],
        role: str,
        scopes: Sequence[str],
        token: str,
        signed_at_ms: int,
        version: str = "v3",
    ) -> dict[str, Any]:
        parts = [version, self.id, client["id"], client["mode"], role, ",".join(scopes), str(signed_at_ms)]
        parts += [token, nonce]
        if version == "v3":
            parts += [client["platform"].strip().lower(), client.get("deviceFamily", "").strip().lower()]
        return {
            "id": self.id,
            "publicKey": self.public_key,
            "signature": base64url(self._key.sign("|".join(parts).encode())),
            "signedAt": signed_at_ms,
            "nonce": nonce,
        }
