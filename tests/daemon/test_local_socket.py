"""The local socket: where it is, who made it, and what is in its place."""

import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
import trio

from openclawd.daemon.local_socket import (
    PATH_LIMIT_BYTES,
    bind_local,
    is_trustworthy,
    peer_uid,
    short_path,
)
from openclawd.daemon.refusal import StartRefused

NOBODY = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    return own


@pytest.fixture
def deep(folder: Path) -> Path:
    """A folder whose sockets have paths that are too long."""
    below = folder / ("d" * PATH_LIMIT_BYTES)
    below.mkdir(mode=0o700)
    return below


@contextmanager
def bound(path: Path) -> Iterator[socket.socket]:
    with bind_local(path) as unix:
        yield unix


def reaches(path: Path) -> bool:
    """Whether somebody listens at `path`."""
    with socket.socket(socket.AF_UNIX) as client, short_path(path) as name:
        try:
            client.connect(name)
        except OSError:
            return False
        return True


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def refusal(path: Path) -> str:
    with pytest.raises(StartRefused) as caught, bound(path):
        pass
    assert caught.value.exit_code == 78
    return str(caught.value)


# --- its path


def test_it_is_the_users_alone_whatever_the_umask(folder: Path) -> None:
    umask = os.umask(0)
    try:
        with bound(folder / "new" / "gateway.sock"):
            assert mode(folder / "new" / "gateway.sock") == 0o600
            assert mode(folder / "new") == 0o700
            assert reaches(folder / "new" / "gateway.sock")
        assert os.umask(0) == 0
    finally:
        os.umask(umask)


def test_a_path_that_is_too_long_for_a_socket_is_none_for_the_file(deep: Path) -> None:
    path = deep / "gateway.sock"
    with bound(path):
        assert stat.S_ISSOCK(path.lstat().st_mode)
        assert mode(path) == 0o600
        assert reaches(path)
    assert not reaches(path)


async def test_a_command_reaches_it_there(deep: Path) -> None:
    path = deep / "gateway.sock"
    with bound(path) as unix, trio.fail_after(10), short_path(path) as name:
        async with await trio.open_unix_socket(name) as client:
            accepted, _ = unix.accept()
            with accepted:
                accepted.sendall(b"hello")
                assert await client.receive_some() == b"hello"
            assert peer_uid(client.socket) == os.getuid()


def test_without_proc_a_link_in_a_private_folder_does_and_is_gone_afterwards(
    deep: Path, tmp_path: Path
) -> None:
    with short_path(deep / "gateway.sock", descriptors=tmp_path / "no-proc") as name:
        alias = Path(name).parent
        assert len(os.fsencode(name)) <= PATH_LIMIT_BYTES
        assert mode(alias.parent) == 0o700
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(name)
            unix.listen()
            assert reaches(deep / "gateway.sock")
    assert not alias.parent.exists()


def test_a_path_that_fits_is_used_as_it_is(folder: Path) -> None:
    with short_path(Path("/run/x.sock")) as name:
        assert name == "/run/x.sock"


def test_no_descriptor_is_left_open(deep: Path) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    with bound(deep / "gateway.sock"):
        assert reaches(deep / "gateway.sock")
    assert sorted(Path("/proc/self/fd").iterdir()) == before


# --- what is in its place


def test_what_an_earlier_gateway_left_makes_room(folder: Path) -> None:
    path = folder / "gateway.sock"
    with bound(path):
        pass
    assert not reaches(path)
    with bound(path):
        assert reaches(path)


@pytest.mark.parametrize("target", ["file", "nowhere", "folder"])
def test_a_link_in_its_place_is_removed_and_what_it_leads_to_is_not(
    folder: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (folder / "gateway.sock").symlink_to(tmp_path / target)
    with bound(folder / "gateway.sock"):
        assert stat.S_ISSOCK((folder / "gateway.sock").lstat().st_mode)
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "folder").is_dir()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_anything_else_there_is_left_alone_and_named(folder: Path, make: object) -> None:
    path = folder / "gateway.sock"
    assert callable(make)
    make(path)
    assert refusal(path).endswith(f"mv {path} {path}.old")
    assert path.exists()


@pytest.mark.parametrize("open_to", [0o710, 0o701, 0o750, 0o777])
def test_a_folder_that_others_can_enter_is_refused(folder: Path, open_to: int) -> None:
    folder.chmod(open_to)
    assert refusal(folder / "gateway.sock").endswith(f"chmod 700 {folder}")
    assert not (folder / "gateway.sock").exists()


@needs_root
def test_a_folder_of_somebody_else_is_refused_with_his_name(folder: Path) -> None:
    os.chown(folder, NOBODY, -1)
    assert refusal(folder / "gateway.sock").endswith("sudo -u nobody openclawd gateway")


@needs_root
def test_a_stale_socket_of_somebody_else_makes_room(folder: Path) -> None:
    with bound(folder / "gateway.sock"):
        os.chown(folder / "gateway.sock", NOBODY, -1)
    with bound(folder / "gateway.sock"):
        assert (folder / "gateway.sock").stat().st_uid == 0


# --- what a command trusts


def test_a_command_trusts_a_socket_of_its_own_user(folder: Path) -> None:
    path = folder / "gateway.sock"
    assert not is_trustworthy(path)
    with bound(path):
        assert is_trustworthy(path)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_what_is_no_socket_is_not_trusted(folder: Path, make: object) -> None:
    assert callable(make)
    make(folder / "gateway.sock")
    assert not is_trustworthy(folder / "gateway.sock")


def test_a_link_to_a_socket_is_not_trusted(folder: Path) -> None:
    with bound(folder / "real.sock"):
        (folder / "gateway.sock").symlink_to(folder / "real.sock")
        assert not is_trustworthy(folder / "gateway.sock")


@needs_root
def test_root_trusts_the_socket_of_the_user_whose_folder_it_is_in_and_no_other(folder: Path) -> None:
    path = folder / "gateway.sock"
    with bound(path):
        os.chown(folder, NOBODY, -1)
        assert not is_trustworthy(path)
        os.chown(path, NOBODY, -1)
        assert is_trustworthy(path)
        os.chown(folder, 0, -1)
        assert not is_trustworthy(path)


def test_on_macos_the_kernel_names_the_peer_in_another_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """<sys/ucred.h>, struct xucred: a version, the user, how many groups, the groups."""

    class Peer:
        family = socket.AF_UNIX

        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            assert (level, option) == (0, 1), "SOL_LOCAL, LOCAL_PEERCRED"
            return struct.pack("IIh2x16I", 0, 501, 1, 20, *[0] * 15)[:size]

    monkeypatch.delattr(socket, "SO_PEERCRED")
    assert peer_uid(cast("trio.socket.SocketType", Peer())) == 501
