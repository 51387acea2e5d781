"""Clients as the gateway meets them: devices with real keys, and the `connect` requests they send."""

import base64
import hashlib
from collections.abc import Collection
from typing import Final

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from openclawd.auth.admission import Admission
from openclawd.auth.case import Attempt
from openclawd.auth.credentials import SharedAuth
from openclawd.auth.decisions import Admitted, Refused
from openclawd.auth.device_tokens import TokenVerdict
from openclawd.auth.devices import DeviceView
from openclawd.auth.limiter import Limiter
from openclawd.auth.locality import Peer
from openclawd.auth.pairing import PairedDevice
from openclawd.auth.policy import Policy
from openclawd.auth.tries import LimitRules
from openclawd.config.secret import Secret
from openclawd.protocol.codec import structure
from openclawd.protocol.connect import ConnectParams
from openclawd.protocol.frames import Request

NOW: Final = 1_800_000_000_000
NONCE: Final = "1e762ab1-d21c-42b4-a6b9-59c6fd9380a8"
TOKEN: Final = "0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778"
WEAK_TOKEN: Final = "mytoken123"
PASSWORD: Final = "pässwort"

TOKEN_POLICY: Final = Policy(SharedAuth("token", token=Secret(TOKEN)), own_uid=1000)
WEAK_POLICY: Final = Policy(SharedAuth("token", token=Secret(WEAK_TOKEN)))
PASSWORD_POLICY: Final = Policy(SharedAuth("password", password=Secret(PASSWORD)))
OPEN_POLICY: Final = Policy(SharedAuth("none"))

LOCAL: Final = Peer("127.0.0.1", 50000, "127.0.0.1:18789")
REMOTE: Final = Peer("192.168.1.20", 50000, "192.168.1.5:18789")
PAGE: Final = Peer("127.0.0.1", 50000, "localhost:18789", "http://localhost:18789")

BACKEND: Final = {"id": "gateway-client", "version": "1.0.0", "platform": "linux", "mode": "backend"}
CLI: Final = {"id": "cli", "version": "1.0.0", "platform": "linux", "mode": "cli"}
CONTROL_UI: Final = {
    "id": "openclaw-control-ui",
    "version": "1.0.0",
    "platform": "Linux x86_64",
    "mode": "webchat",
}
NODE: Final = {"id": "node-host", "version": "1.0.0", "platform": "linux", "mode": "node"}


@attrs.frozen
class Device:
    """A device with its private key."""

    key: Ed25519PrivateKey = attrs.field(
        factory=lambda: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a device").digest())
    )

    @property
    def raw(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    @property
    def public_key(self) -> str:
        return base64.urlsafe_b64encode(self.raw).rstrip(b"=").decode()

    @property
    def pem(self) -> str:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def id(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    def sign(self, payload: str) -> str:
        return base64.urlsafe_b64encode(self.key.sign(payload.encode())).rstrip(b"=").decode()


DEVICE: Final = Device()


def connect(
    client: dict[str, str] = BACKEND,
    *,
    token: str | None = None,
    device_token: str | None = None,
    password: str | None = None,
    device: Device | None = None,
    version: int = 3,
    role: str = "operator",
    scopes: tuple[str, ...] = ("operator.read",),
    form: int = 3,
    proof: dict[str, object] | None = None,
    at: int = NOW,
) -> dict[str, object]:
    """`connect.params`, signed `at`; `proof` replaces members of the signed device after signing."""
    auth = {"token": token, "deviceToken": device_token, "password": password}
    params: dict[str, object] = {
        "minProtocol": version,
        "maxProtocol": version,
        "client": dict(client),
        "role": role,
        "scopes": list(scopes),
    }
    if any(auth.values()):
        params["auth"] = {name: value for name, value in auth.items() if value is not None}
    if device is not None:
        fields = [device.id, client["id"], client["mode"], role, ",".join(scopes), str(at)]
        fields += [token or device_token or "", NONCE]
        if form == 3:
            fields += [client["platform"].lower(), client.get("deviceFamily", "").lower()]
        params["device"] = {
            "id": device.id,
            "publicKey": device.public_key,
            "signature": device.sign("|".join([f"v{form}", *fields])),
            "signedAt": at,
            "nonce": NONCE,
            **(proof or {}),
        }
    return params


def attempt(params: object, peer: Peer = LOCAL, *, at: int = NOW) -> Attempt:
    return Attempt(peer, NONCE, Request("1", "connect", params), at)


def new_limiter(rules: LimitRules = LimitRules()) -> Limiter:  # noqa: B008  a frozen value
    return Limiter(rules, secret_key=b"k")


def decide(
    attempted: Attempt, policy: Policy, devices: DeviceView, limiter: Limiter | None = None
) -> Admitted | Refused:
    return Admission(policy, devices, limiter or new_limiter()).decide(attempted)


def parsed(params: dict[str, object]) -> ConnectParams:
    return structure(params, ConnectParams)


@attrs.define
class KnownDevices:
    """What admission sees of the registry."""

    paired: dict[str, PairedDevice] = attrs.field(factory=dict)
    tokens: dict[tuple[str, str, str], tuple[str, ...]] = attrs.field(factory=dict)

    def find(self, device_id: str) -> PairedDevice | None:
        return self.paired.get(device_id)

    def verify_token(self, device_id: str, role: str, token: str, scopes: Collection[str]) -> TokenVerdict:
        known = self.tokens.get((device_id, role, token))
        if known is None:
            return TokenVerdict.MISMATCH
        return TokenVerdict.VALID if set(scopes) <= set(known) else TokenVerdict.SCOPES


def paired(
    device: Device = DEVICE,
    *,
    token: str | None = None,
    scopes: tuple[str, ...] = ("operator.read",),
    roles: tuple[str, ...] = ("operator",),
    platform: str | None = "linux",
) -> KnownDevices:
    record = PairedDevice(
        device_id=device.id,
        public_key=device.public_key,
        client_id="gateway-client",
        client_mode="backend",
        role=roles[0],
        roles=roles,
        scopes=scopes,
        created_at_ms=NOW,
        approved_at_ms=NOW,
        platform=platform,
    )
    tokens = {(device.id, roles[0], token): scopes} if token is not None else {}
    return KnownDevices({device.id: record}, tokens)


NOBODY: Final = KnownDevices()
