"""`openclawd update check`: is there a newer version, and which command brings it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from openclawd import __version__
from tests.cli.conftest import Shell
from tests.update.released import Releases, new_releases
from tests.update.web_server import WebServer


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    found = new_releases(tmp_path_factory.mktemp("check") / "release")
    found.add("999.0.0", notes="Everything is faster.")
    found.add("1000.0.0b1", channel="beta")
    found.publish()
    return found


@pytest.fixture
def server(releases: Releases) -> Iterator[WebServer]:
    with WebServer(releases.public).serving() as server:
        yield server


def configure(shell: Shell, url: str, root: Path, channel: str = "stable") -> None:
    shell.write_config(
        f'{{update: {{channel: "{channel}"}}, openclawd: {{update: {{urls: ["{url}"], root: "{root}"}}}}}}'
    )


def test_it_names_the_newer_version_and_the_command(
    shell: Shell, server: WebServer, releases: Releases
) -> None:
    configure(shell, server.url, releases.public / "metadata" / "1.root.json")
    ran = shell("update", "check")
    assert ran.code == 0
    assert "999.0.0" in ran.out
    assert "Everything is faster." in ran.out
    # The tests run from a source tree, which git replaces.
    assert ran.out.splitlines()[-1].startswith("git -C ")


def test_programs_get_it_in_stocks_shape(shell: Shell, server: WebServer, releases: Releases) -> None:
    configure(shell, server.url, releases.public / "metadata" / "1.root.json", "dev")
    found = shell("update", "check", "--json").json
    assert found["updateAvailable"] == {
        "currentVersion": __version__,
        "latestVersion": "1000.0.0b1",
        "channel": "beta",
    }
    assert found["installedBy"] == "source"


def test_nothing_newer_is_said(shell: Shell, tmp_path: Path) -> None:
    empty = new_releases(tmp_path / "release")
    with WebServer(empty.public).serving() as server:
        configure(shell, server.url, empty.public / "metadata" / "1.root.json")
        assert "Nothing is newer" in shell("update", "check").out
        assert shell("update", "check", "--json").json["updateAvailable"] is None


def test_a_machine_that_is_left_behind_is_told(shell: Shell, tmp_path: Path) -> None:
    left = new_releases(tmp_path / "release")
    left.add("999.0.0", minimum="998")
    left.publish()
    with WebServer(left.public).serving() as server:
        configure(shell, server.url, left.public / "metadata" / "1.root.json")
        said = shell("update", "check").out
        assert said.startswith("Nothing that fits is newer")
        reason = f"it can only follow 998 or newer, and {__version__} is installed"
        assert said.splitlines()[-1] == f"999.0.0 is not for this machine: {reason}."
        unfit = shell("update", "check", "--json").json["unfit"]
    assert unfit == {"version": "999.0.0", "reason": reason}


def test_nothing_of_a_look_stays(shell: Shell, server: WebServer, releases: Releases) -> None:
    configure(shell, server.url, releases.public / "metadata" / "1.root.json")
    before = sorted(shell.state_dir.rglob("*"))
    shell("update", "check")
    assert sorted(shell.state_dir.rglob("*")) == before


def test_a_place_that_is_not_there_is_a_sentence(shell: Shell, releases: Releases) -> None:
    configure(shell, "http://127.0.0.1:1", releases.public / "metadata" / "1.root.json")
    ran = shell("update", "check")
    assert ran.code == 1
    assert ran.err.startswith("No news of versions: http://127.0.0.1:1 cannot be reached")


def test_a_program_without_keys_says_what_it_needs(shell: Shell) -> None:
    ran = shell("update", "check")
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == "openclawd config set openclawd.update.root FILE"


def test_a_failure_for_programs_is_json(shell: Shell) -> None:
    assert "built without the keys" in shell("update", "check", "--json").json["error"]["message"]
