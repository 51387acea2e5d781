"""A live client asks for more scopes than it came with; once a person approves, it gets a token for them.

The connection keeps the scopes of its own credential; the client comes back with the new token. The older
tokens stay valid, as other tabs of the same device hold them.
"""

import attrs
import trio

from openclawd.auth.pairing import PairedDevice, PairingAsk
from openclawd.auth.pairing_requests import REQUEST_TTL_MS, SCOPES_TOGETHER_MAX, Ending
from openclawd.auth.scopes import OPERATOR, covers
from openclawd.methods.device_log import note
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.pairing_events import requested
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request

SCOPE_UPGRADES = MethodTable()


@params
class ScopeUpgradeRequest:
    """All the scopes that the client wants to have, those that it has among them."""

    scopes: tuple[NonEmptyStr, ...] = attrs.field(metadata={"min_items": 1, "max_items": SCOPES_TOGETHER_MAX})


@params
class ScopeUpgradeWait:
    """Which request."""

    request_id: NonEmptyStr


@SCOPE_UPGRADES.add("device.scopes.requestUpgrade", scope=None, params=ScopeUpgradeRequest)
async def device_scopes_request_upgrade(call: Call, params: ScopeUpgradeRequest) -> object:
    """`{requestId}` of what a person now has to approve; the same one while nothing else is asked for."""
    device = _own_device(call)
    if not covers(params.scopes, call.caller.scopes):
        raise invalid_request("scopes must include those that this connection has")
    if len(set(params.scopes)) < len(params.scopes):
        raise invalid_request("scopes must not name one twice")
    request, is_new = await call.services.devices.request(_ask(device, params.scopes))
    if is_new:
        note(
            call,
            "device asks for more scopes",
            device.device_id,
            scopes=list(request.scopes),
            next=f"openclawd devices approve {request.request_id}",
        )
        call.services.publish(requested(request))
    return {"requestId": request.request_id}


@SCOPE_UPGRADES.add("device.scopes.waitUpgrade", scope=None, params=ScopeUpgradeWait)
async def device_scopes_wait_upgrade(call: Call, params: ScopeUpgradeWait) -> object:
    """How the request ended, as soon as it does; `approved` comes with a device token for its scopes.

    A request that is unknown, another device's or long over is `expired`.
    """
    device = _own_device(call)
    devices = call.services.devices
    await _until_ended(call, params.request_id)
    ended = devices.requests.ended(params.request_id)
    ending = Ending.EXPIRED
    if ended is not None and ended.request.device_id == device.device_id:
        ending = ended.ending
    answer: dict[str, object] = {"status": ending.value, "requestId": params.request_id}
    if ended is None or ending is not Ending.APPROVED:
        return answer
    scopes = ended.request.scopes
    known = devices.find(device.device_id)
    token = None
    if known is not None and OPERATOR in known.roles and covers(known.scopes, scopes):
        token = await devices.tokens.issue(device.device_id, OPERATOR, scopes)
    if token is None:
        # Removed again, or narrowed, since it was approved.
        return answer | {"status": Ending.EXPIRED.value}
    return answer | {"deviceToken": token.token, "scopes": list(token.scopes)}


async def _until_ended(call: Call, request_id: str) -> None:
    """Returns when the request waits no longer; the device may renew its time meanwhile."""
    requests = call.services.devices.requests
    ended = trio.Event()
    unwatch = requests.watch(request_id, ended.set)
    try:
        while (request := requests.find(request_id)) is not None and not ended.is_set():
            left_ms = request.ts + REQUEST_TTL_MS - call.services.now_ms()
            with trio.move_on_after(left_ms / 1000):
                await ended.wait()
    finally:
        unwatch()


def _own_device(call: Call) -> PairedDevice:
    if call.caller.role != OPERATOR:
        raise invalid_request(f"unauthorized role: {call.caller.role}")
    device_id = call.caller.device_id
    device = call.services.devices.find(device_id) if device_id is not None else None
    if device is None or OPERATOR not in device.roles:
        raise invalid_request(
            "only a paired device can ask for more scopes; connect with a device identity",
            code="DEVICE_IDENTITY_REQUIRED",
        )
    return device


def _ask(device: PairedDevice, scopes: tuple[str, ...]) -> PairingAsk:
    return PairingAsk(
        device_id=device.device_id,
        public_key=device.public_key,
        client_id=device.client_id,
        client_mode=device.client_mode,
        role=OPERATOR,
        scopes=scopes,
        display_name=device.display_name,
        platform=device.platform,
        device_family=device.device_family,
        remote_ip=device.remote_ip,
    )
