"""What can be chosen for a session (`sessions.patch`, slash commands): read, and checked before it is kept.

The names are the wire's. A choice that openclawd cannot keep is refused in words; nothing is stored that
changes nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from openclawd.agents.entries import ModelRef
from openclawd.agents.model import ModelError
from openclawd.agents.thinking import OFF, thinking_levels
from openclawd.protocol.errors import invalid_request
from openclawd.sessions.source import ModelSource
from openclawd.store.records import SessionRecord

# v3's limit, and v4's.
MAX_LABEL_CHARS: Final = {3: 64, 4: 512}

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "verboseLevel": ("off", "on", "full"),
    "reasoningLevel": ("off", "on", "stream"),
    "responseUsage": ("off", "tokens", "full", "on"),
    "sendPolicy": ("allow", "deny"),
    "groupActivation": ("mention", "always"),
}

# What stock lets one choose, and this gateway has nothing for.
_WITHOUT: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("execHost", "execSecurity", "execAsk", "execNode", "elevatedLevel", "permissionMode"),
        "agents have no tools that run commands here",
    ),
    **dict.fromkeys(
        ("toolOverrides", "inheritedToolPolicyVersion", "inheritedToolAllow", "inheritedToolDeny"),
        "agents have no tools here",
    ),
    **dict.fromkeys(
        ("spawnedBy", "spawnDepth", "completionOwnerSessionKey"), "sessions do not start sessions here"
    ),
    **dict.fromkeys(("fastMode", "contextWindow", "traceLevel"), "models have no such mode here"),
    **dict.fromkeys(
        ("icon", "color", "category", "boardFace", "statusNote", "attention", "ttlMinutes"),
        "sessions have a label here, and no other marks",
    ),
}
# Asking for what is the case anyway asks for nothing.
_DEFAULTS: Final[Mapping[str, str]] = {"boardFace": "chat"}


@attrs.frozen(eq=False, repr=False)
class SessionSettings:
    """The choices of one session, typed; None where nothing was chosen."""

    model: str | None = None
    """`provider/model`"""
    thinking_level: str | None = None
    verbose_level: str | None = None
    reasoning_level: str | None = None
    response_usage: str | None = None
    send_policy: str | None = None
    group_activation: str | None = None
    archived_at_ms: int | None = None
    """When it was put away: still there, and no longer in the list."""
    pinned_at_ms: int | None = None
    last_read_at_ms: int | None = None
    marked_unread_at_ms: int | None = None

    @property
    def pinned(self) -> bool:
        """Whether it is to stand above the others."""
        return self.pinned_at_ms is not None

    @property
    def model_ref(self) -> ModelRef | None:
        """The chosen model."""
        return None if self.model is None else reference(self.model)


def is_archived(session: SessionRecord) -> bool:
    """Whether a session was put away; cheap, as every list asks it of every session."""
    return "archivedAt" in session.settings


def settings_of(session: SessionRecord | None) -> SessionSettings:
    """The choices of a session; none for a session that is not there yet."""
    return session_settings(session.settings if session is not None else {})


def session_settings(stored: Mapping[str, Any]) -> SessionSettings:
    """The choices as the store has them."""
    return SessionSettings(
        model=stored.get("model"),
        thinking_level=stored.get("thinkingLevel"),
        verbose_level=stored.get("verboseLevel"),
        reasoning_level=stored.get("reasoningLevel"),
        response_usage=stored.get("responseUsage"),
        send_policy=stored.get("sendPolicy"),
        group_activation=stored.get("groupActivation"),
        archived_at_ms=stored.get("archivedAt"),
        pinned_at_ms=stored.get("pinnedAt"),
        last_read_at_ms=stored.get("lastReadAt"),
        marked_unread_at_ms=stored.get("markedUnreadAt"),
    )


@attrs.frozen(eq=False, repr=False)
class Chooser:
    """Checks what is wanted for sessions against the models that there are."""

    models: ModelSource

    def changes(
        self,
        wanted: Mapping[str, Any],
        current: SessionSettings,
        *,
        agent_id: str,
        now_ms: int,
        max_label_chars: int,
    ) -> dict[str, Any]:
        """What to store for `wanted`, the fields of a patch; None takes a choice away.

        Raises RequestError, INVALID_REQUEST, naming what could be chosen.
        """
        for name, value in wanted.items():
            if name in _WITHOUT and value not in (None, False, _DEFAULTS.get(name, "off")):
                raise invalid_request(f"{name} cannot be set: {_WITHOUT[name]}")
        changes: dict[str, Any] = {
            name: _choice(name, wanted[name]) for name in CHOICES.keys() & wanted.keys()
        }
        if "label" in wanted:
            changes["label"] = _label(wanted["label"], max_label_chars)
        if "model" in wanted:
            changes |= self.model(wanted["model"], current, agent_id)
        if "thinkingLevel" in wanted:
            model = changes.get("model", current.model)
            changes["thinkingLevel"] = self.thinking(wanted["thinkingLevel"], model, agent_id)
        for name, stored in (("archived", "archivedAt"), ("pinned", "pinnedAt")):
            if name in wanted:
                changes[stored] = now_ms if wanted[name] else None
        if "unread" in wanted:
            changes["markedUnreadAt"] = now_ms if wanted["unread"] else None
            if not wanted["unread"]:
                changes["lastReadAt"] = now_ms
        return changes

    def model(self, wanted: str | None, current: SessionSettings, agent_id: str) -> dict[str, Any]:
        """The changes that choose a model: its name, and no thinking level that it does not have."""
        if wanted is None:
            name = None
        else:
            try:
                found = self.models.resolve(wanted, agent_id)
            except ModelError as error:
                raise invalid_request(str(error)) from error
            name = str(ModelRef(found.provider, found.id))
        changes: dict[str, Any] = {"model": name}
        if current.thinking_level not in {None, *self.levels(name, agent_id)}:
            changes["thinkingLevel"] = None
        return changes

    def thinking(self, wanted: str | None, model: str | None, agent_id: str) -> str | None:
        """The thinking level to store for a model."""
        if wanted is None:
            return None
        level = wanted.strip().lower()
        levels = self.levels(model, agent_id)
        if level not in levels:
            raise invalid_request(f"invalid thinkingLevel (use {'|'.join(levels)})")
        return level

    def levels(self, model: str | None, agent_id: str) -> tuple[str, ...]:
        """How hard a model can be told to think; None is the agent's own, of an unknown one only "off"."""
        ref = self.models.default(agent_id) if model is None else reference(model)
        entry = self.models.find(ref)
        return (OFF,) if entry is None else thinking_levels(entry)


def reference(name: str) -> ModelRef:
    """A stored `provider/model`."""
    provider, _, model = name.partition("/")
    return ModelRef(provider, model)


def _choice(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    choice = value.strip().lower()
    if choice not in CHOICES[name]:
        raise invalid_request(f"invalid {name} (use {'|'.join(CHOICES[name])})")
    return choice


def _label(value: str | None, max_chars: int) -> str | None:
    if value is None:
        return None
    label = " ".join(value.split())
    if not label:
        raise invalid_request("invalid label: empty (null takes the label away)")
    if len(label) > max_chars:
        raise invalid_request(f"invalid label: too long (max {max_chars})")
    return label
