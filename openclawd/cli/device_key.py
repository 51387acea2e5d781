"""A device as a client has it: an Ed25519 key, whose digest is its name, and its signature in `connect`."""

import base64
import hashlib
import time

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from openclawd.auth.signature import payload_v3
from openclawd.protocol.codec import structure
from openclawd.protocol.connect import ConnectParams, DeviceProof


@attrs.frozen(eq=False, repr=False)
class DeviceKey:
    """One device; it lives as long as this object."""

    _key: Ed25519PrivateKey = attrs.field(factory=Ed25519PrivateKey.generate)

    def signed(self, params: dict[str, object], nonce: str) -> dict[str, object]:
        """The params of a `connect` on the connection of that nonce, with this device in them."""
        public = self._key.public_key().public_bytes_raw()
        device: dict[str, object] = {
            "id": hashlib.sha256(public).hexdigest(),
            "publicKey": _text(public),
            "signature": "to come",
            "signedAt": int(time.time() * 1000),
            "nonce": nonce,
        }
        payload = payload_v3(structure(params, ConnectParams), structure(device, DeviceProof), nonce)
        return {**params, "device": device | {"signature": _text(self._key.sign(payload.encode()))}}


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
