"""A build becomes an archive: the same bytes each time, and a slot with the same files."""

import json
import os
import tarfile
from pathlib import Path

import pytest

from openclawd.slots.layout import Installation
from openclawd.update.unpack import unpack
from scripts.releasing.archive import Built, built, pack
from scripts.releasing.fault import Fault

X86 = b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little")
ARM = b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little")
MACOS = b"\xcf\xfa\xed\xfe" + (0x0100000C).to_bytes(4, "little") + bytes(12)


def build(folder: Path, program: bytes = X86) -> Path:
    (folder / "_internal").mkdir(parents=True)
    (folder / "openclawd").write_bytes(program)
    (folder / "openclawd").chmod(0o755)
    (folder / "_internal" / "lib.so.1").write_bytes(b"\x7fELF..\0GLIBC_2.17\0..\0GLIBC_2.9\0..")
    (folder / "_internal" / "lib.so").symlink_to("lib.so.1")
    (folder / "_internal" / "text").write_bytes(b"\0GLIBC_2.99\0")
    return folder


def made(folder: Path, version: str, root: bytes | None, *, changed: bool = False) -> Path:
    """One that says what it was built from, and whom it believes."""
    package = build(folder) / "_internal" / "openclawd"
    (package / "update").mkdir(parents=True)
    told = {"version": version, "commit": "abc", "changed": changed, "epoch": 1_700_000_000}
    (package / "build.json").write_text(json.dumps(told))
    if root is not None:
        (package / "update" / "root.json").write_bytes(root)
    return folder


@pytest.mark.parametrize(
    ("program", "system", "machine", "glibc"),
    [
        (X86, "linux", "x86_64", "2.17"),
        (ARM, "linux", "aarch64", "2.17"),
        (MACOS, "darwin", "arm64", None),
    ],
)
def test_the_program_tells_what_it_is_made_for(
    tmp_path: Path, program: bytes, system: str, machine: str, glibc: str | None
) -> None:
    found = built(build(tmp_path / "build", program), "1.1.0")
    assert (found.system, found.machine, found.glibc) == (system, machine, glibc)
    assert found.name == f"openclawd-1.1.0-{system}-{machine}.tar.gz"


@pytest.mark.parametrize("program", [b"#!/bin/sh\n", b"", b"\x7fELF" + bytes(20)])
def test_what_is_made_for_no_machine_is_no_release(tmp_path: Path, program: bytes) -> None:
    with pytest.raises(Fault, match="made for no machine"):
        built(build(tmp_path / "build", program), "1.1.0")


def test_a_folder_without_a_program_is_no_build(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="packaging/build"):
        built(tmp_path, "1.1.0")


def test_two_builds_of_the_same_files_are_the_same_archive(tmp_path: Path) -> None:
    first, second = build(tmp_path / "first"), tmp_path / "elsewhere"
    second.mkdir(mode=0o700)
    # In another order, at another time, of another user's taste.
    (second / "_internal").mkdir(mode=0o700)
    for name in ("_internal/text", "_internal/lib.so.1", "openclawd"):
        (second / name).write_bytes((first / name).read_bytes())
        (second / name).chmod(0o700 if name == "openclawd" else 0o600)
        os.utime(second / name, (1, 1))
    (second / "_internal" / "lib.so").symlink_to("lib.so.1")
    for folder in (first, second):
        pack(built(folder, "1.1.0"), tmp_path / f"{folder.name}.tar.gz", made_s=1_700_000_000)
    assert (tmp_path / "first.tar.gz").read_bytes() == (tmp_path / "elsewhere.tar.gz").read_bytes()


def test_an_archive_names_nobody(tmp_path: Path) -> None:
    pack(built(build(tmp_path / "build"), "1.1.0"), tmp_path / "a.tar.gz", made_s=1_700_000_000)
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        entries = archive.getmembers()
    assert {(each.uid, each.gid, each.uname, each.gname, each.mtime) for each in entries} == {
        (0, 0, "", "", 1_700_000_000)
    }
    assert {each.mode for each in entries if each.isfile()} == {0o755, 0o644}


def packed_and_unpacked(made: Built, tmp_path: Path) -> Path:
    pack(made, tmp_path / "a.tar.gz", made_s=0)
    installation = Installation(tmp_path / "installation")
    installation.versions.mkdir(parents=True)
    return unpack(tmp_path / "a.tar.gz", installation, made.version, made.unpacked_bytes)


def test_a_slot_is_what_was_built_and_the_room_that_is_signed_is_enough(tmp_path: Path) -> None:
    folder = build(tmp_path / "build")
    for number in range(50):
        (folder / "_internal" / f"{number}").write_bytes(b"x" * (4096 + number))
    slot = packed_and_unpacked(built(folder, "1.1.0"), tmp_path)
    names = {path.relative_to(folder) for path in folder.rglob("*")}
    assert {path.relative_to(slot) for path in slot.rglob("*")} == names
    assert all(
        (slot / name).read_bytes() == (folder / name).read_bytes() for name in names if "lib" in str(name)
    )
    assert (slot / "_internal" / "lib.so").is_symlink()


def test_two_names_of_one_file_are_two_files(tmp_path: Path) -> None:
    """As in a build that shares files with another one: a slot has no hard links."""
    folder = build(tmp_path / "build")
    os.link(folder / "openclawd", folder / "_internal" / "same")
    slot = packed_and_unpacked(built(folder, "1.1.0"), tmp_path)
    assert (slot / "_internal" / "same").read_bytes() == X86
    assert (slot / "openclawd").read_bytes() == X86
