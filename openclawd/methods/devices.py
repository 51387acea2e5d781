"""Devices: who is paired, who waits, and the human act that lets one in."""

from openclawd.auth.devices import NotCovered
from openclawd.auth.pairing import PairedDevice, PairingRequest
from openclawd.auth.scopes import NODE, PAIRING
from openclawd.events.event import Event
from openclawd.methods.method import Call, MethodTable, NoParams
from openclawd.methods.params import params
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


@DEVICES.add("device.pair.list", scope=PAIRING, params=NoParams)
def device_pair_list(call: Call, _params: NoParams) -> object:
    """`{pending, paired}`; tokens are listed without their text, which nobody has any more."""
    return call.services.devices.list()


@DEVICES.add("device.pair.approve", scope=PAIRING, params=PairingDecisionParams)
async def device_pair_approve(call: Call, params: PairingDecisionParams) -> object:
    """Let the device in; it comes back by itself."""
    try:
        device = await call.services.devices.approve(params.request_id, approver=call.caller.scopes)
    except NotCovered:
        raise invalid_request("cannot approve scopes that this client does not hold") from None
    if device is None:
        raise invalid_request("unknown requestId")
    call.services.publish(_resolved(call, params.request_id, device.device_id, "approved"))
    return {"requestId": params.request_id, "device": device.to_wire()}


@DEVICES.add("device.pair.reject", scope=PAIRING, params=PairingDecisionParams)
async def device_pair_reject(call: Call, params: PairingDecisionParams) -> object:
    """Send the device away; it may ask again."""
    request = await call.services.devices.reject(params.request_id)
    if request is None:
        raise invalid_request("unknown requestId")
    call.services.publish(_resolved(call, params.request_id, request.device_id, "rejected"))
    return {"requestId": params.request_id, "deviceId": request.device_id}


@DEVICES.add("device.pair.remove", scope=PAIRING, params=DeviceParams)
async def device_pair_remove(call: Call, params: DeviceParams) -> object:
    """Forget a device: its tokens are void, and it is sent away if it is here (stock lets it stay)."""
    try:
        removed = await call.services.devices.remove(params.device_id, remover=call.caller.scopes)
    except NotCovered:
        raise invalid_request("cannot remove a device that holds more scopes than this client") from None
    if not removed:
        raise invalid_request("unknown deviceId")
    call.services.dismiss_device(params.device_id)
    return {"deviceId": params.device_id}


@DEVICES.add("node.pair.list", scope=PAIRING, params=NoParams)
def node_pair_list(call: Call, _params: NoParams) -> object:
    """`{pending, paired}` of the devices that are nodes, or want to be; without their tokens."""
    devices = call.services.devices
    pending = [
        _node(request) | {"requestId": request.request_id, "silent": request.silent, "ts": request.ts}
        for request in devices.waiting()
        if NODE in request.roles
    ]
    paired = [
        _node(device) | {"createdAtMs": device.created_at_ms, "approvedAtMs": device.approved_at_ms}
        for device in devices.paired()
        if NODE in device.roles
    ]
    return {"pending": pending, "paired": paired}


def _node(device: PairedDevice | PairingRequest) -> dict[str, object]:
    known = {
        "displayName": device.display_name,
        "platform": device.platform,
        "deviceFamily": device.device_family,
        "remoteIp": device.remote_ip,
    }
    return {
        "nodeId": device.device_id,
        "clientId": device.client_id,
        "clientMode": device.client_mode,
        **{name: value for name, value in known.items() if value is not None},
        "caps": [],
        "commands": [],
    }


def _resolved(call: Call, request_id: str, device_id: str, decision: str) -> Event:
    payload = {
        "requestId": request_id,
        "deviceId": device_id,
        "decision": decision,
        "ts": call.services.now_ms(),
    }
    return Event("device.pair.resolved", payload, scope=PAIRING, drop_if_slow=True)
