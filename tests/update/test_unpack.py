"""An archive becomes a slot, all of it within, or nothing."""

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.slots.layout import Installation
from openclawd.update.staged import CannotUpdate
from openclawd.update.unpack import unpack
from tests.update.archives import Entry, file, folder, link, program, special, write_archive

ROOM = 1_000_000


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "root" / "installation")


def unpacked(
    installation: Installation, entries: list[Entry], *, room: int = ROOM, form: int = tarfile.PAX_FORMAT
) -> Path:
    installation.versions.mkdir(parents=True, exist_ok=True)
    archive = write_archive(installation.root.parent / "archive.tar.gz", entries, form=form)
    return unpack(archive, installation, "1.1.0", room)


def test_files_folders_and_links_are_as_they_were(installation: Installation) -> None:
    slot = unpacked(
        installation,
        [
            *program(),
            folder("top/_internal"),
            file("top/_internal/lib.so.1", b"library"),
            link("top/_internal/lib.so", "lib.so.1"),
            folder("top/licences"),
            link("top/licences/library", "../_internal/lib.so"),
        ],
    )
    assert slot == installation.slot("1.1.0")
    assert (slot / "licences" / "library").read_bytes() == b"library"
    assert os.readlink(slot / "_internal" / "lib.so") == "lib.so.1"  # noqa: PTH115


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_whole(installation: Installation, form: int) -> None:
    name = f"top/{'d' * 60}/{'e' * 60}/{'f' * 60}"
    slot = unpacked(installation, [*program(), file(name, b"deep")], form=form)
    assert (slot / name.removeprefix("top/")).read_bytes() == b"deep"


def test_everybody_may_read_it_and_nobody_else_may_write(installation: Installation) -> None:
    old = os.umask(0o077)
    try:
        slot = unpacked(installation, [*program(), file("top/x/data", mode=0o666)])
    finally:
        os.umask(old)
    assert (slot.stat().st_mode & 0o7777, (slot / "x").stat().st_mode & 0o7777) == (0o755, 0o755)
    assert (slot / "x" / "data").stat().st_mode & 0o7777 == 0o644
    assert (slot / "openclawd").stat().st_mode & 0o7777 == 0o755


def test_no_program_gets_rights_from_an_archive(installation: Installation) -> None:
    slot = unpacked(installation, [*program(), file("top/su", b"", 0o6777)])
    assert (slot / "su").stat().st_mode & 0o7777 == 0o755


def test_what_a_dead_updater_left_is_removed(installation: Installation) -> None:
    left = installation.versions / ".unpacking-1.1.0-00000000"
    (left / "_internal").mkdir(parents=True)
    unpacked(installation, program())
    assert [path.name for path in installation.versions.iterdir()] == ["1.1.0"]


# From the versions on: the archive, which is there.
OUTSIDE = "../../archive.tar.gz"


def sparse(name: str) -> Entry:
    entry, content = file(name)
    entry.pax_headers = {"GNU.sparse.map": "0,7", "GNU.sparse.size": "100000"}
    return entry, content


BAD: dict[str, list[Entry]] = {
    "an absolute path": [*program(), file("/etc/evil")],
    "a path that climbs": [*program(), file("top/../../evil")],
    "a path that climbs and returns": [*program(), file("top/x/../evil")],
    "a path through the same folder": [*program(), file("top/./evil")],
    "an empty part": [*program(), file("top//evil")],
    "two folders at the top": [*program(), file("other/evil")],
    "a file at the top": [file("openclawd", b"", 0o755)],
    "a control character in a name": [*program(), file("top/a\nb")],
    "an absolute link": [*program(), link("top/evil", "/etc/passwd")],
    "a link that climbs out": [*program(), link("top/evil", f"../{OUTSIDE}")],
    "a link that climbs out from a folder": [*program(), link("top/x/evil", f"../../{OUTSIDE}")],
    "a link that climbs out in its middle": [
        *program(),
        folder("top/x"),
        link("top/evil", f"x/../../{OUTSIDE}"),
    ],
    "a link that climbs out through another one": [
        *program(),
        link("top/x/y", "../openclawd"),
        folder("top/x/z"),
        link("top/up", "x/z"),
        link("top/evil", f"up/../../../{OUTSIDE}"),
    ],
    "a link to its own folder": [*program(), folder("top/x"), link("top/x/evil", "..")],
    "a link to nothing": [*program(), link("top/evil", "nothing")],
    "a link with an empty target": [*program(), link("top/evil", "")],
    "links that lead to each other": [*program(), link("top/a", "b"), link("top/b", "a")],
    "a file through a link": [*program(), folder("top/x"), link("top/y", "x"), file("top/y/evil")],
    "a folder through a link": [*program(), folder("top/x"), link("top/y", "x"), folder("top/y/z")],
    "a file in the place of a link": [*program(), file("top/x"), link("top/y", "x"), file("top/y")],
    "a link in the place of a file": [*program(), file("top/x"), link("top/x", "openclawd")],
    "a folder in the place of a file": [*program(), file("top/x"), folder("top/x")],
    "a file under a file": [*program(), file("top/x"), file("top/x/evil")],
    "a file twice": [*program(), file("top/x"), file("top/x")],
    "a hard link": [*program(), special("top/evil", tarfile.LNKTYPE, "top/openclawd")],
    "a hard link out": [*program(), special("top/evil", tarfile.LNKTYPE, "/etc/passwd")],
    "a device": [*program(), special("top/evil", tarfile.CHRTYPE)],
    "a disk": [*program(), special("top/evil", tarfile.BLKTYPE)],
    "a pipe": [*program(), special("top/evil", tarfile.FIFOTYPE)],
    "a file with holes": [*program(), sparse("top/evil")],
    "a kind that nobody knows": [*program(), special("top/evil", b"Z")],
    "no program": [folder("top"), file("top/readme")],
    "a program that cannot run": [folder("top"), file("top/openclawd", b"", 0o644)],
    "a program that is a link": [folder("top"), file("top/x", b"", 0o755), link("top/openclawd", "x")],
    "a program that is a folder": [folder("top"), folder("top/openclawd")],
    "nothing": [],
}


