"""A version comes from a repository into its slot, or it does not, and then nothing has changed."""

import errno
import os
from pathlib import Path

import pytest

from openclawd.slots.layout import Installation
from openclawd.slots.progress import Phase
from openclawd.update.fetch import _cannot
from openclawd.update.releases import Host
from openclawd.update.staged import CannotUpdate
from tests.update.released import Releases, UpdatingHost
from tests.update.web_server import WebServer, endless, flipped, missing, shortened, status, truncated


def test_the_newest_version_is_in_its_slot_and_the_current_one_stays(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    releases.release("1.1.0")
    staged = host.fetch(server.url)
    assert staged is not None
    assert staged.version == "1.1.0"
    assert staged.folder == host.installation.slot("1.1.0")
    assert (staged.folder / "_internal" / "data").read_text() == "1.1.0" * 1000
    assert host.installation.is_complete("1.1.0")
    assert host.installation.current_version() == "1.0.0"


def test_the_archive_is_gone_when_its_slot_is_there(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    releases.release("1.1.0")
    host.fetch(server.url)
    assert host.left_behind() == {"1.1.0"}


def test_it_tells_how_far_it_is(releases: Releases, server: WebServer, host: UpdatingHost) -> None:
    releases.release("1.1.0")
    host.fetch(server.url)
    assert [each.phase for each in host.told] == sorted(
        (each.phase for each in host.told), key=list(Phase).index
    )
    downloaded = [each for each in host.told if each.phase is Phase.DOWNLOADING]
    assert downloaded[0].done_bytes == 0
    assert downloaded[-1].done_bytes == downloaded[-1].total_bytes
    assert {(each.from_version, each.to_version) for each in host.told} == {("1.0.0", "1.1.0")}


def test_nothing_newer_is_nothing(server: WebServer, host: UpdatingHost) -> None:
    assert host.fetch(server.url) is None


def test_a_version_that_has_a_slot_is_not_downloaded_again(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    releases.release("1.1.0")
    host.fetch(server.url)
    server.asked.clear()
    assert host.fetch(server.url) is not None
    assert not [path for path in server.asked if "/targets/" in path]


def test_a_slot_that_cannot_run_is_made_anew(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    releases.release("1.1.0")
    host.fetch(server.url)
    host.installation.program("1.1.0").chmod(0o644)
    staged = host.fetch(server.url)
    assert staged is not None
    assert os.access(staged.folder / "openclawd", os.X_OK)


def test_an_older_version_comes_only_when_it_is_asked_for(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    releases.release("0.9.0")
    assert host.fetch(server.url) is None
    staged = host.fetch(server.url, wanted="0.9.0")
    assert staged is not None
    assert staged.version == "0.9.0"


def test_a_version_that_does_not_exist_is_named(server: WebServer, host: UpdatingHost) -> None:
    with pytest.raises(CannotUpdate, match=r"there is no 9\.9\.9 for"):
        host.fetch(server.url, wanted="9.9.9")


def test_a_version_for_another_machine_is_no_news(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    releases.add("2.0.0", host=Host("plan9", "mips", None))
    releases.publish()
    assert host.fetch(server.url) is None
    with pytest.raises(CannotUpdate, match="it is made for plan9 mips"):
        host.fetch(server.url, wanted="2.0.0")


def test_beta_is_for_those_who_want_it(releases: Releases, server: WebServer, host: UpdatingHost) -> None:
    releases.release("1.1.0b1", channel="beta")
    assert host.fetch(server.url) is None
    staged = host.fetch(server.url, channel="dev")
    assert staged is not None
    assert staged.version == "1.1.0b1"


def test_a_withdrawn_version_is_not_there_any_more(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    releases.release("1.1.0")
    releases.repository.withdraw("1.1.0")
    releases.publish()
    assert host.fetch(server.url) is None


def test_the_next_place_is_asked_when_the_first_has_nothing(
    releases: Releases, server: WebServer, host: UpdatingHost, tmp_path: Path
) -> None:
    releases.release("1.1.0")
    with WebServer(tmp_path / "empty").serving() as empty:
        staged = host.fetch("http://127.0.0.1:1", empty.url, server.url)
    assert staged is not None


def test_the_next_place_is_asked_for_an_archive_that_the_first_has_damaged(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    releases.release("1.1.0")
    with WebServer(releases.public, {".tar.gz": flipped}).serving() as damaged:
        staged = host.fetch(damaged.url, server.url)
        assert any(path.endswith(".tar.gz") for path in damaged.asked)
    assert staged is not None
    assert (staged.folder / "_internal" / "data").read_text() == "1.1.0" * 1000


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (truncated, "broke off in the middle"),
        (shortened, "broke off after"),
        (endless, "sends more than"),
        (flipped, "not the one that was signed"),
        (missing, "answers 404"),
        (status(503), "answers 503"),
    ],
)
def test_a_bad_archive_changes_nothing(
    releases: Releases, server: WebServer, host: UpdatingHost, answer: object, says: str
) -> None:
    releases.release("1.1.0")
    server.bad[".tar.gz"] = answer  # type: ignore[assignment]
    with pytest.raises(CannotUpdate, match=says) as refused:
        host.fetch(server.url)
    assert server.url in refused.value.reason
    assert host.left_behind() == set()
    assert host.installation.current_version() == "1.0.0"


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.targets.json", "2.root.json"])
@pytest.mark.parametrize("answer", [truncated, endless, status(500)])
def test_bad_metadata_changes_nothing(
    server: WebServer, host: UpdatingHost, name: str, answer: object
) -> None:
    server.bad[name] = answer  # type: ignore[assignment]
    with pytest.raises(CannotUpdate):
        host.fetch(server.url)
    assert host.left_behind() == set()


def test_after_a_bad_day_the_good_one_is_taken(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    releases.release("1.1.0")
    server.bad["snapshot.json"] = truncated
    with pytest.raises(CannotUpdate):
        host.fetch(server.url)
    server.bad.clear()
    assert host.fetch(server.url) is not None


def test_metadata_that_a_power_cut_emptied_is_fetched_anew(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    host.fetch(server.url)
    for file in host.installation.metadata.rglob("*.json"):
        file.write_bytes(b"")
    releases.release("1.1.0")
    assert host.fetch(server.url) is not None


def test_a_folder_that_cannot_be_used_is_named(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    releases.release("1.1.0")
    host.installation.download.write_text("")
    with pytest.raises(CannotUpdate, match="download: "):
        host.fetch(server.url)


def test_a_full_disk_is_called_so(tmp_path: Path) -> None:
    said = _cannot(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x"), Installation(tmp_path))
    assert said.reason == f"the disk of {tmp_path} is full"
    assert said.cure is not None
    assert said.cure.endswith(f"df -h {tmp_path}")


def test_no_place_to_ask_is_said(host: UpdatingHost) -> None:
    with pytest.raises(CannotUpdate, match="nothing says where versions come from"):
        host.fetch()
