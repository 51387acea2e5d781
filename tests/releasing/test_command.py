"""`scripts/release`, as the people do it who release."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from openclawd.config.model import Config
from openclawd.update.trust import trust_of
from scripts.releasing.command import main
from scripts.releasing.keys import read_public
from scripts.releasing.repository import Repository
from tests.releasing.test_archive import build
from tests.update.released import new_host
from tests.update.web_server import WebServer

NOW = datetime.now(UTC).replace(microsecond=0)


@attrs.frozen
class Ran:
    code: int
    out: str
    err: str


@attrs.define
class Person:
    """Somebody with a folder of keys, at a time."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    now: datetime = NOW

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def repository(self) -> Repository:
        return Repository(self.folder / "release", self.now)

    def __call__(self, command: str, *words: str, keys: Path | None = None) -> Ran:
        """With `keys`, or with the own ones where the command takes some."""
        self.capture.readouterr()
        (self.folder / "passphrase").write_text("open sesame\n")
        takes = command in ("key", "init", "sign", "publish", "renew")
        with_keys = ["--keys", str(keys or self.keys), "--passphrase-file", str(self.folder / "passphrase")]
        repository = ["--repository", str(self.folder / "release")]
        code = main([*repository, command, *words, *(with_keys if takes else [])], now=lambda: self.now)
        captured = self.capture.readouterr()
        return Ran(code, captured.out, captured.err)

    def well(self, command: str, *words: str, keys: Path | None = None) -> str:
        ran = self(command, *words, keys=keys)
        assert ran.code == 0, ran.err
        return ran.out

    def versions(self) -> dict[str, int]:
        found = {
            role: self.repository.published(role) for role in ("root", "targets", "snapshot", "timestamp")
        }
        return {role: each.signed.version for role, each in found.items() if each is not None}


@pytest.fixture
def person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Person:
    return Person(tmp_path, capsys)


@pytest.fixture
def begun(person: Person) -> Person:
    """A repository without a release."""
    person.well("init")
    person.well("publish")
    return person


@pytest.fixture
def build_of(tmp_path: Path) -> Callable[[str], str]:
    return lambda version: str(build(tmp_path / "built" / version))


def test_a_first_time_makes_the_keys_and_says_what_is_next(person: Person) -> None:
    said = person.well("init")
    assert {file.name for file in person.keys.glob("*.key")} == {
        f"{name}.key" for name in ("root-1", "root-2", "root-3", "targets", "snapshot", "timestamp")
    }
    assert "root: 2 of 3 keys" in said
    assert "scripts/release publish" in said


def test_a_private_key_is_its_owners_and_encrypted(person: Person) -> None:
    person.well("key", "root-alice")
    file = person.keys / "root-alice.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in file.read_bytes()
    assert person.keys.stat().st_mode & 0o777 == 0o700


def test_a_key_is_never_replaced(person: Person) -> None:
    person.well("key", "targets")
    before = (person.keys / "targets.key").read_bytes()
    assert "is there already" in person("key", "targets").err
    assert (person.keys / "targets.key").read_bytes() == before


def test_a_key_is_called_by_its_role(person: Person) -> None:
    assert "a key is called by its role" in person("key", "alice").err


def test_a_wrong_passphrase_signs_nothing(begun: Person) -> None:
    begun.well("extend", "targets")
    (begun.keys / "targets.key").write_bytes((begun.keys / "root-1.key").read_bytes()[:-40])
    assert "the passphrase does not fit" in begun("publish").err


def test_a_release_is_published_in_two_commands(begun: Person, build_of: Callable[[str], str]) -> None:
    begun.well("add", build_of("1.1.0"), "--version", "1.1.0", "--notes", "New.", "--minimum", "1.0.0")
    begun.well("publish")
    targets = begun.repository.published("targets")
    assert targets is not None
    (path,) = targets.signed.targets
    assert path == "stable/openclawd-1.1.0-linux-x86_64.tar.gz"
    custom = targets.signed.targets[path].custom
    assert (custom["notes"], custom["minimum"], custom["glibc"]) == ("New.", "1.0.0", "2.17")


