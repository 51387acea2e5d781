"""`scripts/release`, as the people do it who release."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from openclawd.config.model import Config
from openclawd.update.trust import trust_of
from scripts.releasing.command import main
from scripts.releasing.fault import Fault
from scripts.releasing.keys import passphrase_of, read_public
from scripts.releasing.repository import Repository
from tests.releasing.test_archive import ARM, X86, build, made
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


def archives(person: Person) -> list[Path]:
    return sorted((person.folder / "release" / "public" / "targets").rglob("*.tar.gz"))


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
def build_of(begun: Person, tmp_path: Path) -> Callable[[str], str]:
    """A build of a version that believes this repository."""
    root = (begun.repository.metadata / "1.root.json").read_bytes()
    return lambda version: str(made(tmp_path / "built" / version, version, root))


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
    begun.well("add", build_of("1.1.0"), "--notes", "New.", "--minimum", "1.0.0")
    begun.well("publish")
    targets = begun.repository.published("targets")
    assert targets is not None
    (path,) = targets.signed.targets
    assert path == "stable/openclawd-1.1.0-linux-x86_64.tar.gz"
    custom = targets.signed.targets[path].custom
    assert (custom["notes"], custom["minimum"], custom["glibc"]) == ("New.", "1.0.0", "2.17")


def test_a_version_is_released_once(begun: Person, build_of: Callable[[str], str]) -> None:
    folder = Path(build_of("1.1.0"))
    begun.well("add", str(folder))
    begun.well("publish")
    (folder / "_internal" / "text").write_bytes(b"changed")
    # Neither in another channel nor when it was taken back meanwhile.
    begun.well("withdraw", "1.1.0")
    begun.well("publish")
    for words in ([], ["--channel", "beta"]):
        assert "needs another version" in begun("add", str(folder), *words).err
    assert [file.name[:4] for file in archives(begun)] == [archives(begun)[0].name[:4]]


def test_what_was_tried_as_beta_becomes_stable_as_it_is(
    begun: Person, build_of: Callable[[str], str]
) -> None:
    folder = build_of("1.1.0")
    begun.well("add", folder, "--channel", "beta")
    begun.well("publish")
    begun.well("add", folder)
    begun.well("publish")
    beta, stable = archives(begun)
    assert (beta.parent.name, stable.parent.name) == ("beta", "stable")
    assert beta.read_bytes() == stable.read_bytes()


def test_a_draft_is_replaced_by_the_next_try(begun: Person, build_of: Callable[[str], str]) -> None:
    """Nobody has seen it; and nothing of it is left to be uploaded."""
    folder = Path(build_of("1.1.0"))
    begun.well("add", str(folder), "--notes", "One.")
    (first,) = archives(begun)
    (folder / "_internal" / "text").write_bytes(b"changed")
    begun.well("add", str(folder), "--notes", "Two.")
    (second,) = archives(begun)
    assert first != second
    begun.well("withdraw", "1.1.0")
    assert archives(begun) == []


def test_a_machine_is_added_to_a_version_that_is_out(begun: Person, build_of: Callable[[str], str]) -> None:
    folder = Path(build_of("1.1.0"))
    assert (folder / "openclawd").read_bytes() == X86
    begun.well("add", str(folder))
    begun.well("publish")
    (folder / "openclawd").write_bytes(ARM)
    begun.well("add", str(folder))
    begun.well("publish")
    paths = [line for line in begun.well("status").splitlines() if line.startswith("stable/")]
    assert paths == [f"stable/openclawd-1.1.0-linux-{each}.tar.gz" for each in ("aarch64", "x86_64")]
    withdrawn = begun.well("withdraw", "1.1.0")
    assert withdrawn.count("without stable/") == 2


def test_what_no_machine_would_take_is_not_added(begun: Person, build_of: Callable[[str], str]) -> None:
    """They pass over a target that they cannot read, without a word."""
    assert "no machine would take" in begun("add", build_of("1.1.0"), "--minimum", "the first").err
    assert "no machine would take" in begun("add", build_of("nightly")).err
    assert archives(begun) == []


def test_a_build_that_would_strand_its_hosts_is_doubted(
    begun: Person, tmp_path: Path, build_of: Callable[[str], str]
) -> None:
    assert begun("add", build_of("1.0.0")).err == ""
    assert "it believes no keys" in begun("add", str(made(tmp_path / "a", "1.1.0", None))).err
    assert "it believes other keys" in begun("add", str(made(tmp_path / "b", "1.2.0", b"{}"))).err


def test_a_build_that_no_commit_has_is_doubted(begun: Person, tmp_path: Path) -> None:
    folder = made(tmp_path / "a", "1.1.0", None, changed=True)
    assert "built from files that no commit has" in begun("add", str(folder)).err


def test_a_folder_that_does_not_say_what_it_is_is_no_build(begun: Person, tmp_path: Path) -> None:
    assert "it: packaging/build" in begun("add", str(build(tmp_path / "a"))).err


def test_what_is_not_signed_is_not_published(begun: Person, build_of: Callable[[str], str]) -> None:
    begun.well("add", build_of("1.1.0"))
    (begun.keys / "targets.key").rename(begun.folder / "elsewhere.key")
    before = begun.versions()
    ran = begun("publish")
    assert (ran.code, "draft/targets.json lacks 1 signature" in ran.err) == (1, True)
    assert begun.versions() == before


def test_without_its_key_there_is_no_timestamp(begun: Person) -> None:
    (begun.keys / "timestamp.key").unlink()
    assert "the timestamp cannot be signed" in begun("renew").err


def test_who_signs_sees_what(begun: Person, build_of: Callable[[str], str]) -> None:
    begun.well("add", build_of("1.1.0"), "--notes", "New.")
    begun.well("key", "targets-2")
    new, old = (read_public(begun.keys / f"{name}.pub").keyid for name in ("targets-2", "targets"))
    begun.well(
        "rotate",
        "targets",
        f"--add={begun.keys / 'targets-2.pub'}",
        f"--revoke={begun.keys / 'targets.pub'}",
    )
    lines = begun.well("sign").splitlines()
    assert lines[1:3] == [f"  - targets key {old}", f"  + targets key {new}"]
    (added,) = (line for line in lines if line.startswith("  + stable/"))
    assert added.split()[1] == "stable/openclawd-1.1.0-linux-x86_64.tar.gz"
    assert added.split()[2] == archives(begun)[0].name.partition(".")[0]


def test_a_key_that_may_sign_nothing_says_so(begun: Person, tmp_path: Path) -> None:
    begun.well("extend", "targets")
    begun.well("key", "targets-mine", keys=tmp_path / "mine")
    ran = begun("sign", keys=tmp_path / "mine")
    assert (ran.code, "may sign the targets" in ran.err) == (1, True)
    begun.well("publish")
    assert "no draft to sign" in begun("sign").err


def test_a_private_key_signs_without_its_public_half(begun: Person) -> None:
    begun.well("extend", "targets")
    (begun.keys / "targets.pub").unlink()
    assert "draft/targets.json signed by" in begun.well("sign")


def test_nobody_to_ask_is_a_sentence(begun: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """As cron finds it."""

    def end(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", end)
    with pytest.raises(Fault, match=r"passphrase of timestamp: --passphrase-file"):
        passphrase_of(None)("timestamp")


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


def test_renewing_goes_on_without_the_snapshots_key_until_it_ends(begun: Person) -> None:
    """It is where nobody breaks in, and the timestamp's is where cron is."""
    (begun.keys / "snapshot.key").unlink()
    before = begun.versions()
    begun.now += timedelta(days=45)
    ran = begun("renew")
    assert (ran.code, begun.versions()["snapshot"]) == (0, before["snapshot"])
    assert "the snapshot is believed for 15 more days" in ran.err
    begun.now += timedelta(days=2)
    assert "the snapshot cannot be signed" in begun("renew").err


