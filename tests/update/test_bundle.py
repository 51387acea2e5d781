"""A release in one file, for a host that reaches no repository."""

import tarfile
from pathlib import Path

import pytest

from openclawd.update.bundle import Bundle
from openclawd.update.staged import CannotUpdate
from scripts.releasing.offline import newest_version, write_bundle
from tests.update.archives import file, link, write_archive
from tests.update.released import Releases, UpdatingHost, new_host, new_releases


def bundled(releases: Releases, into: Path, version: str = "1.1.0") -> Path:
    write_bundle(releases.repository, version, into)
    return into


def test_a_version_comes_out_of_it_without_a_network(
    releases: Releases, host: UpdatingHost, tmp_path: Path
) -> None:
    releases.release("1.1.0")
    staged = host.fetch(bundle=bundled(releases, tmp_path / "x.tar"))
    assert staged is not None
    assert (staged.folder / "_internal" / "data").read_text() == "1.1.0" * 1000
    assert host.left_behind() == {"1.1.0"}


def test_what_it_does_not_hold_is_not_chosen(releases: Releases, host: UpdatingHost, tmp_path: Path) -> None:
    releases.release("1.1.0")
    releases.release("1.2.0")
    staged = host.fetch(bundle=bundled(releases, tmp_path / "x.tar"))
    assert staged is not None
    assert staged.version == "1.1.0"


def test_keys_that_changed_since_are_followed(releases: Releases, host: UpdatingHost, tmp_path: Path) -> None:
    for _ in range(2):
        releases.repository.extend("root")
        releases.publish()
    releases.release("1.1.0")
    assert host.fetch(bundle=bundled(releases, tmp_path / "x.tar")) is not None


def test_one_that_is_too_old_is_not_believed(tmp_path: Path) -> None:
    releases = new_releases(tmp_path / "release", days_ago=20)
    releases.release("1.1.0")
    host = new_host(tmp_path / "host", releases.root)
    with pytest.raises(CannotUpdate, match="expired"):
        host.fetch(bundle=bundled(releases, tmp_path / "x.tar"))


def test_one_of_somebody_else_is_not_believed(host: UpdatingHost, tmp_path: Path) -> None:
    other = new_releases(tmp_path / "other")
    other.release("6.6.6")
    with pytest.raises(CannotUpdate, match="not signed by the keys"):
        host.fetch(bundle=bundled(other, tmp_path / "x.tar", "6.6.6"))
    assert host.left_behind() == set()


@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
def test_half_of_one_changes_nothing(
    releases: Releases, host: UpdatingHost, tmp_path: Path, part: float
) -> None:
    releases.release("1.1.0")
    whole = bundled(releases, tmp_path / "x.tar")
    data = whole.read_bytes()
    whole.write_bytes(data[: int(len(data.rstrip(bytes(1))) * part)])
    with pytest.raises(CannotUpdate, match="cannot be read to its end"):
        host.fetch(bundle=whole)
    assert host.left_behind() == set()


def test_a_link_in_it_is_no_file(tmp_path: Path) -> None:
    bad = tmp_path / "x.tar"
    with tarfile.open(bad, "w") as archive:
        archive.addfile(link("metadata/timestamp.json", "/etc/passwd")[0])
    with pytest.raises(CannotUpdate, match="holds no signatures"):
        Bundle(bad)


def test_an_archive_of_a_program_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(CannotUpdate, match=r"is no \.tar"):
        Bundle(write_archive(tmp_path / "x.tar.gz", [file("top/openclawd")]))


# Of a size that is none, tarfile makes many things: an endless circle among them.
LIES = (b"\xff" * 10 + b"\xfc\0", b"\xff" * 12, b"77777777777\0", b"\x80" + b"\xff" * 11, b"-0000001000\0")


@pytest.mark.parametrize("size", LIES)
@pytest.mark.parametrize("number", [0, 1, -1])
def test_a_head_that_lies_about_its_size_ends_it(
    releases: Releases, tmp_path: Path, size: bytes, number: int
) -> None:
    write_bundle(releases.repository, "1.0.0", bad := tmp_path / "x.tar")
    with tarfile.open(bad) as archive:
        at = archive.getmembers()[number].offset_data - tarfile.BLOCKSIZE
    data = bytearray(bad.read_bytes())
    head = data[at : at + tarfile.BLOCKSIZE]
    head[124:136], head[148:156] = size, b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    data[at : at + tarfile.BLOCKSIZE] = head
    bad.write_bytes(data)
    with pytest.raises(CannotUpdate, match="cannot be read"):
        Bundle(bad)


def test_one_that_is_not_there_is_named(host: UpdatingHost, tmp_path: Path) -> None:
    with pytest.raises(CannotUpdate, match=r"nothing\.tar cannot be read: No such file"):
        host.fetch(bundle=tmp_path / "nothing.tar")


def test_the_newest_of_a_channel_is_bundled(releases: Releases) -> None:
    for version in ("1.9.0", "1.10.0"):
        releases.add(version)
    releases.add("2.0.0b1", channel="beta")
    releases.publish()
    assert newest_version(releases.repository, "stable") == "1.10.0"
    assert newest_version(releases.repository, "beta") == "2.0.0b1"
