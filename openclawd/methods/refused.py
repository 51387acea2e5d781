"""Fields of stock's that are understood and cannot be kept: refused in words, where ignoring them would be
another thing than what was asked for.
"""

from collections.abc import Mapping
from typing import Final

import attrs

from openclawd.protocol.errors import invalid_request
from openclawd.protocol.fields import camel_case

NO_TOOLS: Final = "agents have no tools here"
NO_CHANNELS: Final = "there are no channels to deliver to; answers come as events and results"
NO_WORKSPACES: Final = "agents work in no directory here"
ONE_KIND: Final = "sessions have one kind here"


def refuse(params: object, why: Mapping[str, str]) -> None:
    """Refuse the first of these attributes that asks for something. False, empty and absent ask nothing."""
    for name, reason in why.items():
        if getattr(params, name):
            raise invalid_request(f"{camel_case(name)} cannot be kept: {reason}")


@attrs.frozen(eq=False, repr=False)
class Provenance:
    """Who a message comes from. Here every one is somebody's who is connected."""

    kind: str
    origin_session_id: str | None = None
    source_session_key: str | None = None
    source_channel: str | None = None
    source_tool: str | None = None


def refuse_provenance(name: str, provenance: Provenance | None) -> None:
    """Refuse to take a message for another's than the client's."""
    if provenance is not None and provenance.kind != "external_user":
        raise invalid_request(
            f"{name}.kind {provenance.kind} cannot be kept: sessions do not write to sessions here"
        )
