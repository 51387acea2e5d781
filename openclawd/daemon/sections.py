"""The sections of the config that are not about who gets in, and how a running gateway goes by others.

Agents, models, variables, the log's level and the limits of runs are read where they are needed, so another
config counts from the next message on. What clients were told when they connected (which session is the main
one, which agent answers there) needs a restart, and so does whatever is not known here.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import orjson

from openclawd.agents.catalog import Catalog
from openclawd.agents.roster import Roster, roster
from openclawd.config.load import LoadedConfig

_LIVE: Final = ("agents", "models", "ui", "logging", "env", "update")
_OWN_LIVE: Final = frozenset({"backup", "restart", "update"})
# Who gets in by it is for `access` to say.
_OWN_ELSEWHERE: Final = frozenset({"publicOrigin"})
_OWN: Final = "openclawd"
_RELOAD: Final = "gateway.reload"


class Sections:
    """What the gateway goes by in them, and the parts that do."""

    def __init__(
        self,
        started: LoadedConfig,
        *,
        agents: Roster,
        catalog: Catalog,
        set_run_timeout_ms: Callable[[int], None],
        set_log_level: Callable[[str], None],
    ) -> None:
        self._started = started
        self._now = started
        self._agents = agents
        self._catalog = catalog
        self._set_run_timeout_ms = set_run_timeout_ms
        self._set_log_level = set_log_level

    @property
    def loaded(self) -> LoadedConfig:
        """The reading of the file that the gateway goes by, as far as it can without a restart."""
        return self._now

    async def apply(self, loaded: LoadedConfig) -> tuple[str, ...]:
        """Go by `loaded`, as far as that can be; the keys that have changed by it."""
        changed = tuple(self._changed(loaded))
        self._now = loaded
        if not changed:
            return ()
        config = loaded.config
        fresh = roster(config, loaded.paths.state_dir)
        if fresh.default_id == self._agents.default_id:
            self._agents.all = fresh.all
        self._set_log_level(config.logging.level)
        self._set_run_timeout_ms(config.agents.defaults.timeout_seconds * 1000)
        await self._catalog.change(config, loaded.environ)
        return changed

    def waiting(self, loaded: LoadedConfig) -> tuple[str, ...]:
        """The keys of `loaded` that are not as they were at the start, and count from the next one."""
        keys = []
        if _differ(self._started.document, loaded.document, "session"):
            keys.append("session")
        if roster(loaded.config, loaded.paths.state_dir).default_id != self._agents.default_id:
            keys.append("agents")
        before, after = _own(self._started), _own(loaded)
        names = dict.fromkeys([*before, *after])
        keys += [
            f"{_OWN}.{name}"
            for name in names
            if name not in _OWN_LIVE | _OWN_ELSEWHERE and _differ(before, after, name)
        ]
        return tuple(keys)

    def _changed(self, loaded: LoadedConfig) -> Iterator[str]:
        waiting = self.waiting(loaded)
        for name in _LIVE:
            if name not in waiting and _differ(self._now.document, loaded.document, name):
                yield name
        before, after = _own(self._now), _own(loaded)
        yield from (f"{_OWN}.{name}" for name in sorted(_OWN_LIVE) if _differ(before, after, name))
        if self._now.config.gateway.reload != loaded.config.gateway.reload:
            yield _RELOAD


def _own(loaded: LoadedConfig) -> Mapping[str, object]:
    section = loaded.document.get(_OWN)
    return section if isinstance(section, Mapping) else {}


def _differ(one: Mapping[str, object], other: Mapping[str, object], name: str) -> bool:
    """Whether they say something else there."""
    said = (orjson.dumps(each.get(name), option=orjson.OPT_SORT_KEYS) for each in (one, other))
    return next(said) != next(said)