def test_a_version_is_released_once(begun: Person, build_of: Callable[[str], str]) -> None:
    folder = build_of("1.1.0")
    begun.well("add", folder, "--version", "1.1.0")
    begun.well("publish")
    assert "needs another version" in begun("add", folder, "--version", "1.1.0").err


def test_what_is_not_signed_is_not_published(begun: Person, build_of: Callable[[str], str]) -> None:
    begun.well("add", build_of("1.1.0"), "--version", "1.1.0")
    (begun.keys / "targets.key").rename(begun.folder / "elsewhere.key")
    before = begun.versions()
    ran = begun("publish")
    assert (ran.code, "draft/targets.json lacks 1 signature" in ran.err) == (1, True)
    assert begun.versions() == before


def test_without_its_key_there_is_no_timestamp(begun: Person) -> None:
    (begun.keys / "timestamp.key").unlink()
    assert "the timestamp cannot be signed" in begun("renew").err


def test_a_root_is_signed_by_people_who_never_meet(tmp_path: Path, person: Person) -> None:
    """Each has a key at home; the draft goes from one to the other."""
    homes = {name: tmp_path / name for name in ("alice", "bob", "carol")}
    for name, home in homes.items():
        person.well("key", f"root-{name}", keys=home)
        person.keys.mkdir(exist_ok=True)
        (person.keys / f"root-{name}.pub").write_bytes((home / f"root-{name}.pub").read_bytes())
    person.well("init")
    assert "lacks 2 signatures" in person("publish").err
    assert "draft/root.json lacks 1 of its signatures" in person.well("sign", keys=homes["alice"])
    # Whoever signs twice is one person.
    assert "draft/root.json lacks 1 of its signatures" in person.well("sign", keys=homes["alice"])
    assert "draft/root.json is signed by enough keys" in person.well("sign", keys=homes["carol"])
    person.well("publish")
    assert person.versions()["root"] == 1


def test_a_new_key_needs_the_word_of_the_old_ones(begun: Person, tmp_path: Path) -> None:
    thief = tmp_path / "thief"
    begun.well("key", "root-thief", keys=thief)
    public = str(thief / "root-thief.pub")
    revoked = [f"--revoke={begun.keys / f'root-{number}.pub'}" for number in (1, 2, 3)]
    begun.well("rotate", "root", "--add", public, *revoked, "--threshold", "1")
    begun.well("sign", keys=thief)
    assert "draft/root.json lacks 2 signatures" in begun("publish", keys=thief).err


def test_a_lost_key_is_replaced(begun: Person, tmp_path: Path) -> None:
    root = (begun.repository.metadata / "1.root.json").read_bytes()
    begun.well("key", "targets-2")
    lost = str(begun.keys / "targets.pub")
    begun.well("rotate", "targets", "--add", str(begun.keys / "targets-2.pub"), "--revoke", lost)
    (begun.keys / "targets.key").unlink()
    begun.well("publish")
    assert begun.repository.key_ids("targets") == {read_public(begun.keys / "targets-2.pub").keyid}
    # Whoever has the first root only believes it.
    with WebServer(begun.repository.folder / "public").serving() as server:
        assert new_host(tmp_path / "host", root).fetch(server.url) is None


@pytest.mark.parametrize("threshold", ["0", "4"])
def test_a_threshold_that_cannot_be_met_is_refused(begun: Person, threshold: str) -> None:
    assert "keys cannot be" in begun("rotate", "root", "--threshold", threshold).err


