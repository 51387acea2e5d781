"""Device proofs: both forms of the payload, every fault, every tolerated encoding."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from openclawd.auth.signature import ProvenDevice, SignatureFault, verify_proof
from openclawd.protocol.connect import ConnectParams
from tests.auth.clients import BACKEND, DEVICE, NONCE, NOW, Device, connect, parsed


def verdict(params: ConnectParams, *, now_ms: int = NOW) -> ProvenDevice | SignatureFault:
    assert params.device is not None
    return verify_proof(params, params.device, nonce=NONCE, now_ms=now_ms)


@pytest.mark.parametrize("form", [2, 3])
def test_both_forms_of_the_payload_are_accepted(form: int) -> None:
    client = {**BACKEND, "platform": "Linux", "deviceFamily": "Box"}
    params = parsed(connect(client, token="t", device=DEVICE, form=form))
    assert verdict(params) == ProvenDevice(DEVICE.id, DEVICE.public_key)


def test_the_device_token_is_signed_where_there_is_no_token() -> None:
    assert verdict(parsed(connect(device_token="dt", device=DEVICE))) == ProvenDevice(
        DEVICE.id, DEVICE.public_key
    )


def test_a_pem_key_is_the_same_key() -> None:
    params = parsed(connect(device=DEVICE, proof={"publicKey": DEVICE.pem}))
    assert verdict(params) == ProvenDevice(DEVICE.id, DEVICE.public_key)


def test_standard_base64_is_tolerated_for_key_and_signature() -> None:
    signed = connect(device=DEVICE)["device"]
    assert isinstance(signed, dict)
    proof = {
        "publicKey": base64.b64encode(DEVICE.raw).decode(),
        "signature": signed["signature"].replace("-", "+").replace("_", "/") + "==",
    }
    assert isinstance(verdict(parsed(connect(device=DEVICE, proof=proof))), ProvenDevice)


def _id_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize(
    ("proof", "fault"),
    [
        ({"id": "0" * 64}, SignatureFault.DEVICE_ID),
        (
            {"publicKey": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"},
            SignatureFault.DEVICE_ID,
        ),
        ({"signedAt": NOW - 120_001}, SignatureFault.STALE),
        ({"signedAt": NOW + 120_001}, SignatureFault.STALE),
        ({"nonce": "  "}, SignatureFault.NONCE_MISSING),
        ({"nonce": "other"}, SignatureFault.NONCE_MISMATCH),
        ({"publicKey": "AAAA", "id": _id_of(b"\0\0\0")}, SignatureFault.PUBLIC_KEY),
        ({"signature": "AAAA"}, SignatureFault.SIGNATURE),
        ({"signature": "?!"}, SignatureFault.SIGNATURE),
        ({"signedAt": NOW - 120_000}, SignatureFault.SIGNATURE),
    ],
)
def test_every_fault_has_its_own_name(proof: dict[str, object], fault: SignatureFault) -> None:
    assert verdict(parsed(connect(device=DEVICE, proof=proof))) is fault


def test_the_clock_may_be_off_by_two_minutes() -> None:
    params = parsed(connect(device=DEVICE))
    assert isinstance(verdict(params, now_ms=NOW + 120_000), ProvenDevice)
    assert verdict(params, now_ms=NOW + 120_001) is SignatureFault.STALE


def test_a_signature_over_other_scopes_does_not_hold() -> None:
    params = connect(device=DEVICE, scopes=("operator.read",))
    params["scopes"] = ["operator.admin"]
    assert verdict(parsed(params)) is SignatureFault.SIGNATURE


def test_the_key_of_another_device_does_not_hold() -> None:
    other = Device(Ed25519PrivateKey.generate())
    proof: dict[str, object] = {"id": other.id, "publicKey": other.public_key}
    assert verdict(parsed(connect(device=DEVICE, proof=proof))) is SignatureFault.SIGNATURE


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_no_key_and_no_signature_of_a_stranger_raises(key: str, signature: str) -> None:
    proof: dict[str, object] = {"publicKey": key, "signature": signature}
    assert isinstance(verdict(parsed(connect(device=DEVICE, proof=proof))), SignatureFault)
