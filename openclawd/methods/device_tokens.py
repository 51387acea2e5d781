"""Tokens of devices: a new one for all there were, or none any more.

Who is here by one of the void tokens, or as that device at all, is sent away once the answer is out.
"""

from openclawd.auth.holders import NotCovered
from openclawd.auth.scopes import PAIRING
from openclawd.methods.device_log import note
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.pairing_events import CHANGED
from openclawd.methods.params import params
from openclawd.protocol.closes import DEVICE_TOKEN_REVOKED, DEVICE_TOKEN_ROTATED
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request
from openclawd.protocol.versions import V4

DEVICE_TOKENS = MethodTable()

_UNKNOWN = "unknown deviceId/role"


@params
class DeviceTokenRotateParams:
    """Whose token; `scopes` None: for what the present one is for."""

    device_id: NonEmptyStr
    role: NonEmptyStr
    scopes: tuple[NonEmptyStr, ...] | None = None


@params
class DeviceTokenRevokeParams:
    """Whose tokens."""

    device_id: NonEmptyStr
    role: NonEmptyStr


@DEVICE_TOKENS.add("device.token.rotate", scope=PAIRING, params=DeviceTokenRotateParams)
async def device_token_rotate(call: Call, params: DeviceTokenRotateParams) -> object:
    """Void every token of the device and role and make a new one.

    Its text goes to the device itself and to administrators, who may hand it on; others learn only that there
    is one, and the device has to come with the gateway's own secret once.
    """
    services, holder = call.services, call.holder
    try:
        issued = await services.devices.tokens.rotate(params.device_id, params.role, params.scopes, holder)
    except NotCovered:
        raise invalid_request("cannot rotate a token for more than this client holds") from None
    if issued is None:
        raise invalid_request(_UNKNOWN)
    answer: dict[str, object] = {
        "deviceId": params.device_id,
        "role": params.role,
        "scopes": list(issued.scopes),
        "rotatedAtMs": issued.issued_at_ms,
    }
    in_band = holder.is_admin or holder.owns(params.device_id)
    if in_band:
        answer["token"] = issued.token
    if call.caller.wire_generation >= V4:
        answer["tokenDelivery"] = "in-band" if in_band else "withheld-cross-device"
    note(call, "device token rotated", params.device_id, role=params.role, scopes=list(issued.scopes))
    services.publish(CHANGED)
    services.dismiss_device(params.device_id, params.role, DEVICE_TOKEN_ROTATED)
    return answer


@DEVICE_TOKENS.add("device.token.revoke", scope=PAIRING, params=DeviceTokenRevokeParams)
async def device_token_revoke(call: Call, params: DeviceTokenRevokeParams) -> object:
    """Void every token of the device and role; it stays paired."""
    services = call.services
    try:
        revoked_at_ms = await services.devices.tokens.revoke(params.device_id, params.role, call.holder)
    except NotCovered:
        raise invalid_request("cannot revoke a token for more than this client holds") from None
    if revoked_at_ms is None:
        raise invalid_request(_UNKNOWN)
    note(call, "device token revoked", params.device_id, role=params.role)
    services.publish(CHANGED)
    services.dismiss_device(params.device_id, params.role, DEVICE_TOKEN_REVOKED)
    return {"deviceId": params.device_id, "role": params.role, "revokedAtMs": revoked_at_ms}
