"""How the gateway is: health, presence, heartbeat, channels, nodes; what is read is in memory."""

from collections.abc import Mapping
from typing import Literal

import attrs

from openclawd.auth.scopes import ADMIN, NODE, READ, WRITE, allows
from openclawd.methods.method import AnyParams, Call, MethodTable, NoParams
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request, unavailable
from openclawd.vitals.health import without_keys
from openclawd.vitals.presence_report import is_presence_line, presence_report

VITALS = MethodTable()


@VITALS.add("health", scope=None, params=AnyParams)
def health(call: Call, params: AnyParams) -> object:
    """The last snapshot, with `probe: true` one of this second; names of conversations for who may read."""
    if not allows(call.caller.scopes, READ):
        return without_keys(call.services.health.snapshot)
    if isinstance(params.given, dict) and params.given.get("probe") is True:
        return call.services.health.probe()
    return call.services.health.encoded


@VITALS.add("system-presence", scope=READ, params=NoParams)
def system_presence(call: Call, _params: NoParams) -> object:
    """Who is here: a bare array."""
    return call.services.presence.listing()


@VITALS.add("system-event", scope=ADMIN, params=AnyParams)
async def system_event(call: Call, params: AnyParams) -> object:
    """Where a user is, for everybody to see; any other text, for the model of the main session.

    Members that are not known are ignored, as in stock.
    """
    given = params.given if isinstance(params.given, Mapping) else {}
    text = given.get("text")
    if not isinstance(text, str) or not text.strip():
        raise invalid_request("text required")
    report = presence_report(given)
    if report is not None:
        call.services.presence.reported(report)
        call.services.announce_presence()
    if not is_presence_line(text):
        await call.services.sessions.system_events.add(call.services.agents.main_session_key, text)
    return {"ok": True}


@attrs.frozen(eq=False, repr=False)
class WakeParams:
    """`wake`: `now` wants a heartbeat at once, and there are none yet."""

    mode: Literal["now", "next-heartbeat"]
    text: NonEmptyStr


@VITALS.add("wake", scope=WRITE, params=WakeParams)
async def wake(call: Call, params: WakeParams) -> object:
    """A text for the model of the main session, which its next turn tells."""
    if params.mode == "now":
        raise unavailable("there are no heartbeats yet; with next-heartbeat the next turn tells it")
    if not params.text.strip():
        raise invalid_request("text required")
    await call.services.sessions.system_events.add(call.services.agents.main_session_key, params.text)
    return {"ok": True}


@VITALS.add("last-heartbeat", scope=READ, params=NoParams)
def last_heartbeat(_call: Call, _params: NoParams) -> object:
    """There are no heartbeats yet: null, as before the first one."""
    return None


@params
class ChannelsStatusParams:
    """`channels.status`: both change how long a probe of the channels may take, and there are none."""

    probe: bool | None = None
    timeout_ms: int | None = attrs.field(default=None, metadata={"minimum": 0})


@VITALS.add("channels.status", scope=READ, params=ChannelsStatusParams)
def channels_status(call: Call, _params: ChannelsStatusParams) -> object:
    """No channel is configured: the shape, empty."""
    return {
        "ts": call.services.now_ms(),
        "channelOrder": [],
        "channelLabels": {},
        "channelDetailLabels": {},
        "channelSystemImages": {},
        "channelMeta": [],
        "channels": {},
        "channelAccounts": {},
        "channelDefaultAccountId": {},
    }


@VITALS.add("node.list", scope=READ, params=NoParams)
def node_list(call: Call, _params: NoParams) -> object:
    """Devices that were paired as nodes, connected ones first, then by name."""
    connected = call.services.connected_nodes()
    nodes = [
        {
            "nodeId": device.device_id,
            **{
                key: value
                for key, value in device.to_wire().items()
                if key in {"displayName", "platform", "deviceFamily", "remoteIp"}
            },
            "caps": [],
            "commands": [],
            "paired": True,
            "connected": device.device_id in connected,
        }
        for device in call.services.devices.paired()
        if NODE in device.roles
    ]
    nodes.sort(key=lambda node: (not node["connected"], str(node.get("displayName") or node["nodeId"])))
    return {"ts": call.services.now_ms(), "nodes": nodes}
