"""One line in the log for each thing that somebody does to a device, and whose connection it was."""

import logging
from typing import Final

from openclawd.methods.method import Call

_log: Final = logging.getLogger("openclawd.devices")


def note(call: Call, act: str, device_id: str, **more: object) -> None:
    """`act` is what was done, in the past: "device removed"."""
    fields = {"conn": call.caller.connection_id, "device": device_id, **more}
    if call.caller.device_id is not None:
        fields["byDevice"] = call.caller.device_id
    _log.info(act, extra={"fields": fields})