@pytest.mark.parametrize("entries", BAD.values(), ids=BAD.keys())
def test_an_archive_with_it_is_no_good(installation: Installation, entries: list[Entry]) -> None:
    with pytest.raises(CannotUpdate, match=r"the archive of 1\.1\.0 is no good"):
        unpacked(installation, entries)
    assert list(installation.versions.iterdir()) == []
    assert not list(installation.root.rglob("*evil*"))


def test_more_than_was_signed_is_refused_before_it_is_written(installation: Installation) -> None:
    with pytest.raises(CannotUpdate, match="more than was signed"):
        unpacked(installation, [*program(), file("top/large", bytes(200_000))], room=100_000)
    assert list(installation.versions.iterdir()) == []


def test_a_small_archive_of_endless_zeros_ends(installation: Installation, tmp_path: Path) -> None:
    """No entry says how large it is: this is all one header."""
    archive = tmp_path / "bomb.tar.gz"
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 50_000_000
    archive.write_bytes(gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(50_000_000)))
    installation.versions.mkdir(parents=True)
    with pytest.raises(CannotUpdate, match="more comes out of it than was signed"):
        unpack(archive, installation, "1.1.0", ROOM)


def test_entries_are_counted_whatever_they_hold(installation: Installation) -> None:
    with pytest.raises(CannotUpdate, match="more than 20000 files"):
        unpacked(installation, [*program(), *[folder("top")] * 20_000], room=100_000_000)


def test_many_folders_take_room(installation: Installation) -> None:
    with pytest.raises(CannotUpdate, match="more than was signed"):
        unpacked(installation, [*program(), folder("top/" + "/".join("d" * 300))])


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_half_an_archive_is_none(installation: Installation, tmp_path: Path, part: float) -> None:
    whole = write_archive(tmp_path / "whole.tar.gz", [*program(), file("top/data", os.urandom(5000))])
    data = whole.read_bytes()
    whole.write_bytes(data[: int(len(data) * part)])
    installation.versions.mkdir(parents=True)
    with pytest.raises(CannotUpdate):
        unpack(whole, installation, "1.1.0", ROOM)
    assert list(installation.versions.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"not an archive", gzip.compress(b"nor this")])
def test_something_else_is_no_archive(installation: Installation, tmp_path: Path, data: bytes) -> None:
    installation.versions.mkdir(parents=True)
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(data)
    with pytest.raises(CannotUpdate):
        unpack(archive, installation, "1.1.0", ROOM)


NAMES = st.sampled_from(["top", "a", "b", "..", ".", "", "openclawd", "/"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
ENTRIES = st.one_of(
    PATHS.map(lambda name: file(name, b"x", 0o755)),
    PATHS.map(folder),
    st.tuples(PATHS, PATHS | st.just(f"../{OUTSIDE}")).map(lambda pair: link(*pair)),
    st.tuples(PATHS, PATHS).map(lambda pair: special(pair[0], tarfile.LNKTYPE, pair[1])),
)


@given(entries=st.lists(ENTRIES, max_size=8))
def test_no_archive_reaches_out_of_its_slot(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]
) -> None:
    world = tmp_path_factory.mktemp("world")
    try:
        installation = Installation(world / "root" / "installation")
        try:
            slot = unpacked(installation, [*program(), *entries])
        except CannotUpdate:
            assert list(installation.versions.iterdir()) == []
            return
        assert [path.name for path in installation.versions.iterdir()] == ["1.1.0"]
        inside = slot.resolve()
        assert all(path.resolve().is_relative_to(inside) for path in slot.rglob("*"))
    finally:
        assert {path.name for path in world.iterdir()} == {"root"}
        assert {path.name for path in (world / "root").iterdir()} == {"archive.tar.gz", "installation"}
        shutil.rmtree(world)


FULL_DISK = """
import errno, sys
from pathlib import Path
from openclawd.slots.layout import Installation
from openclawd.update.unpack import unpack
installation = Installation(Path(sys.argv[1]))
try:
    unpack(Path(sys.argv[2]), installation, "1.1.0", 100_000_000)
except OSError as error:
    print(errno.errorcode[error.errno], list(installation.versions.iterdir()))
"""


def test_a_disk_that_fills_up_is_left_as_it_was(tmp_path: Path) -> None:
    archive = write_archive(
        tmp_path / "archive.tar.gz", [*program(), file("top/data", os.urandom(3_000_000))]
    )
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=1m none {disk}"
    alone = ["unshare", "--map-root-user", "--user", "--mount", "sh", "-c"]
    try:
        able = subprocess.run([*alone, mount], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare(1) here")
    if able.returncode:
        pytest.skip(f"no file system of one's own here: {able.stderr.decode().strip()}")
    words = [*alone, f'{mount} && exec "$@"', "sh", sys.executable, "-c", FULL_DISK, str(disk), str(archive)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    assert (ran.stdout, ran.stderr) == ("ENOSPC []\n", "")
