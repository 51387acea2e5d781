"""The one file that people download does what the folder in it does, and puts that folder where it belongs.

That it installs itself as a service is asked under a real systemd (test_systemd.py).
"""

import fcntl
import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.packaging import hidden
from tests.packaging.asking import asked, pythons
from tests.packaging.frozen import ROOT, FrozenGateway, frozen_gateway
from tests.process.chats import text_of

pytestmark = pytest.mark.binary

MOST_MB = 28


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it unpacks itself to."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def running(one_file: Path, temporary: Path) -> Generator[FrozenGateway, None, None]:
    """A gateway that was started from it, where no Python can be seen if this machine can hide one."""
    covered = [ROOT, *pythons()] if hidden.why_not() is None else []
    program = hidden.without(covered, one_file) if covered else one_file
    with frozen_gateway(program, environment={"TMPDIR": str(temporary)}) as gateway:
        yield gateway
        # To kill the loader, which is the process that was started, would leave the gateway running.
        gateway.stop()


def serving(gateway: FrozenGateway) -> int:
    """The process that serves: the one that was started unpacks, waits and tidies up."""
    assert gateway.process is not None
    pid = gateway.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def restart(gateway: FrozenGateway, binary: Path) -> None:
    """By the command of the folder, which needs no unpacking."""
    ended = gateway.command_of(binary, "gateway", "restart")
    assert ended.returncode == 0, ended.stderr


def test_it_is_small_enough_to_download(one_file: Path) -> None:
    assert one_file.stat().st_size / 1e6 < MOST_MB


async def test_it_chats_before_and_after_a_restart(running: FrozenGateway, binary: Path) -> None:
    assert text_of((await asked(running, "hello"))["message"])
    restart(running, binary)
    assert text_of((await asked(running, "hello again"))["message"])


def test_a_restart_keeps_the_process_and_unpacks_nothing_again(
    running: FrozenGateway, binary: Path, temporary: Path
) -> None:
    before = serving(running), list(temporary.iterdir())
    restart(running, binary)
    assert (serving(running), list(temporary.iterdir())) == before


def test_what_tidies_up_temporary_files_leaves_its_own_alone(
    running: FrozenGateway, binary: Path, temporary: Path
) -> None:
    (unpacked,) = temporary.iterdir()
    for _ in range(2):
        descriptor = os.open(unpacked, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
        restart(running, binary)


@pytest.mark.usefixtures("running")
def test_it_holds_the_folder_to_the_byte(installed: Path, temporary: Path) -> None:
    (unpacked,) = temporary.iterdir()
    slot = unpacked / "slot"
    assert (slot / "_internal").readlink() == Path("..")
    files = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    for file in files:
        assert (slot / file).read_bytes() == (installed / file).read_bytes(), file
    there = {path.relative_to(unpacked) for path in unpacked.rglob("*") if path.is_file()}
    inside = {path for path in files if path.parts[0] == "_internal"}
    assert there == {path.relative_to("_internal") for path in inside} | {
        "slot" / path for path in files - inside
    }


def test_what_it_unpacked_goes_when_it_stops(one_file: Path, binary: Path, tmp_path: Path) -> None:
    with frozen_gateway(one_file, environment={"TMPDIR": str(tmp_path)}) as gateway:
        restart(gateway, binary)
        assert len(list(tmp_path.iterdir())) == 1
        assert gateway.stop() == 0
    assert list(tmp_path.iterdir()) == []


def test_where_temporary_files_may_not_be_executed_another_folder_can_be_named(
    one_file: Path, tmp_path: Path
) -> None:
    if hidden.why_not() is not None:
        pytest.skip(f"nothing can be mounted here: {hidden.why_not()}")
    strict, home = tmp_path / "strict", tmp_path / "home"
    strict.mkdir()
    home.mkdir()
    command = [*hidden.without([], one_file, then=f"mount -t tmpfs -o noexec none {strict}"), "--version"]
    refused, ran = (
        subprocess.run(command, env=os.environ | {"TMPDIR": str(each)}, capture_output=True, check=False)
        for each in (strict, home)
    )
    assert b"failed to map segment" in refused.stderr  # as docs/install.md has it
    assert ran.stdout.startswith(b"openclawd ")