def test_renewing_leaves_the_drafts_to_those_who_sign_them(
    begun: Person, build_of: Callable[[str], str]
) -> None:
    begun.well("add", build_of("1.1.0"))
    begun.well("key", "timestamp-2")
    begun.well("rotate", "timestamp", f"--add={begun.keys / 'timestamp-2.pub'}")
    begun.well("sign")
    before = begun.versions()
    begun.well("renew")
    assert begun.versions() == before | {"timestamp": before["timestamp"] + 1}
    assert begun.repository.drafted("root") is not None
    assert begun.repository.drafted("targets") is not None
    begun.well("publish")
    assert begun.versions()["root"] == 2


def test_whoever_renews_hears_what_ends_soon(begun: Person) -> None:
    assert begun("renew").err == ""
    begun.now += timedelta(days=310)
    said = begun("renew").err.splitlines()
    assert said == [
        f"the {role} is believed for 55 more days: scripts/release extend {role}"
        for role in ("root", "targets")
    ]


def test_what_is_public_may_be_read_by_all_whatever_the_umask(
    begun: Person, build_of: Callable[[str], str]
) -> None:
    folder = build_of("1.1.0")
    shutil.rmtree(begun.folder / "release")
    before = os.umask(0o077)
    try:
        begun.well("init")
        begun.well("publish")
        begun.well("add", folder)
        begun.well("publish")
    finally:
        os.umask(before)
    public = [begun.folder / "release" / "public", *(begun.folder / "release" / "public").rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in public if path.is_dir()} == {0o755}
    assert {path.stat().st_mode & 0o777 for path in public if path.is_file()} == {0o644}


