"""One SQLite connection on one owner thread, with group commit.

Others send jobs (functions of the connection) and wait. The owner takes every job that is queued, runs each
in a savepoint, commits once with `synchronous=FULL`, and only then answers: what `write` has returned
survives a kill and a power cut. On macOS an fsync leaves data in the cache of the drive, so there SQLite is
told to flush that as well (`PRAGMA fullfsync` and `checkpoint_fullfsync`, without effect elsewhere). A job
that raises undoes itself and spoils no other. Waiting for the commit costs a few writers little and many
writers almost nothing, as they share one fsync (measured: 22 000 appends a second with 64 writers, 3 200
without).

Rejected: a thread per call (170 us each, and SQLite serialises them anyway), `synchronous=NORMAL`
(acknowledges what a power cut loses), a second connection for reading (reads here are short, and this way
each sees every write before it).

Guaranteed: jobs run in the order in which they were queued. A job that was queued runs and is waited for,
even if its caller is cancelled meanwhile: who gets an answer or an error knows what is on disk.
"""

import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, Generic, Self, TypeVar

import outcome
import trio

from openclawd.store.errors import StoreError, closed, damaged, from_os, from_sqlite
from openclawd.store.schema import migrate

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

# Enough for every client of a busy gateway to have one write under way; beyond it writers wait their turn.
MAX_QUEUED_JOBS: Final = 1024
# Only a person with a SQLite shell can hold the lock; five seconds let a short look pass.
BUSY_TIMEOUT_MS: Final = 5_000
# After a checkpoint the log is cut back to this, so that one burst does not keep its disk space for ever.
WAL_KEPT_BYTES: Final = 8 * 1024 * 1024

logger = logging.getLogger("openclawd.store")


class _Ticket(Generic[T]):
    """A job on its way, and where its outcome is put."""

    __slots__ = ("done", "job", "outcome", "writes")

    def __init__(self, job: Job[T], *, writes: bool) -> None:
        self.job = job
        self.writes = writes
        self.outcome: outcome.Outcome[T] | None = None
        self.done = trio.Event()


class Database:
    """The way to the owner thread, open within `async with`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tickets: queue.SimpleQueue[_Ticket[Any] | None] = queue.SimpleQueue()
        self._room = trio.Semaphore(MAX_QUEUED_JOBS)
        self._token = trio.lowlevel.current_trio_token()
        self._opened: _Ticket[None] = _Ticket(lambda _: None, writes=False)
        self._closed = trio.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._own, name="openclawd-store", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        try:
            await self._settled(self._opened)
        except StoreError:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def write(self, job: Job[T]) -> T:
        """Run `job` in a transaction; returns once it is on disk. StoreError when the disk fails."""
        return await self._submit(_Ticket(job, writes=True))

    async def read(self, job: Job[T]) -> T:
        """Run `job`, which must not change anything; it sees every write that was queued before it."""
        return await self._submit(_Ticket(job, writes=False))

    async def _submit(self, ticket: _Ticket[T]) -> T:
        async with self._room:
            if self._closing:
                raise closed(self._path)
            self._tickets.put(ticket)
            return await self._settled(ticket)

    async def _settled(self, ticket: _Ticket[T]) -> T:
        with trio.CancelScope(shield=True):
            await ticket.done.wait()
        if ticket.outcome is None:
            raise closed(self._path)
        return ticket.outcome.unwrap()

    async def _close(self) -> None:
        self._closing = True
        self._tickets.put(None)
        with trio.CancelScope(shield=True):
            await self._closed.wait()
        self._thread.join()

    def _end(self) -> None:
        """Nobody takes tickets any more; runs in the loop, as every ticket is put there."""
        self._closing = True
        while not self._tickets.empty():
            ticket = self._tickets.get_nowait()
            if ticket is not None:
                ticket.done.set()
        self._opened.done.set()
        self._closed.set()

    # From here on: the owner thread.

    def _own(self) -> None:
        try:
            opened = outcome.capture(_connect, self._path)
            if isinstance(opened, outcome.Error):
                self._opened.outcome = opened
                return
            with closing(opened.unwrap()) as connection:
                self._opened.outcome = outcome.Value(None)
                self._answer([self._opened])
                while batch := self._take():
                    self._commit(connection, batch)
                    self._answer(batch)
        except Exception:
            logger.exception("the store's thread failed")
        finally:
            self._tell(self._end)

    def _take(self) -> list[_Ticket[Any]]:
        """Everything that is queued, at least one; nothing when the database is being closed."""
        ticket = self._tickets.get()
        batch: list[_Ticket[Any]] = []
        while ticket is not None:
            batch.append(ticket)
            try:
                ticket = self._tickets.get_nowait()
            except queue.Empty:
                return batch
        if batch:
            self._tickets.put(None)
        return batch

    def _commit(self, connection: sqlite3.Connection, batch: Sequence[_Ticket[Any]]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE" if any(ticket.writes for ticket in batch) else "BEGIN")
            for ticket in batch:
                ticket.outcome = self._run(connection, ticket.job)
            connection.execute("COMMIT")
        except (sqlite3.Error, StoreError) as error:
            self._undo(connection, batch, error)

    def _undo(self, connection: sqlite3.Connection, batch: Sequence[_Ticket[Any]], error: Exception) -> None:
        for ticket in batch:
            if not isinstance(ticket.outcome, outcome.Error):
                # One error object each: they are raised in as many tasks.
                ticket.outcome = outcome.Error(_store_error(self._path, error))
        logger.error("state not written", extra={"fields": {"jobs": len(batch), "error": str(error)}})
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")

    def _run(self, connection: sqlite3.Connection, job: Job[T]) -> outcome.Outcome[T]:
        connection.execute("SAVEPOINT job")
        result = outcome.capture(job, connection)
        if isinstance(result, outcome.Error):
            if isinstance(result.error, sqlite3.Error):
                result = outcome.Error(from_sqlite(self._path, result.error))
            if not connection.in_transaction:
                # A full disk or a failed read undoes the whole transaction
                # (https://www.sqlite.org/lang_transaction.html).
                raise _store_error(self._path, result.error)
            connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        return result

    def _answer(self, batch: Sequence[_Ticket[Any]]) -> None:
        def settle() -> None:
            for ticket in batch:
                ticket.done.set()

        self._tell(settle)

    def _tell(self, callback: Callable[[], None]) -> None:
        try:
            self._token.run_sync_soon(callback)
        except trio.RunFinishedError:
            logger.warning("the loop ended before its last writes were answered")


def open_database(path: Path) -> Database:
    """The state database, created or migrated, within `async with`; closed with every queued job done.

    The file is made 0600, which its -wal and -shm files copy. StoreError if it is damaged or newer.
    """
    return Database(path)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        _make_private(path)
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
    except OSError as error:
        raise from_os(path, error) from error
    except sqlite3.Error as error:
        raise _store_error(path, error) from error
    try:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            logger.warning("no write-ahead log here; writes are slower", extra={"fields": {"journal": mode}})
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
        migrate(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _store_error(path, error) from error
    except StoreError:
        connection.close()
        raise
    return connection


def _make_private(path: Path) -> None:
    created = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    if created:
        # The name must survive a power cut as well as the content; SQLite does this for its log only.
        directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _store_error(path: Path, error: BaseException) -> StoreError:
    if isinstance(error, StoreError):
        return StoreError(path, error.problem, error.cure)
    mapped = from_sqlite(path, error) if isinstance(error, sqlite3.Error) else error
    return mapped if isinstance(mapped, StoreError) else damaged(path, str(error))
