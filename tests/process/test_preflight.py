"""Another program is asked whether it could be the gateway, by one that goes on if it could not."""

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from openclawd.daemon.preflight import preflight

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

SECRET = "a-secret-that-nobody-may-read"
OPENCLAWD = (sys.executable, "-m", "openclawd", "gateway")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(state))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return state


FINDINGS = [
    {"verdict": "ok", "name": "config", "said": "fine"},
    {"verdict": "failed", "name": "page", "said": "gone"},
]


def program(folder: Path, script: str) -> str:
    """An executable that does what `script` (sh) says."""
    file = folder / "openclawd"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o700)
    return str(file)


def said(file: Path) -> str:
    """What a program has written there."""
    return file.read_text().strip() if file.exists() else ""


def runs(pid: str) -> bool:
    """Whether the process is there, and not only waited for by who started it."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not holds():  # noqa: ASYNC110  nobody tells us of other processes
            await trio.sleep(0.01)


async def test_this_program_could_be_the_gateway() -> None:
    assert await preflight([*OPENCLAWD, "--port", "18790", "check"], {}) is None


async def test_the_words_of_the_start_may_stand_before_the_word_check() -> None:
    words = ("--port", "18790", "--verbose", "--json", "--allow-unconfigured", "--bind", "loopback")
    assert await preflight([*OPENCLAWD, *words, "check"], {}) is None


async def test_nothing_is_made_by_asking(state: Path) -> None:
    await preflight([*OPENCLAWD, "check"], {})

    assert os.listdir(state) == []  # noqa: PTH208  pathlib's is for threads


async def test_a_config_that_forbids_the_start_is_the_reason(state: Path) -> None:
    (state / "openclaw.json").write_text('{"gateway": {"port": "high"}}')

    reason = await preflight([*OPENCLAWD, "check"], {})

    assert reason is not None
    assert reason.startswith("config: ")
    assert "gateway.port" in reason


async def test_secrets_that_are_not_on_the_command_line_count() -> None:
    """Mode password without a password forbids the start."""
    words = [*OPENCLAWD, "--auth", "password", "check"]

    assert "mode password needs a password" in (await preflight(words, {}) or "")
    assert await preflight(words, {"password": SECRET}) is None


async def test_secrets_are_told_through_a_pipe_and_to_nobody_else(tmp_path: Path) -> None:
    spy = 'cat >got; { tr "\\0" "\\n" </proc/$$/cmdline; env; } >seen; echo \'{"ok": true}\''
    command = program(tmp_path, f"cd {tmp_path}; {spy}")

    assert await preflight([command, "gateway", "check"], {"token": SECRET}) is None

    assert SECRET in (tmp_path / "got").read_text()
    assert SECRET not in (tmp_path / "seen").read_text()


async def test_a_secret_that_the_program_prints_is_not_passed_on(tmp_path: Path) -> None:
    reason = await preflight([program(tmp_path, "cat >&2; exit 1")], {"token": SECRET})

    assert reason is not None
    assert "***" in reason
    assert SECRET not in reason


async def test_what_only_this_process_has_from_its_supervisor_stays_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID")
    names = (*sockets, "WATCHDOG_USEC", "XPC_SERVICE_NAME", "OPENCLAWD_HANDOVER")
    for name in names:
        monkeypatch.setenv(name, "7")
    command = program(tmp_path, f"env >{tmp_path}/seen; echo '{{\"ok\": true}}'")

    await preflight([command], {})

    seen = (tmp_path / "seen").read_text()
    assert [name for name in names if name in seen] == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 0", "it is no openclawd"),
        ("echo hello", "it is no openclawd"),
        ("echo '[1]'", "it is no openclawd"),
        ("echo '{\"ok\": false}'", "it is no openclawd"),
        ("echo '{\"ok\": true}'; exit 3", "ends with exit code 3"),
        ("echo one >&2; echo last words >&2; exit 4", "ends with exit code 4: one / last words"),
        ("kill -SEGV $$", "was killed by SIGSEGV"),
        ("exec sleep 100", "did not finish its check within 1 s"),
        ("yes", "did not finish its check within 1 s"),
        ('echo \'{"error": {"message": "broken"}}\'; exit 1', "broken"),
        (f"echo '{json.dumps({'ok': False, 'findings': FINDINGS})}'; exit 1", "page: gone"),
        ("printf '\\033[2J\\n' >&2; exit 1", "ends with exit code 1: \\u001b[2J"),
    ],
)
async def test_a_program_that_says_no_or_nothing_is_refused(tmp_path: Path, script: str, reason: str) -> None:
    told = await preflight([program(tmp_path, script)], {}, timeout_s=1)

    assert told is not None
    assert told.endswith(reason)


@pytest.mark.parametrize(("survivable", "is_refused"), [({"page"}, False), ({"config"}, True)])
async def test_a_finding_that_a_restart_survives_is_passed_over_where_it_is_the_only_one(
    tmp_path: Path, survivable: set[str], is_refused: bool
) -> None:
    said = json.dumps({"ok": False, "findings": FINDINGS})
    command = program(tmp_path, f"echo '{said}'; exit 1")

    assert (await preflight([command], {}, survivable=survivable) is not None) == is_refused


async def test_a_program_that_is_not_there_or_cannot_be_run_is_refused(tmp_path: Path) -> None:
    command = program(tmp_path, "exit 0")

    assert await preflight([f"{command}x"], {}) == f"{command}x cannot be run: No such file or directory"
    os.chmod(command, stat.S_IRUSR)  # noqa: PTH101
    assert "cannot be run: Permission denied" in (await preflight([command], {}) or "")


async def test_the_reason_is_short_however_much_the_program_says(tmp_path: Path) -> None:
    command = program(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1")

    assert len(await preflight([command], {}) or "") < 1_000


async def test_what_the_program_leaves_behind_is_ended(tmp_path: Path) -> None:
    command = program(tmp_path, f"sleep 100 & echo $! >{tmp_path}/left; echo '{{\"ok\": true}}'")

    assert await preflight([command], {}) is None

    await until(lambda: not runs(said(tmp_path / "left")))


async def test_whoever_does_not_want_to_know_any_more_leaves_no_process(tmp_path: Path) -> None:
    command = program(tmp_path, f"echo $$ >{tmp_path}/pid; exec sleep 100")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(preflight, [command], {})
        await until(lambda: said(tmp_path / "pid") != "")
        nursery.cancel_scope.cancel()

    assert not runs(said(tmp_path / "pid"))
