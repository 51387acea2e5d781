"""What a decision asks for before its answer goes out: a pairing or a request written, a device token issued.

All of it waits for the disk, and meanwhile somebody may remove the device or revoke the token that let it in.
So the last word is `still_holds`: true is what it says until the next time that anybody waits.
"""

import uuid
from collections.abc import Callable

from openclawd.auth.credentials import BY_DEVICE
from openclawd.auth.decisions import Admitted, Refused
from openclawd.auth.device_tokens import TokenVerdict
from openclawd.auth.devices import Devices
from openclawd.auth.scopes import covers
from openclawd.events.event import Event
from openclawd.methods.pairing_events import requested, resolved_silently
from openclawd.protocol.hello import IssuedToken

Publish = Callable[[Event], None]


async def settle_admission(
    admitted: Admitted, devices: Devices, publish: Publish, now_ms: Callable[[], int]
) -> IssuedToken | None:
    """Write what an admission asks for; the token that hello-ok owes, if any. Raises StoreError."""
    if admitted.pairing is not None:
        device_id = admitted.pairing.device_id
        _, settled = await devices.pair(admitted.pairing)
        # A pairing that nobody had to approve is told under an id of its own.
        for request_id in settled or (str(uuid.uuid4()),):
            publish(resolved_silently(request_id, device_id, "approved", now_ms()))
    wanted = admitted.token_request
    if wanted is None:
        return None
    devices.touch(wanted.device_id, wanted.role, None if admitted.is_local else admitted.client_address)
    if not still_holds(admitted, devices):
        return None
    return await devices.tokens.issue(
        wanted.device_id,
        wanted.role,
        wanted.scopes,
        presented=wanted.presented,
        # Who has nothing but a token that is void meanwhile gets no fresh one for it.
        may_be_new=admitted.credential != BY_DEVICE,
    )


def still_holds(admitted: Admitted, devices: Devices) -> bool:
    """Whether the device is still paired for all this, and the device token that let it in still valid."""
    device = admitted.device
    if device is None:
        return True
    if admitted.credential == BY_DEVICE:
        auth = admitted.params.auth
        token = (auth.device_token or auth.token) if auth is not None else None
        verdict = devices.verify_token(device.id, admitted.role, token or "", admitted.scopes)
        return verdict is TokenVerdict.VALID
    if admitted.token_request is None:
        return True
    paired = devices.find(device.id)
    if paired is None or admitted.role not in paired.roles:
        return False
    return covers(paired.scopes, admitted.scopes)


async def settle_request(refused: Refused, devices: Devices, publish: Publish) -> Refused:
    """Store the pairing request of a refusal, which then names it. Raises StoreError."""
    if refused.pairing is None:
        return refused
    rejected = devices.requests.tell_rejection(refused.pairing.device_id)
    if rejected is not None:
        return refused.with_rejection(rejected.request_id)
    waiting, is_new = await devices.request(refused.pairing)
    if is_new:
        publish(requested(waiting))
    return refused.with_request_id(waiting.request_id)
