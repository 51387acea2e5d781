"""Proof of a device: an Ed25519 signature (RFC 8032) over this connection's nonce.

A valid proof shows that the client holds the device's key now, on this connection; it never admits by itself.
Keys come as the raw 32 bytes in base64url, or as PEM; the device's id is the SHA-256 of the raw key.
"""

import base64
import hashlib
import re
from enum import Enum
from typing import Final

import attrs

from openclawd.protocol.connect import ConnectParams, DeviceProof

# How far a device's clock may be off, either way.
MAX_SKEW_MS: Final = 120_000
_KEY_BYTES: Final = 32
_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/]")
_ASCII_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


@attrs.frozen(eq=False, repr=False)
class _FaultWords:
    reason: str
    message: str
    code: str


class SignatureFault(Enum):
    """Why a proof is refused: machine reason, message, and v4's detail code (v3 has one for all)."""

    DEVICE_ID = _FaultWords(
        "device-id-mismatch", "device identity mismatch", "DEVICE_AUTH_DEVICE_ID_MISMATCH"
    )
    STALE = _FaultWords("device-signature-stale", "device signature expired", "DEVICE_AUTH_SIGNATURE_EXPIRED")
    NONCE_MISSING = _FaultWords("device-nonce-missing", "device nonce required", "DEVICE_AUTH_NONCE_REQUIRED")
    NONCE_MISMATCH = _FaultWords(
        "device-nonce-mismatch", "device nonce mismatch", "DEVICE_AUTH_NONCE_MISMATCH"
    )
    SIGNATURE = _FaultWords("device-signature", "device signature invalid", "DEVICE_AUTH_SIGNATURE_INVALID")
    PUBLIC_KEY = _FaultWords(
        "device-public-key", "device public key invalid", "DEVICE_AUTH_PUBLIC_KEY_INVALID"
    )


@attrs.frozen
class ProvenDevice:
    """A device whose key holder is on the other end. `public_key` is base64url of the raw key, unpadded."""

    id: str
    public_key: str


def verify_proof(
    params: ConnectParams, proof: DeviceProof, *, nonce: str, now_ms: int
) -> ProvenDevice | SignatureFault:
    """Check `proof` in the stock order: id, clock, nonce, key, signature."""
    key = _raw_key(proof.public_key)
    if key is None or hashlib.sha256(key).hexdigest() != proof.id:
        return SignatureFault.DEVICE_ID
    if abs(now_ms - proof.signed_at) > MAX_SKEW_MS:
        return SignatureFault.STALE
    presented_nonce = proof.nonce.strip()
    if not presented_nonce:
        return SignatureFault.NONCE_MISSING
    if presented_nonce != nonce:
        return SignatureFault.NONCE_MISMATCH
    if len(key) != _KEY_BYTES:
        return SignatureFault.PUBLIC_KEY
    signature = _from_base64(proof.signature)
    # Node clients sign the third form of the payload, the stock page the second.
    if not any(_is_signed(key, signature, form(params, proof, nonce)) for form in (payload_v3, payload_v2)):
        return SignatureFault.SIGNATURE
    return ProvenDevice(proof.id, base64.urlsafe_b64encode(key).rstrip(b"=").decode())


def device_key(public_key: str, device_id: str) -> bytes | None:
    """The 32 raw bytes of the key that `device_id` stands for; None when `public_key` is another, or none."""
    key = _raw_key(public_key)
    if key is None or len(key) != _KEY_BYTES or hashlib.sha256(key).hexdigest() != device_id:
        return None
    return key


def payload_v2(params: ConnectParams, proof: DeviceProof, nonce: str) -> str:
    """The second form: what is asked for, when, with which token, on which connection."""
    return "|".join(("v2", *_signed_fields(params, proof, nonce)))


def payload_v3(params: ConnectParams, proof: DeviceProof, nonce: str) -> str:
    """The third form adds the platform and the device family, trimmed and in ASCII lower case."""
    return "|".join(
        (
            "v3",
            *_signed_fields(params, proof, nonce),
            normalise_metadata(params.client.platform),
            normalise_metadata(params.client.device_family),
        )
    )


def normalise_metadata(text: str | None) -> str:
    """Platform or device family as it is signed and compared."""
    return (text or "").strip().translate(_ASCII_LOWER)


def _signed_fields(params: ConnectParams, proof: DeviceProof, nonce: str) -> tuple[str, ...]:
    return (
        proof.id,
        params.client.id,
        params.client.mode,
        params.role,
        ",".join(params.scopes),
        str(proof.signed_at),
        _signed_token(params),
        nonce,
    )


def _signed_token(params: ConnectParams) -> str:
    auth = params.auth
    if auth is None:
        return ""
    candidates = (auth.token, auth.device_token, auth.bootstrap_token)
    return next((token for token in candidates if token is not None), "")


def _is_signed(key: bytes, signature: bytes, payload: str) -> bool:
    # Imported here: seven megabytes that a gateway without devices never needs.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, payload.encode("utf-8", "surrogatepass"))
    except (InvalidSignature, ValueError):
        return False
    return True


def _raw_key(text: str) -> bytes | None:
    """The bytes of a public key; None for PEM that holds no Ed25519 key."""
    if "-----BEGIN" not in text:
        return _from_base64(text)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(text.encode("utf-8", "surrogatepass"))
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key.public_bytes_raw() if isinstance(key, Ed25519PublicKey) else None


def _from_base64(text: str) -> bytes:
    """Base64 in either alphabet, padded or not; other characters are skipped, as the clients' decoders do."""
    letters = _NOT_BASE64.sub("", text.replace("-", "+").replace("_", "/").partition("=")[0])
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return base64.b64decode(letters + "=" * (-len(letters) % 4))