def test_what_lies_beside_is_no_metadata(begun: Person) -> None:
    """A writer that died, and what macOS puts on a stick."""
    for name in (".2.root.json", "._1.root.json", "old.root.json"):
        (begun.repository.metadata / name).write_bytes(b"")
    assert begun.well("status").startswith("root          1 ")


def test_a_withdrawn_version_leaves_the_list(begun: Person, build_of: Callable[[str], str]) -> None:
    begun.well("add", build_of("1.1.0"))
    begun.well("publish")
    begun.well("withdraw", "1.1.0")
    begun.well("publish")
    assert "1.1.0" not in begun.well("status")


def test_status_tells_until_when_and_what_is_missing(begun: Person, build_of: Callable[[str], str]) -> None:
    begun.now += timedelta(days=4)
    begun.well("add", build_of("1.1.0"))
    lines = begun.well("status").splitlines()
    assert [line.split() for line in lines if line.startswith("timestamp")] == [
        ["timestamp", "1", "10", "days", "left,", "to", f"{NOW + timedelta(days=14):%Y-%m-%d}"]
    ]
    assert lines[-1] == "draft/targets.json lacks 1 of its signatures"


def test_a_bundle_says_until_when_it_can_be_used(
    begun: Person, build_of: Callable[[str], str], tmp_path: Path
) -> None:
    begun.well("add", build_of("1.1.0"))
    begun.well("publish")
    said = begun.well("bundle", "--to", str(tmp_path / "x.tar"))
    assert f"{NOW + timedelta(days=14):%Y-%m-%d}" in said
    assert (tmp_path / "x.tar").is_file()


def test_a_timestamp_that_is_to_last_longer_has_a_snapshot_that_does(
    begun: Person, build_of: Callable[[str], str], tmp_path: Path
) -> None:
    begun.well("add", build_of("1.1.0"))
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
    for words in (
        ("extend", "root"),
        ("publish",),
        ("sign",),
        ("withdraw", "1"),
        ("status",),
        ("renew",),
        ("embed", "--url", "https://a"),
    ):
        assert "scripts/release init" in person(*words).err


def test_the_root_is_put_where_builds_take_it_from(begun: Person, tmp_path: Path) -> None:
    begun.well(
        "embed", "--url", "https://a/openclawd", "--url", "https://b/", "--into", str(tmp_path / "update")
    )
    public = begun.repository.metadata / "1.root.json"
    assert (tmp_path / "update" / "root.json").read_bytes() == public.read_bytes()
    trust = trust_of(None, Config(), tmp_path / "none", built_in=tmp_path / "update")
    assert trust.urls == ("https://a/openclawd", "https://b/")
