"""As a job of launchd: an end that another start cannot mend must not look like a failure."""

import ctypes
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from openclawd.config.settings import Flags
from openclawd.daemon.launchd import LISTENERS, activated_descriptors, given, job_name, start_command
from openclawd.daemon.main import run

JOB = "ai.openclawd.gateway"


@pytest.fixture(autouse=True)
def _umask_as_it_was() -> Iterator[None]:
    before = os.umask(0o077)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def wrong(tmp_path: Path) -> dict[str, str]:
    """The environment of a gateway whose config is wrong."""
    (tmp_path / "openclaw.json").write_text(json.dumps({"gateway": {"port": "abc"}}))
    return {"OPENCLAW_STATE_DIR": str(tmp_path)}


def test_a_wrong_config_ends_with_0_and_says_how_to_start_again(
    wrong: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Flags(), wrong | {"XPC_SERVICE_NAME": JOB}) == 0
    said = capsys.readouterr().err
    assert "gateway.port" in said
    assert "in place of 78" in said
    assert said.endswith(f"{start_command(JOB, os.getuid())}\n")


@pytest.mark.parametrize("name", ["", "0", "application.com.example.Editor.1152921500311879868"])
def test_in_a_terminal_a_wrong_config_stays_78(
    wrong: dict[str, str], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(Flags(), wrong | {"XPC_SERVICE_NAME": name}) == 78
    assert "launchctl" not in capsys.readouterr().err


def test_another_exit_code_stays_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = Flags(port="not a port")
    assert run(flags, {"OPENCLAW_STATE_DIR": str(tmp_path), "XPC_SERVICE_NAME": JOB}) == 2
    assert "launchctl" not in capsys.readouterr().err


def test_a_job_is_named_by_its_domain() -> None:
    assert job_name({"XPC_SERVICE_NAME": JOB}) == JOB
    assert job_name({}) is None
    assert start_command(JOB, 501) == "launchctl kickstart gui/501/ai.openclawd.gateway"


def test_a_job_of_the_machine_is_roots_to_start_whoever_it_runs_as(tmp_path: Path) -> None:
    (tmp_path / f"{JOB}.plist").touch()
    assert start_command(JOB, 250, tmp_path) == f"sudo launchctl kickstart system/{JOB}"
    assert start_command(JOB, 0, tmp_path) == f"launchctl kickstart system/{JOB}"


# --- sockets

ACTIVATE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.POINTER(ctypes.POINTER(ctypes.c_int)),
    ctypes.POINTER(ctypes.c_size_t),
)


def test_what_launchd_listens_on_is_read_and_its_array_given_back() -> None:
    """launch_activate_socket(3): the caller frees the array."""
    array = (ctypes.c_int * 2)(7, 9)
    asked: list[bytes] = []
    freed: list[int | None] = []

    def activate(
        name: bytes,
        descriptors: "ctypes._Pointer[ctypes._Pointer[ctypes.c_int]]",
        count: "ctypes._Pointer[ctypes.c_size_t]",
    ) -> int:
        asked.append(name)
        descriptors[0] = ctypes.cast(array, ctypes.POINTER(ctypes.c_int))
        count[0] = ctypes.c_size_t(len(array))
        return 0

    def free(pointer: object) -> None:
        freed.append(ctypes.cast(pointer, ctypes.c_void_p).value)  # type: ignore[arg-type]

    assert given(ACTIVATE(activate), free) == [7, 9]
    assert asked == [LISTENERS.encode()]
    assert freed == [ctypes.addressof(array)]


@pytest.mark.parametrize("error", [2, 3, 37], ids=["no such name", "no job", "asked before"])
def test_an_error_of_launchd_means_no_sockets(error: int) -> None:
    def free(_: object) -> None:
        raise AssertionError("nothing was allocated")

    assert given(ACTIVATE(lambda *_: error), free) == []


def test_elsewhere_launchd_is_not_asked() -> None:
    assert activated_descriptors({}) == []
