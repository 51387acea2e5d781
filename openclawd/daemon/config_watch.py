"""The configuration file, watched while the gateway runs: what was changed in it counts without a word.

The file is looked at, not subscribed to: editors replace it, folders are mounted over it, and inotify tells
of neither on every file system. One stat a second costs nothing that could be measured.

A restart that the file needs and that was refused is tried again, as what stood in its way (a port, a
certificate, a disk) may go away without a change of the file.
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
# Each try costs half a second of a processor; who mends something waits a moment, not all night.
FIRST_RETRY_S: Final = 10.0
LAST_RETRY_S: Final = 300.0

_log = logging.getLogger("openclawd.config")


class ConfigWatch:
    """Goes by the file whenever it has changed, with a restart where that is needed and wanted."""

    def __init__(self, access: Access, config_file: ConfigFile, restart: Restarter) -> None:
        self._access = access
        self._file = config_file
        self._restart = restart
        self._watch = Watch()
        self._retry_at_s: float | None = None
        self._retry_s = FIRST_RETRY_S

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
            if self._retry_at_s is not None and trio.current_time() >= self._retry_at_s:
                await self._restart_if_needed(again=True)
            return LOOK_EVERY_S
        if due_s > 0:
            return min(due_s, LOOK_EVERY_S)
        await self._go_by_it()
        return LOOK_EVERY_S

    async def _go_by_it(self) -> None:
        was_refused, self._retry_at_s = self._retry_at_s is not None, None
        found = await trio.to_thread.run_sync(self._hash)
        if found != self._file.seen_hash:
            try:
                await self._access.reload()
            except ConfigError:
                return  # said in the log, and wherever else people look
        # Else somebody told the gateway before it saw for itself.
        await self._restart_if_needed(again=False)
        if was_refused and self._retry_at_s is None and not self._restart.restart_pending:
            self._restart.withdraw()

    async def _restart_if_needed(self, *, again: bool) -> None:
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
        wanted = RestartRequest(f"changed: {', '.join(keys)}", "config-reload", again=again)
        try:
            await self._restart.request(wanted)
        except RestartRefused as refused:
            self._access.restart_refused(keys, str(refused))
        # Also of one that was granted: it may be called off at its last moment.
        self._retry_s = min(2 * self._retry_s, LAST_RETRY_S) if again else FIRST_RETRY_S
        self._retry_at_s = trio.current_time() + self._retry_s

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
