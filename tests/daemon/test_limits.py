"""The limiter's table and the stored one are the same, a second apart."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from openclawd.auth.limiter import FORGOTTEN_AFTER_MS, Limiter
from openclawd.auth.tries import Kind, LimitRules, Source
from openclawd.daemon.limits import FLUSH_INTERVAL_S, LimitKeeper, limiter_key
from openclawd.store.database import open_database
from openclawd.store.errors import StoreError
from openclawd.store.facts import Facts
from openclawd.store.limits import Limit, LimitStore

NOW_MS = 1_750_000_000_000


class Disk:
    """A store that counts its writes, and is full when it is told to be."""

    def __init__(self) -> None:
        self.writes: list[str] = []
        self.sources: set[str] = set()
        self.is_full = False
        self.takes_s = 0.0

    async def save(self, rows: Sequence[Limit], gone: Iterable[tuple[str, str]]) -> None:
        await self._write("save")
        self.sources |= {row.source for row in rows}
        self.sources -= {source for source, _ in gone}

    async def replace(self, rows: Sequence[Limit]) -> None:
        await self._write("replace")
        self.sources = {row.source for row in rows}

    async def _write(self, kind: str) -> None:
        await trio.sleep(self.takes_s)
        self.writes.append(kind)
        if self.is_full:
            raise StoreError(Path("state"), "the disk is full", "make room")


def limiter() -> Limiter:
    return Limiter(LimitRules(), secret_key=b"k" * 32)


def guess(limited: Limiter, address: str) -> None:
    limited.charge(Source(address), Kind.TOKEN, "wrong", "right", NOW_MS)


def keeper(limited: Limiter, disk: Disk, now_ms: int = NOW_MS) -> LimitKeeper:
    return LimitKeeper(limited, cast(LimitStore, disk), now_ms=lambda: now_ms)


async def test_what_was_tried_is_known_in_the_next_life(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        limited = limiter()
        guess(limited, "203.0.113.7")
        await LimitKeeper(limited, LimitStore(database), now_ms=lambda: NOW_MS).flush()
        next_life = limiter()
        await LimitKeeper(next_life, LimitStore(database), now_ms=lambda: NOW_MS).load()
        assert sorted(next_life.rows(NOW_MS), key=repr) == sorted(limited.rows(NOW_MS), key=repr)


async def test_a_flood_is_written_once_a_second_and_silence_never(autojump_clock: MockClock) -> None:
    limited, disk = limiter(), Disk()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper(limited, disk).serve)
        for number in range(30):
            guess(limited, f"203.0.113.{number}")
            await trio.sleep(0.1)
        assert len(disk.writes) == 3 / FLUSH_INTERVAL_S
        await trio.sleep(60)
        assert len(disk.writes) == 3 / FLUSH_INTERVAL_S
        assert {f"203.0.113.{number}" for number in range(30)} < disk.sources
        nursery.cancel_scope.cancel()


async def test_what_a_full_disk_did_not_take_is_written_later(caplog: pytest.LogCaptureFixture) -> None:
    limited, disk = limiter(), Disk()
    kept = keeper(limited, disk)
    disk.is_full = True
    with caplog.at_level(logging.WARNING):
        for address in ("203.0.113.1", "203.0.113.2"):
            guess(limited, address)
            await kept.flush()
    assert [record.message for record in caplog.records] == ["limits not written"]
    disk.is_full = False
    await kept.flush()
    assert disk.sources == {"203.0.113.1", "203.0.113.2", "*"}
    await kept.flush()
    assert disk.writes == ["save", "replace", "replace"]


async def test_a_flush_that_was_cancelled_loses_nothing(autojump_clock: MockClock) -> None:
    limited, disk = limiter(), Disk()
    kept = keeper(limited, disk)
    guess(limited, "203.0.113.1")
    disk.takes_s = 60
    with trio.move_on_after(1) as scope:
        await kept.flush()
    assert scope.cancelled_caught
    disk.takes_s = 0
    await kept.flush()
    assert "203.0.113.1" in disk.sources


async def test_what_is_too_old_goes_from_the_disk_too(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        store = LimitStore(database)
        limited = limiter()
        guess(limited, "203.0.113.7")
        await LimitKeeper(limited, store, now_ms=lambda: NOW_MS).flush()
        later = NOW_MS + FORGOTTEN_AFTER_MS + 1
        kept = LimitKeeper(limiter(), store, now_ms=lambda: later)
        await kept.load()
        await kept.flush()
        assert await store.load() == ()


async def test_the_key_of_the_digests_is_made_once(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        key = await limiter_key(Facts(database))
        assert len(key) == 32
        assert await limiter_key(Facts(database)) == key
