"""A command as a device: what it signs, a gateway believes."""

import time

from openclawd.auth.signature import ProvenDevice, SignatureFault, verify_proof
from openclawd.cli.device_key import DeviceKey
from openclawd.protocol.codec import structure
from openclawd.protocol.connect import ConnectParams


def signed(device: DeviceKey) -> ConnectParams:
    params: dict[str, object] = {
        "minProtocol": 4,
        "maxProtocol": 4,
        "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"},
        "scopes": ["operator.read"],
        "auth": {"deviceToken": "d" * 40},
    }
    return structure(device.signed(params, "nonce"), ConnectParams)


def verified(params: ConnectParams, nonce: str) -> ProvenDevice | SignatureFault:
    assert params.device is not None
    return verify_proof(params, params.device, nonce=nonce, now_ms=int(time.time() * 1000))


def test_it_proves_that_it_has_the_key_of_its_name() -> None:
    device = DeviceKey()
    proven = verified(signed(device), "nonce")
    assert isinstance(proven, ProvenDevice)
    assert verified(signed(device), "nonce") == proven, "it is one device all the time"
    assert verified(signed(DeviceKey()), "nonce") != proven


def test_the_proof_is_for_one_connection() -> None:
    assert verified(signed(DeviceKey()), "another") is SignatureFault.NONCE_MISMATCH
