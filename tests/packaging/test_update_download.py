"""The frozen binary gets a release as it was made by scripts/release, from a server or out of a file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from openclawd.slots.progress import Phase
from scripts.releasing.archive import built
from scripts.releasing.offline import write_bundle
from tests.packaging.updating import NEW, OLD, PATIENCE_S, Host, host
from tests.support.versions import variant
from tests.support.wire_client import WireClient, wire_client
from tests.update.released import BUILT_S, Releases, new_releases
from tests.update.web_server import WebServer, flipped

pytestmark = pytest.mark.binary


@pytest.fixture(scope="module")
def releases(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """NEW, as it would be built."""
    folder = tmp_path_factory.mktemp("releases")
    found = new_releases(folder / "release")
    build = built(variant(installed, folder / "new", NEW), NEW)
    found.repository.add(build, "stable", notes="Faster.", minimum=OLD, made_s=BUILT_S)
    found.publish()
    return found


@pytest.fixture
def server(releases: Releases) -> Iterator[WebServer]:
    with WebServer(releases.public).serving() as server:
        yield server


def trusting(here: Host, releases: Releases, *urls: str) -> Host:
    """With nothing but OLD installed, and told where to look."""
    slot = here.installation.slot(NEW)
    slot.rename(here.home / "not-installed")
    file = here.home / ".openclaw" / "openclaw.json"
    file.chmod(0o600)
    config = json.loads(file.read_text())
    root = here.home / "root.json"
    root.write_bytes(releases.root)
    config["openclawd"]["update"] |= {"urls": urls, "root": str(root)}
    file.write_text(json.dumps(config))
    return here


def test_a_release_is_found_downloaded_and_runs_under_the_same_process(
    installed: Path, tmp_path: Path, releases: Releases, server: WebServer
) -> None:
    with host(installed, tmp_path) as started:
        here, pid = trusting(started, releases, server.url), started.supervisor.pid
        found = json.loads(here.command("update", "check", "--json").stdout)
        assert (found["updateAvailable"]["latestVersion"], found["notes"]) == (NEW, "Faster.")
        assert found["command"] == "openclawd update run"
        updated = here.command("update", "run", "--json")
        assert updated.returncode == 0, updated.stdout + updated.stderr
        assert json.loads(updated.stdout)["outcome"] == "confirmed"
        assert (here.serves(), here.supervisor.pid, here.supervisor.ends) == (NEW, pid, [])
        assert not here.installation.download.exists()


async def test_a_client_has_it_and_hears_how_it_goes_on_across_the_restart(
    installed: Path, tmp_path: Path, releases: Releases, server: WebServer
) -> None:
    told: list[Phase] = []
    with host(installed, tmp_path) as started:
        here = trusting(started, releases, server.url)
        async with wire_client(here.port) as client:
            await client.connect(token=here.token, protocol=(4, 4))
            found = await client.call("openclawd.update.status", {"refresh": True})
            assert (found["version"], found["updatesItself"], found["notes"]) == (OLD, True, "Faster.")
            assert found["updateAvailable"]["latestVersion"] == NEW
            answer = await patiently(client, await client.request("update.run", {"note": "go on"}))
            assert (answer["ok"], answer["result"]["status"]) == (True, "ok"), answer
            assert answer["result"]["after"] == {"version": NEW}
            assert (answer["restart"]["ok"], answer["sentinel"]["persisted"]) == (True, True)
            assert (await client.closed())[0] == 1012
            told += phases_in(client)
        async with wire_client(here.port) as client:
            hello = await client.connect(token=here.token, protocol=(4, 4))
            assert hello["server"]["version"] == NEW
            assert "updateAvailable" not in hello["snapshot"]
            trial = (await client.call("openclawd.update.status"))["trial"]
            assert (trial["from"], trial["to"]) == (OLD, NEW)
            end = await client.event("openclawd.update", phase="confirmed", patience_s=PATIENCE_S)
            assert end["payload"] == {"phase": "confirmed", "from": OLD, "to": NEW}
            after = await client.call("openclawd.update.status")
            assert (after["last"]["outcome"], after["previous"]) == ("confirmed", OLD)
            assert (await client.call("update.status"))["sentinel"]["status"] == "ok"
        await nothing_is_left_of_the_updater(here.supervisor.pid)
    assert "examining" in told
    assert told == sorted(told, key=list(Phase).index), "in their order, as far as they were seen"


async def nothing_is_left_of_the_updater(gateway: int) -> None:
    """It was the gateway's child; a gateway that does not look after it has a zombie until it ends."""
    children = trio.Path(f"/proc/{gateway}/task/{gateway}/children")
    with trio.fail_after(PATIENCE_S):
        while (await children.read_text()).strip():  # noqa: ASYNC110  the kernel tells nobody
            await trio.sleep(0.1)


async def patiently(client: WireClient, request_id: str) -> dict[str, Any]:
    """The answer, which takes as long as a download."""
    while (frame := await client.next_frame(patience_s=PATIENCE_S)).get("id") != request_id:
        client.seen.append(frame)
    return dict(frame["payload"])


def phases_in(client: WireClient) -> list[Phase]:
    """What it has heard of an update."""
    told = (frame["payload"] for frame in client.seen if frame.get("event") == "openclawd.update")
    return [Phase(payload["phase"]) for payload in told]


def test_a_release_comes_out_of_a_file_on_a_host_without_a_network(
    installed: Path, tmp_path: Path, releases: Releases
) -> None:
    write_bundle(releases.repository, NEW, tmp_path / "x.tar")
    with host(installed, tmp_path, start=False) as stopped:
        here = trusting(stopped, releases)
        updated = here.command("update", "run", "--json", "--bundle", str(tmp_path / "x.tar"))
        assert json.loads(updated.stdout)["outcome"] == "waiting", updated.stderr
        assert here.installation.current_version() == NEW


def test_a_damaged_release_leaves_the_old_version_and_says_why(
    installed: Path, tmp_path: Path, releases: Releases, server: WebServer
) -> None:
    server.bad[".tar.gz"] = flipped
    with host(installed, tmp_path, start=False) as stopped:
        here = trusting(stopped, releases, server.url)
        updated = here.command("update", "run")
        assert updated.returncode == 1
        assert "is not the one that was signed" in updated.stderr
        assert here.installation.slots() == [OLD]
        status = here.status()
        assert (status["version"], status["last"]["outcome"]) == (OLD, "failed")