def test_renewing_needs_the_timestamps_key_alone(begun: Person) -> None:
    for file in begun.keys.glob("*.key"):
        if file.name != "timestamp.key":
            file.unlink()
    before = begun.versions()
    begun.now += timedelta(days=7)
    begun.well("renew")
    assert begun.versions() == before | {"timestamp": before["timestamp"] + 1}
    timestamp = begun.repository.published("timestamp")
    assert timestamp is not None
    assert timestamp.signed.expires == begun.now + timedelta(days=14)


def test_a_snapshot_is_renewed_when_half_of_its_time_is_over(begun: Person) -> None:
    before = begun.versions()
    begun.now += timedelta(days=29)
    begun.well("renew")
    assert begun.versions()["snapshot"] == before["snapshot"]
    begun.now += timedelta(days=2)
    begun.well("renew")
    assert begun.versions()["snapshot"] == before["snapshot"] + 1


def test_a_withdrawn_version_leaves_the_list(begun: Person, build_of: Callable[[str], str]) -> None:
    begun.well("add", build_of("1.1.0"), "--version", "1.1.0")
    begun.well("publish")
    begun.well("withdraw", "1.1.0")
    begun.well("publish")
    assert "1.1.0" not in begun.well("status")


def test_status_tells_until_when_and_what_is_missing(begun: Person, build_of: Callable[[str], str]) -> None:
    begun.now += timedelta(days=4)
    begun.well("add", build_of("1.1.0"), "--version", "1.1.0")
    lines = begun.well("status").splitlines()
    assert [line.split() for line in lines if line.startswith("timestamp")] == [
        ["timestamp", "1", "10", "days", "left"]
    ]
    assert lines[-1] == "draft/targets.json lacks 1 of its signatures"


def test_a_bundle_says_until_when_it_can_be_used(
    begun: Person, build_of: Callable[[str], str], tmp_path: Path
) -> None:
    begun.well("add", build_of("1.1.0"), "--version", "1.1.0")
    begun.well("publish")
    said = begun.well("bundle", "--to", str(tmp_path / "x.tar"))
    assert f"{NOW + timedelta(days=14):%Y-%m-%d}" in said
    assert (tmp_path / "x.tar").is_file()


def test_a_timestamp_that_is_to_last_longer_has_a_snapshot_that_does(
    begun: Person, build_of: Callable[[str], str], tmp_path: Path
) -> None:
    begun.well("add", build_of("1.1.0"), "--version", "1.1.0")
    begun.well("publish")
    begun.well("renew", "--days", "90")
    said = begun.well("bundle", "--to", str(tmp_path / "x.tar"))
    assert f"{NOW + timedelta(days=90):%Y-%m-%d}" in said


def test_a_publication_that_died_is_done_again(begun: Person) -> None:
    before = begun.versions()
    begun.well("extend", "root")
    begun.well("sign")
    draft = (begun.repository.draft / "root.json").read_bytes()
    (begun.repository.metadata / "2.root.json").write_bytes(draft)
    begun.well("publish")
    assert begun.versions() == before | {"root": 2, "timestamp": before["timestamp"] + 1}
    assert not begun.repository.draft.exists()


def test_a_repository_is_begun_once(begun: Person) -> None:
    assert "is a repository already" in begun("init").err


def test_without_a_repository_every_command_says_how_to_begin(person: Person) -> None:
    for words in (("extend", "root"), ("publish",), ("sign",), ("withdraw", "1")):
        assert "scripts/release init" in person(*words).err


def test_the_root_is_put_where_builds_take_it_from(begun: Person, tmp_path: Path) -> None:
    begun.well(
        "embed", "--url", "https://a/openclawd", "--url", "https://b/", "--into", str(tmp_path / "update")
    )
    public = begun.repository.metadata / "1.root.json"
    assert (tmp_path / "update" / "root.json").read_bytes() == public.read_bytes()
    trust = trust_of(None, Config(), tmp_path / "none", built_in=tmp_path / "update")
    assert trust.urls == ("https://a/openclawd", "https://b/")
