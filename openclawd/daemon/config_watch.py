"""The configuration file, watched while the gateway runs: what was changed in it counts without a word.

The file is looked at, not subscribed to: editors replace it, folders are mounted over it, and inotify tells
of neither on every file system. One stat a second costs nothing that could be measured.
"""

import hashlib
import logging
from contextlib import suppress
from typing import Final

import trio

from openclawd.config.file import ConfigFile
from openclawd.config.load import read_bytes
from openclawd.config.problems import ConfigError
from openclawd.config.reading import NotReadable
from openclawd.config.watch import Signature, Watch, signature_of
from openclawd.daemon.access import Access
from openclawd.methods.services import Restarter, RestartRefused, RestartRequest

LOOK_EVERY_S: Final = 1.0

_log = logging.getLogger("openclawd.config")


class ConfigWatch:
    """Goes by the file whenever it has changed, with a restart where that is needed and wanted."""

    def __init__(self, access: Access, config_file: ConfigFile, restart: Restarter) -> None:
        self._access = access
        self._file = config_file
        self._restart = restart
        self._watch = Watch()

    async def serve(self) -> None:
        """Until cancelled."""
        await self._access.keep_last_good()
        again_s = 0.0
        while True:
            await trio.sleep(again_s)
            again_s = await self.look()

    async def look(self) -> float:
        """Look once; in how many seconds again."""
        wanted = self._access.loaded.config.gateway.reload
        if wanted.mode == "off":
            return LOOK_EVERY_S
        now = await trio.to_thread.run_sync(self._signature)
        due_s = self._watch.look(now, trio.current_time(), rest_s=wanted.debounce_ms / 1000)
        if due_s is None:
            return LOOK_EVERY_S
        if due_s > 0:
            return min(due_s, LOOK_EVERY_S)
        await self._go_by_it()
        return LOOK_EVERY_S

    async def _go_by_it(self) -> None:
        found = await trio.to_thread.run_sync(self._hash)
        if found != self._file.seen_hash:
            try:
                await self._access.reload()
            except ConfigError:
                return  # said in the log, and wherever else people look
        # Else somebody told the gateway before it saw for itself.
        last, mode = self._access.last, self._access.loaded.config.gateway.reload.mode
        if last is None or self._restart.restart_pending:
            return
        keys = last.restart_required
        if mode == "restart":
            keys = (*keys, *last.applied)
        if not keys:
            return
        if mode == "hot":
            _log.warning("config waits for a restart", extra={"fields": {"keys": list(keys)}})
            return
        try:
            await self._restart.request(RestartRequest(f"changed: {', '.join(keys)}", "config-reload"))
        except RestartRefused as refused:
            self._access.restart_refused(keys, str(refused))

    def _signature(self) -> Signature | None:
        with suppress(OSError):
            return signature_of(self._file.applied.paths.config_file.stat())
        return None

    def _hash(self) -> str | None:
        """Of what is in the file now; None where that is no file, or cannot be read."""
        with suppress(OSError, NotReadable):
            data = read_bytes(self._file.applied.paths)
            return hashlib.sha256(data).hexdigest() if data is not None else None
        return None
