"""What the gateway answers to slash commands, and what they change.

A command changes settings in the same transaction in which its answer is accepted, so that whoever reads the
answer finds the change made.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from openclawd.protocol.errors import RequestError
from openclawd.sessions.admin import SessionAdmin
from openclawd.sessions.commands import Command, CommandName, help_text
from openclawd.sessions.costs import Costs
from openclawd.sessions.settings import settings_of
from openclawd.sessions.source import ModelSource
from openclawd.store.conversations import Conversations
from openclawd.store.records import SessionRecord
from openclawd.store.spending import Spent

# What takes a choice away.
_DEFAULT: Final = "default"
# A list in a chat; the page's own picker shows all of them.
_MODELS_SHOWN: Final = 50
_DAYS: Final = 30


@attrs.frozen(eq=False, repr=False)
class Sender:
    """Who wrote, as far as `/whoami` says."""

    role: str
    scopes: frozenset[str]
    wire_generation: int
    connection_id: str
    device_id: str | None = None


@attrs.frozen(eq=False, repr=False)
class Reply:
    """The answer to a command and the settings it changes. `sums_up`: the model answers, with a summary."""

    text: str
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    sums_up: bool = False


class Answers:
    """Answers the commands that are not the beginning of a conversation."""

    def __init__(
        self,
        conversations: Conversations,
        models: ModelSource,
        admin: SessionAdmin,
        costs: Costs,
        *,
        status: Callable[[str], Awaitable[Sequence[str]]],
    ) -> None:
        self._conversations = conversations
        self._models = models
        self._admin = admin
        self._costs = costs
        self._status = status

    async def reply(self, command: Command, key: str, sender: Sender | None) -> Reply:
        """What `command` gets in the session with this canonical key. Never RequestError: the words of one
        are the answer.
        """
        try:
            return await self._reply(command, key, sender)
        except RequestError as error:
            return Reply(error.shape.message)

    async def _reply(self, command: Command, key: str, sender: Sender | None) -> Reply:
        session = await self._conversations.session(key)
        match command.name:
            case CommandName.HELP:
                return Reply(help_text())
            case CommandName.MODELS:
                return Reply(self._list(key, session))
            case CommandName.MODEL:
                return await self._model(command.text, key, session)
            case CommandName.THINK:
                return await self._think(command.text, key, session)
            case CommandName.USAGE:
                return await self._usage(command.text, key, session)
            case CommandName.COMPACT:
                return await self._compact(command.text, key)
            case CommandName.WHOAMI:
                return Reply(_whoami(key, sender))
            case _:
                return Reply("\n".join(await self._status(key)))

    def _list(self, key: str, session: SessionRecord | None) -> str:
        chosen = self._admin.chosen(key, session)
        entries = self._models.entries()
        lines = [
            f"{number}. `{entry.ref}`"
            + (" (this session)" if (entry.provider, entry.id) == (chosen.provider, chosen.model) else "")
            for number, entry in enumerate(entries[:_MODELS_SHOWN], start=1)
        ]
        if len(entries) > _MODELS_SHOWN:
            lines.append(f"and {len(entries) - _MODELS_SHOWN} more, which `/model <name>` takes, too")
        return "\n".join(["Models", "", *lines, "", "Choose one with `/model <name or number>`."])

    async def _model(self, wanted: str, key: str, session: SessionRecord | None) -> Reply:
        if not wanted:
            chosen = self._admin.chosen(key, session)
            how = "chosen for this session" if chosen.by_user else "the default"
            return Reply(
                f"Model: `{chosen.provider}/{chosen.model}` ({how}). `/models` lists what there is,"
                " `/model default` takes a choice back."
            )
        if wanted.lower() == _DEFAULT:
            changes = await self._admin.checked(key, {"model": None})
            default = self._models.default(self._admin.addresses.agent_of(key))
            return Reply(f"Model: `{default}`, the default." + _dropped(changes), changes)
        entries = self._models.entries()
        if wanted.isdecimal() and 1 <= int(wanted) <= len(entries):
            wanted = str(entries[int(wanted) - 1].ref)
        changes = await self._admin.checked(key, {"model": wanted})
        return Reply(f"Model: `{changes['model']}`, from the next message on." + _dropped(changes), changes)

    async def _think(self, wanted: str, key: str, session: SessionRecord | None) -> Reply:
        chosen = self._admin.chosen(key, session)
        levels = ", ".join(chosen.levels)
        model = f"`{chosen.provider}/{chosen.model}`"
        if not wanted:
            level = settings_of(session).thinking_level or chosen.level
            return Reply(f"Thinking: {level}. {model} has: {levels}.")
        if wanted.lower() == _DEFAULT:
            return Reply(f"Thinking: {chosen.level}, the default of {model}.", {"thinkingLevel": None})
        if wanted.lower() not in chosen.levels:
            return Reply(f"{model} does not know the thinking level {wanted!r}. It has: {levels}.")
        changes = await self._admin.checked(key, {"thinkingLevel": wanted})
        return Reply(f"Thinking: {changes['thinkingLevel']}, from the next message on.", changes)

    async def _usage(self, wanted: str, key: str, session: SessionRecord | None) -> Reply:
        if wanted.lower() == "cost":
            today, month = await self._costs.of_days(1), await self._costs.of_days(_DAYS)
            here = await self._costs.of_session(key)
            return Reply(
                "\n".join(
                    (
                        "Cost",
                        f"This session: {_spent(here)}",
                        f"Today (UTC), all sessions: {_spent(today)}",
                        f"Last {_DAYS} days, all sessions: {_spent(month)}",
                    )
                )
            )
        shown = settings_of(session).response_usage or "each client's default (/usage off, tokens or full)"
        if not wanted:
            return Reply("\n".join((*await self._numbers(key, session), f"Shown with answers: {shown}")))
        changes = await self._admin.checked(key, {"responseUsage": wanted})
        return Reply(f"Usage shown with answers: {changes['responseUsage']}", changes)

    async def _numbers(self, key: str, session: SessionRecord | None) -> list[str]:
        lines = ["Usage"]
        if session is not None and session.input_tokens is not None:
            lines.append(f"Last turn: {session.input_tokens} tokens in, {session.output_tokens} out")
        return [*lines, f"This session: {_spent(await self._costs.of_session(key))}"]

    async def _compact(self, instructions: str, key: str) -> Reply:
        if not (await self._conversations.transcript(key, 1)).messages:
            return Reply("There is nothing to sum up yet.")
        return Reply(instructions, sums_up=True)


def _dropped(changes: Mapping[str, Any]) -> str:
    return (
        " Its thinking levels are others; yours is the default again." if "thinkingLevel" in changes else ""
    )


def _spent(spent: Spent) -> str:
    if not spent.answers:
        return "nothing counted"
    text = (
        f"{spent.input + spent.cache_read + spent.cache_write} tokens in, {spent.output} out,"
        f" ${spent.cost:.4f}"
    )
    if spent.unpriced:
        text += f" without {spent.unpriced} answers of models whose prices are unknown"
    return text


def _whoami(key: str, sender: Sender | None) -> str:
    lines = ["Identity"]
    if sender is not None:
        lines += [
            f"Role: {sender.role}",
            f"Scopes: {', '.join(sorted(sender.scopes)) or 'none'}",
            f"Device: {sender.device_id or 'none'}",
            f"Connection: {sender.connection_id}, protocol v{sender.wire_generation}",
        ]
    return "\n".join([*lines, f"Session: {key}"])
