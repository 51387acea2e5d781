"""Devices: who is paired, who waits, and the human act that lets one in, sends it away or names it."""

import attrs

from openclawd.auth.holders import NotCovered
from openclawd.auth.pairing import PairedDevice, PairingRequest
from openclawd.auth.scopes import PAIRING
from openclawd.methods.device_log import note
from openclawd.methods.method import Call, MethodTable, NoParams
from openclawd.methods.pairing_events import CHANGED, resolved
from openclawd.methods.params import params
from openclawd.protocol.closes import DEVICE_REMOVED
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request

DEVICES = MethodTable()


@params
class PairingDecisionParams:
    """Which waiting request."""

    request_id: NonEmptyStr


@params
class DeviceParams:
    """Which paired device."""

    device_id: NonEmptyStr


@params
class DevicePairRenameParams:
    """Which paired device, and what to call it."""

    device_id: NonEmptyStr
    label: NonEmptyStr = attrs.field(metadata={"max_length": 64})


@DEVICES.add("device.pair.list", scope=PAIRING, params=NoParams)
def device_pair_list(call: Call, _params: NoParams) -> object:
    """`{pending, paired, unreadable?}`; tokens are listed without their text, which nobody has any more."""
    return call.services.devices.list()


@DEVICES.add("device.pair.approve", scope=PAIRING, params=PairingDecisionParams)
async def device_pair_approve(call: Call, params: PairingDecisionParams) -> object:
    """Let the device in; it comes back by itself."""
    _, device = await approve(call, params.request_id)
    return {"requestId": params.request_id, "device": device.to_wire()}


@DEVICES.add("device.pair.reject", scope=PAIRING, params=PairingDecisionParams)
async def device_pair_reject(call: Call, params: PairingDecisionParams) -> object:
    """Send the device away; it may ask again."""
    request = await reject(call, params.request_id)
    return {"requestId": params.request_id, "deviceId": request.device_id}


@DEVICES.add("device.pair.remove", scope=PAIRING, params=DeviceParams)
async def device_pair_remove(call: Call, params: DeviceParams) -> object:
    """Forget a device: its tokens are void, and it is sent away if it is here (stock v3 lets it stay)."""
    services = call.services
    try:
        removed = await services.devices.remove(params.device_id, call.holder)
    except NotCovered:
        raise invalid_request("cannot remove a device that holds more scopes than this client") from None
    if not removed:
        raise invalid_request("unknown deviceId")
    note(call, "device removed", params.device_id)
    services.publish(CHANGED)
    services.dismiss_device(params.device_id, None, DEVICE_REMOVED)
    return {"deviceId": params.device_id}


@DEVICES.add("device.pair.rename", scope=PAIRING, params=DevicePairRenameParams)
async def device_pair_rename(call: Call, params: DevicePairRenameParams) -> object:
    """Give a device a name that the device itself cannot change."""
    label = params.label.strip()
    if not label:
        raise invalid_request("label required")
    try:
        renamed = await call.services.devices.rename(params.device_id, label, call.holder)
    except NotCovered:
        raise invalid_request("cannot rename a device that holds more scopes than this client") from None
    if not renamed:
        raise invalid_request("unknown deviceId")
    note(call, "device renamed", params.device_id, name=label)
    call.services.publish(CHANGED)
    return {"deviceId": params.device_id, "label": label}


async def approve(call: Call, request_id: str) -> tuple[PairingRequest, PairedDevice]:
    """Pair what waits under `request_id`, and tell of it. Raises RequestError."""
    try:
        approved = await call.services.devices.approve(request_id, call.holder)
    except NotCovered:
        raise invalid_request("cannot approve scopes that this client does not hold") from None
    if approved is None:
        raise invalid_request("unknown requestId")
    request, device = approved
    note(call, "device approved", device.device_id, roles=list(request.roles), scopes=list(request.scopes))
    for event in resolved(request, "approved", call.services.now_ms()):
        call.services.publish(event)
    return approved


async def reject(call: Call, request_id: str) -> PairingRequest:
    """Forget what waits under `request_id`, and tell of it. Raises RequestError."""
    try:
        request = await call.services.devices.reject(request_id, call.holder)
    except NotCovered:
        raise invalid_request("cannot reject a request for scopes that this client does not hold") from None
    if request is None:
        raise invalid_request("unknown requestId")
    note(call, "device rejected", request.device_id)
    for event in resolved(request, "rejected", call.services.now_ms()):
        call.services.publish(event)
    return request
