"""A version on trial has brought the database further, and goes again: the old one lives with that."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from openclawd.store.backup_files import backups_in
from openclawd.store.schema import MIGRATIONS
from tests.packaging.updating import NEW, OLD, Host, host
from tests.process.chats import MAIN, send
from tests.support.wire_client import wire_client

pytestmark = pytest.mark.binary


async def say(here: Host, run_id: str) -> list[str]:
    """Chat; the roles of what stands in the conversation then."""
    async with wire_client(here.port) as client:
        await client.connect(token=here.token)
        await send(client, run_id, "hello")
        await client.event("chat", runId=run_id, state="final")
        history = await client.call("chat.history", {"sessionKey": MAIN})
    return [message["role"] for message in history["messages"]]


async def test_the_old_version_reads_and_writes_what_the_one_on_trial_added_to(
    installed: Path, tmp_path: Path
) -> None:
    with host(installed, tmp_path, "adds to the database and dies a second later") as here:
        own = here.home / ".openclaw" / "openclawd"
        assert await say(here, "before") == ["user", "assistant"]
        updated = here.command("update", "run", NEW)
        assert "0.6.0 is back" in updated.stderr, updated.stderr
        here.until_it_serves(OLD)
        assert await say(here, "after") == ["user", "assistant"] * 2
        with closing(sqlite3.connect(own / "openclawd.sqlite3")) as database:
            moods = database.execute("SELECT mood FROM messages").fetchall()
            assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
        assert moods == [("",)] * 4
        # The updater's and the new version's own, which may be of one second.
        assert 1 <= len(backups_in(own / "backups")) <= 2, "of the moment before"
