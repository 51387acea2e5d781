"""Devices that are nodes, or want to be, in the words of stock's node registry; here there is but one."""

from openclawd.auth.holders import NotCovered
from openclawd.auth.pairing import PairedDevice, PairingRequest
from openclawd.auth.scopes import NODE, PAIRING
from openclawd.methods.device_log import note
from openclawd.methods.devices import PairingDecisionParams, approve, reject
from openclawd.methods.method import Call, MethodTable, NoParams
from openclawd.methods.pairing_events import CHANGED
from openclawd.methods.params import params
from openclawd.protocol.closes import DEVICE_REMOVED
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request

NODE_PAIRING = MethodTable()


@params
class NodeParams:
    """Which device that is a node."""

    node_id: NonEmptyStr


@NODE_PAIRING.add("node.pair.list", scope=PAIRING, params=NoParams)
def node_pair_list(call: Call, _params: NoParams) -> object:
    """`{pending, paired}` of the devices that are nodes, or want to be; without their tokens."""
    devices = call.services.devices
    pending = [_pending(request) for request in devices.waiting() if NODE in request.roles]
    paired = [_paired(device) for device in devices.paired() if NODE in device.roles]
    return {"pending": pending, "paired": paired}


@NODE_PAIRING.add("node.pair.approve", scope=PAIRING, params=PairingDecisionParams)
async def node_pair_approve(call: Call, params: PairingDecisionParams) -> object:
    """Let the node in; without a token of its own (stock v3), as its device token is what it comes with."""
    _require_node(call, params.request_id)
    _, device = await approve(call, params.request_id)
    return {"requestId": params.request_id, "node": _paired(device)}


@NODE_PAIRING.add("node.pair.reject", scope=PAIRING, params=PairingDecisionParams)
async def node_pair_reject(call: Call, params: PairingDecisionParams) -> object:
    """Send the node away; it may ask again."""
    _require_node(call, params.request_id)
    request = await reject(call, params.request_id)
    return {"requestId": params.request_id, "nodeId": request.device_id}


@NODE_PAIRING.add("node.pair.remove", scope=PAIRING, params=NodeParams)
async def node_pair_remove(call: Call, params: NodeParams) -> object:
    """The device is a node no longer, and unknown if it was nothing else."""
    services = call.services
    try:
        removed = await services.devices.remove_role(params.node_id, NODE, call.holder)
    except NotCovered:
        raise invalid_request("cannot remove a node without operator.admin") from None
    if not removed:
        raise invalid_request("unknown nodeId")
    note(call, "node removed", params.node_id)
    services.publish(CHANGED)
    services.dismiss_device(params.node_id, NODE, DEVICE_REMOVED)
    return {"nodeId": params.node_id}


def _require_node(call: Call, request_id: str) -> None:
    request = call.services.devices.requests.find(request_id)
    if request is None or NODE not in request.roles:
        raise invalid_request("unknown requestId")


def _pending(request: PairingRequest) -> dict[str, object]:
    return _node(request) | {"requestId": request.request_id, "silent": request.silent, "ts": request.ts}


def _paired(device: PairedDevice) -> dict[str, object]:
    return _node(device) | {"createdAtMs": device.created_at_ms, "approvedAtMs": device.approved_at_ms}


def _node(device: PairedDevice | PairingRequest) -> dict[str, object]:
    known = {
        "displayName": device.name,
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
