"""The local socket: the owner's way in when tokens, pairing, the limiter or the network are broken.

The kernel says who connects, so nothing else is asked. Only the user that the gateway runs as, and root, get
in: the file is 0600 in a folder that belongs to that user alone, and the door asks the kernel again. The file
always stays in the state directory. Where its path does not fit into a socket address (108 bytes on Linux,
104 on macOS and the BSDs: unix(7)), it is bound and connected through another name for its folder: on Linux
/proc/self/fd/N, which means an open folder (proc(5)), elsewhere a symbolic link in a private temporary
folder, for as long as the call takes. Changing the working directory would do as well, but for other threads.
"""

import os
import pwd
import socket
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.refusal import StartRefused

# The kernels' limits less the final NUL, and a little.
PATH_LIMIT_BYTES: Final = 100
ROOT: Final = 0
# All of a restart's clients are elsewhere; these are commands.
_BACKLOG: Final = 128
_DESCRIPTORS: Final = Path("/proc/self/fd")
# The socket is born with mode 0600.
_UMASK: Final = 0o177
# <sys/un.h> of macOS; Python has no names for them.
_SOL_LOCAL: Final = 0
_LOCAL_PEERCRED: Final = 1


def bind_local(path: Path, inherited: socket.socket | None = None) -> socket.socket:
    """Listen at `path`. The state lock says that no other gateway does. Raises StartRefused, OSError.

    `inherited` is what the generation before listened on; it goes on if its file is still there.
    """
    if inherited is not None:
        if path.is_socket():
            return inherited
        inherited.close()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        check_folder(path.parent, os.fstat(folder))
        _make_room(path, folder)
    finally:
        os.close(folder)
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(_UMASK)
    try:
        with short_path(path) as name:
            unix.bind(name)
        unix.listen(_BACKLOG)
    except BaseException:
        unix.close()
        raise
    finally:
        os.umask(umask)
    return unix


@contextmanager
def short_path(path: Path, descriptors: Path = _DESCRIPTORS) -> Iterator[str]:
    """A name for `path` that fits into a socket address; it is good inside the block. Raises OSError."""
    if len(os.fsencode(path)) <= PATH_LIMIT_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        alias = descriptors / str(folder)
        if alias.is_dir():
            yield str(alias / path.name)
            return
    finally:
        os.close(folder)
    with tempfile.TemporaryDirectory(prefix="openclawd-") as private:
        alias = Path(private) / "s"
        alias.symlink_to(path.parent)
        yield str(alias / path.name)


def is_trustworthy(path: Path) -> bool:
    """Whether a command of ours may speak to what listens at `path`: a socket and a folder of this user, or
    for root of any one user. Elsewhere somebody else could have put it there.
    """
    try:
        found, folder = path.lstat(), path.parent.stat()
    except OSError:
        return False
    ours = {os.getuid()} if os.getuid() != ROOT else {ROOT, folder.st_uid}
    return stat.S_ISSOCK(found.st_mode) and found.st_uid in ours and folder.st_uid == found.st_uid


def peer_uid(peer: trio.socket.SocketType) -> int | None:
    """The user at the other end of a Unix socket (unix(7) SO_PEERCRED, getpeereid(3)); None for TCP."""
    if peer.family != socket.AF_UNIX:
        return None
    if hasattr(socket, "SO_PEERCRED"):
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])
    # LOCAL_PEERCRED of the BSDs: struct xucred begins with a version and the user id.
    credentials = peer.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 64)
    return int(struct.unpack_from("II", credentials)[1])


def check_folder(folder: Path, status: os.stat_result) -> None:
    """Raises StartRefused when others than this user could put something into the socket's folder."""
    if status.st_uid != os.getuid():
        owner = _user_name(status.st_uid)
        raise StartRefused(
            ExitCode.CONFIG,
            f"{folder} belongs to {owner}, who alone may run a gateway there, as commands trust its socket.\n"
            f"Start it as that user: sudo -u {owner} openclawd gateway",
        )
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StartRefused(
            ExitCode.CONFIG,
            f"{folder} must be yours alone, as commands trust its socket.\nMend it with: chmod 700 {folder}",
        )


def _make_room(path: Path, folder: int) -> None:
    """Remove what an earlier gateway left. A link is removed itself, whatever it leads to."""
    try:
        found = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not (stat.S_ISSOCK(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        raise StartRefused(
            ExitCode.CONFIG,
            f"{path} is in the place of the local socket, and is none.\nMove it away: mv {path} {path}.old",
        )
    os.unlink(path.name, dir_fd=folder)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
