"""The published contract of protocol v4: `protocol.schema.json` of the reference client's package.

Every frame of ours is held against its frame shape; events and results that have a definition there are held
against that, too. What is sent beyond it, and why, stands in `_EXTRAS`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from tests.reference_client.install import reference_client

# Events and results by the name of their definition; what is not listed has none.
_EVENTS: Final = {
    "agent": "AgentEvent",
    "chat": "ChatEvent",
    "tick": "TickEvent",
    "shutdown": "ShutdownEvent",
    "device.pair.requested": "DevicePairRequestedEvent",
    "device.pair.resolved": "DevicePairResolvedEvent",
    "session.operation": "SessionOperationEvent",
}
_RESULTS: Final = {
    "connect": "HelloOk",
    "agent.identity.get": "AgentIdentityResult",
    "agents.files.get": "AgentsFilesGetResult",
    "agents.files.list": "AgentsFilesListResult",
    "agents.list": "AgentsListResult",
    "chat.message.get": "ChatMessageGetResult",
    "commands.list": "CommandsListResult",
    "config.schema": "ConfigSchemaResponse",
    "config.schema.lookup": "ConfigSchemaLookupResult",
    "device.scopes.requestUpgrade": "ScopeUpgradeRegistration",
    "device.scopes.waitUpgrade": "ScopeUpgradeResult",
    "device.token.rotate": "DeviceTokenRotateResult",
    "models.list": "ModelsListResult",
    "sessions.create": "SessionsCreateResult",
    "sessions.delete": "SessionsDeleteResult",
    "sessions.resolve": "SessionsResolveResult",
    "update.status": "UpdateStatusResult",
}
# Lists of rows, by the member that holds them.
_ROWS: Final = {"sessions.list": ("sessions", "SessionRow"), "system-presence": ("", "PresenceEntry")}
_EXTRAS: Final = {
    # Every real gateway puts these into the event, and every client reads them.
    "AgentEvent": frozenset({"sessionKey", "agentId", "sessionId"}),
    # What this gateway adds to a restart's goodbye, which clients pass over.
    "ShutdownEvent": frozenset({"reauthenticate", "reconnectAfterMs", "reconnectSpreadMs", "epoch", "seq"}),
    # For clients that asked to resume only.
    "HelloOk": frozenset({"resume"}),
    "GatewayFrame": frozenset({"epoch"}),
}


class BreachError(AssertionError):
    """A frame of ours is not what the contract says."""


class Contract:
    """Checks frames that a v4 client received."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._definitions: Mapping[str, Any] = schema["definitions"]
        self._validators: dict[str, jsonschema_rs.Draft7Validator] = {}

    def check(self, frame: Mapping[str, Any], method: str | None = None) -> None:
        """Raise BreachError unless `frame`, the answer to `method` if it is one, is as published for v4."""
        self.check_shape(frame)
        payload = frame.get("payload")
        if frame["type"] == "event":
            self._hold(payload, _EVENTS.get(frame["event"]), f"the event {frame['event']}")
        elif frame.get("ok") and method is not None:
            self._hold(payload, _RESULTS.get(method), f"the result of {method}")
            for row, definition in _rows(method, payload):
                self._hold(row, definition, f"a row of {method}")

    def check_shape(self, frame: Mapping[str, Any]) -> None:
        """The same for what both generations have in common: the frame round the payload."""
        self._hold(frame, "GatewayFrame", "the frame")

    def _hold(self, value: Any, definition: str | None, what: str) -> None:
        if definition is None:
            return
        extras = _EXTRAS.get(definition, frozenset())
        if extras and isinstance(value, dict):
            value = {name: member for name, member in value.items() if name not in extras}
        errors = [
            f"{error.instance_path}: {error.message}"
            for error in self._validator(definition).iter_errors(value)
        ]
        if errors:
            raise BreachError(
                f"{what} is not a {definition}: {'; '.join(errors)[:2000]}\n{json.dumps(value)[:2000]}"
            )

    def _validator(self, definition: str) -> jsonschema_rs.Draft7Validator:
        if definition not in self._validators:
            # `discriminator` is not of JSON Schema; the definitions hold no references.
            self._validators[definition] = jsonschema_rs.Draft7Validator(self._definitions[definition])
        return self._validators[definition]


def _rows(method: str, payload: Any) -> Iterator[tuple[Any, str]]:
    member, definition = _ROWS.get(method, ("", ""))
    if definition:
        yield from ((row, definition) for row in (payload[member] if member else payload))


def published_contract() -> Contract:
    """The contract of the pinned package. Raises reference_client.install.NotAvailable."""
    file: Path = (
        reference_client() / "node_modules" / "@openclaw" / "gateway-protocol" / "protocol.schema.json"
    )
    return Contract(json.loads(file.read_text()))
