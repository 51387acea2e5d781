"""Single values survive a restart."""

from pathlib import Path

from openclawd.store.database import open_database
from openclawd.store.facts import Facts


async def test_a_fact_is_there_after_a_restart_as_it_was_put_last(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    async with open_database(path) as database:
        await Facts(database).put("limiter key", b"\x00first")
        await Facts(database).put("limiter key", b"\xffsecond")
    async with open_database(path) as database:
        assert await Facts(database).get("limiter key") == b"\xffsecond"


async def test_what_was_never_put_is_none(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        assert await Facts(database).get("nothing") is None
