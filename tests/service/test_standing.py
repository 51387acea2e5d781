"""What systemd, the journal and launchd say of a service, and why it ended."""

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from openclawd.daemon.exit_codes import ExitCode, meaning
from openclawd.daemon.launchd import REFUSED
from openclawd.service import launchd_standing
from openclawd.service.ends import cure, unread_credentials, why
from openclawd.service.launchctl import Launchctl
from openclawd.service.launchd_job import agent
from openclawd.service.plist import JobSpec
from openclawd.service.standing import Condition, End, Standing
from openclawd.service.systemd_standing import Journal, is_information, standing_of
from openclawd.service.tool import Told
from tests.support.fake_launchctl import FakeLaunchd

NOW_MS = 1_795_402_470_000.0
# The manager's clock then.
NOW_US = 49_260_000_000.0
RUNNING = {
    "Id": "openclawd.service",
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "UnitFileState": "enabled",
    "FragmentPath": "/root/.config/systemd/user/openclawd.service",
    "NeedDaemonReload": "no",
    "MainPID": "128",
    "NRestarts": "0",
    "ExecMainCode": "0",
    "ExecMainStatus": "0",
    "ExecMainExitTimestampMonotonic": "0",
    "StateChangeTimestampMonotonic": "49250000000",
    "ActiveEnterTimestampMonotonic": "49240000000",
    "InvocationID": "eaec6524bf1e49a3abd2565e75396d49",
    "StatusText": "listening on port 18789, loopback",
    "ExecStart": "{ path=/opt/open clawd/guard ; argv[]=/opt/open clawd/guard gateway ; pid=1 }",
    "Environment": '"OPENCLAW_STATE_DIR=/var/lib/open clawd" A=b',
}
ENDED = {"MainPID": "0", "ExecMainExitTimestampMonotonic": "49255000000"}


def shown(**changed: str) -> Standing:
    found = standing_of(RUNNING | changed, of_user=True, now_ms=NOW_MS, monotonic_us=NOW_US)
    assert found is not None
    return found


def test_a_unit_that_runs_is_told_with_its_process_its_moment_and_its_words() -> None:
    standing = shown()
    assert (standing.condition, standing.pid, standing.enabled) == (Condition.RUNNING, 128, True)
    assert standing.since_ms == NOW_MS - 20_000
    assert standing.says == "listening on port 18789, loopback"
    assert standing.program == Path("/opt/open clawd/guard")
    assert standing.state_dir == Path("/var/lib/open clawd")
    assert standing.end is None


@pytest.mark.parametrize(
    ("active", "sub", "condition"),
    [
        ("activating", "start", Condition.STARTING),
        ("activating", "auto-restart", Condition.WAITING),
        ("activating", "auto-restart-queued", Condition.WAITING),
        ("reloading", "reload", Condition.RELOADING),
        ("deactivating", "stop-sigterm", Condition.STOPPING),
        ("failed", "failed", Condition.FAILED),
        ("inactive", "dead", Condition.STOPPED),
    ],
)
def test_each_state_of_a_unit_is_one_of_ours(active: str, sub: str, condition: Condition) -> None:
    assert shown(ActiveState=active, SubState=sub).condition is condition


def test_a_unit_that_systemd_does_not_know_is_none() -> None:
    assert standing_of({"Id": "openclawd.service", "LoadState": "not-found"}, of_user=True) is None
    assert standing_of({}, of_user=True) is None


def test_an_exit_and_a_signal_are_told_apart() -> None:
    exited = shown(ActiveState="failed", ExecMainCode="1", ExecMainStatus="78", Result="exit-code", **ENDED)
    killed = shown(ActiveState="failed", ExecMainCode="3", ExecMainStatus="6", Result="watchdog", **ENDED)
    assert exited.end is not None
    assert killed.end is not None
    assert (exited.end.code, exited.end.signal, exited.end.at_ms) == (78, None, NOW_MS - 5_000)
    assert (killed.end.code, killed.end.signal, killed.end.result) == (None, 6, "watchdog")


def test_a_service_that_never_had_a_process_has_a_result_all_the_same() -> None:
    standing = shown(ActiveState="failed", MainPID="0", Result="resources")
    assert standing.end == End(result="resources")


@pytest.mark.parametrize(
    ("load", "said", "command"),
    [
        ("bad-setting", "a setting that systemd does not take", "systemctl --user status openclawd.service"),
        ("masked", "somebody has masked its unit", "systemctl --user unmask openclawd.service"),
    ],
)
def test_a_unit_that_cannot_be_started_at_all_says_why(load: str, said: str, command: str) -> None:
    standing = shown(LoadState=load, ActiveState="inactive", MainPID="0")
    assert standing.condition is Condition.FAILED
    assert standing.end is not None
    assert said in why(standing.end, "systemd")
    assert cure(standing, as_root=False) == command


def test_what_it_cannot_make_out_is_not_known() -> None:
    standing = shown(Environment='"A=unclosed', ExecStart="", MainPID="", NRestarts="[not set]")
    assert (standing.state_dir, standing.program, standing.pid, standing.starts_again) == (None,) * 4


# --- why


def test_every_exit_code_of_ours_has_words() -> None:
    assert {code for code in ExitCode if meaning(code) is None} == set()
    assert meaning(99) is None


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (End(code=0), "exit code 0: it was told to stop"),
        (End(code=75), "exit code 75: its port is taken, or another gateway has its state"),
        (
            End(code=203),
            "exit code 203: its program cannot be executed: it is missing, or not for this machine",
        ),
        (End(code=99), "exit code 99"),
        (End(signal=9, result="oom-kill"), "ended by SIGKILL: the kernel killed it, as memory ran out"),
        (
            End(signal=6, result="watchdog"),
            "ended by SIGABRT: its event loop was stuck, and systemd killed it",
        ),
        (End(signal=11, result="core-dump"), "ended by SIGSEGV: it crashed"),
        (End(signal=14), "ended by SIGALRM: it hung in its start, on trial"),
        (End(signal=200), "ended by signal 200"),
        (
            End(code=1, result="start-limit-hit"),
            "exit code 1: a fault; its last words say which; too many starts, given up",
        ),
        (End(result="resources"), "systemd had no means to start it"),
        (End(), "it is not known how"),
    ],
)
def test_an_end_has_a_reason_in_words(end: End, said: str) -> None:
    assert why(end, "systemd") == said


def test_78_is_launchds_own_word_under_launchd() -> None:
    assert "launchd could not start it" in why(End(code=78), "launchd")
    assert "the config" in why(End(code=78), "systemd")


@pytest.mark.parametrize(
    ("end", "of_user", "command"),
    [
        (End(code=78), True, "openclawd gateway check"),
        (End(code=75), False, "sudo openclawd doctor"),
        (End(code=127), False, "sudo openclawd gateway install --system"),
        (End(code=1), False, "sudo openclawd gateway check"),
        (End(code=226), False, "systemctl cat openclawd.service"),
        (End(code=243), False, "sudo openclawd gateway install --system --token-file FILE"),
        (End(signal=9, result="oom-kill"), True, "sudo journalctl -k -n 50"),
        (End(signal=11), True, "openclawd logs -n 50"),
    ],
)
def test_an_end_has_one_command_that_helps(end: End, of_user: bool, command: str) -> None:
    standing = Standing("systemd", "openclawd.service", of_user, Condition.FAILED, enabled=True, end=end)
    assert cure(standing, as_root=False) == command
    assert cure(standing, as_root=True) == command.removeprefix("sudo ")


def test_what_fails_before_the_program_has_a_code_as_well() -> None:
    failed = shown(
        ActiveState="activating",
        SubState="auto-restart",
        Result="exit-code",
        ExecStartPre="{ path=/opt/guard ; argv[]=/opt/guard settle ; pid=9 ; code=exited ; status=243 }",
    )
    assert failed.end is not None
    assert why(failed.end, "systemd") == "exit code 243: a credential of its unit could not be read"


def test_a_credential_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "unit").write_text(
        f"[Service]\nLoadCredential=a:{tmp_path}/there\nLoadCredential=b:{tmp_path}/gone\n"
    )
    unit = Standing("systemd", "x", False, Condition.WAITING, enabled=True, file=tmp_path / "unit")
    assert list(unread_credentials(unit, End(code=243))) == [f"not there: {tmp_path}/gone"]
    assert list(unread_credentials(unit, End(code=1))) == []


# --- the journal


def journal(
    *entries: Mapping[str, Any], of_user: bool = True, code: int = 0
) -> tuple[Journal, list[Sequence[str]]]:
    asked: list[Sequence[str]] = []

    def ask(words: Sequence[str]) -> Told:
        asked.append(words)
        return Told(code, "".join(f"{json.dumps(entry)}\n" for entry in entries))

    return Journal("openclawd.service", of_user, 501, ask), asked


def ended(run: str, how: str, status: str, at_s: int, **more: str) -> dict[str, str]:
    """As systemd writes it for sd-messages(3) UNIT_PROCESS_EXIT."""
    stamp = str(at_s * 1_000_000)
    told = {"EXIT_CODE": how, "EXIT_STATUS": status, "COMMAND": "ExecStart", "__REALTIME_TIMESTAMP": stamp}
    return {"USER_INVOCATION_ID": run, **told, **more}


def test_the_last_end_is_that_of_the_last_process_with_its_result() -> None:
    found, asked = journal(
        ended("a", "exited", "1", 100),
        ended("b", "dumped", "ABRT", 200),
        {"USER_INVOCATION_ID": "b", "UNIT_RESULT": "watchdog"},
        # What runs behind a process that has died is another one.
        ended("b", "exited", "3", 201, COMMAND="ExecStopPost"),
    )
    assert found.last_end() == End(signal=signal.SIGABRT, result="watchdog", at_ms=200_000, invocation="b")
    assert "USER_UNIT=openclawd.service" in asked[0]
    assert "_UID=501" in asked[0], "others may write such lines, too"


def test_of_the_system_only_process_1_is_believed() -> None:
    found, asked = journal(of_user=False)
    assert found.last_end() is None
    assert {"UNIT=openclawd.service", "_PID=1"} <= set(asked[0])


def test_the_last_words_are_those_of_the_process_that_ended_without_what_is_no_news() -> None:
    said = [
        ("7", "12:00:00  info   ready                 version=0.1.0"),
        ("7", "  Dashboard: http://127.0.0.1:18789/"),
        ("8", "12:00:01  error  part failed           part=backups"),
        ("8", "Traceback (most recent call last):"),
        ("8", '  File "/x.py", line 1, in <module>'),
        ("8", "    import nothing"),
        ("8", "ModuleNotFoundError: No module named 'nothing'"),
        ("8", "12:00:01  info   stopped"),
    ]
    found, asked = journal(*({"_PID": pid, "MESSAGE": text} for pid, text in said))
    assert found.last_words(End(code=1, at_ms=5_500)) == [
        "12:00:01  error  part failed           part=backups",
        "ModuleNotFoundError: No module named 'nothing'",
    ]
    assert "--until=@6" in asked[0]


def test_bytes_that_are_no_text_are_words_too() -> None:
    found, _ = journal({"_PID": "8", "MESSAGE": [0xFF, *b"no\n"]})
    assert found.last_words(End(code=1, at_ms=1)) == ["\ufffdno"]


@pytest.mark.parametrize("code", [1, 124, 127])
def test_a_journal_that_cannot_be_read_says_nothing(code: int) -> None:
    found, _ = journal(ended("a", "exited", "1", 100), code=code)
    assert found.last_end() is None
    assert found.last_words(End(code=1, at_ms=1)) == []


@pytest.mark.parametrize(
    "line", ["12:00:00  warn   x", "  line 1: not JSON5", "Fatal Python error: Bus error"]
)
def test_what_says_why_is_no_information(line: str) -> None:
    assert not is_information(line)


def test_that_it_was_told_to_abort_is_known_from_its_end() -> None:
    assert is_information("Fatal Python error: Aborted")


# --- launchd


@pytest.fixture
def job(tmp_path: Path) -> Callable[[], Standing | None]:
    launchd = FakeLaunchd()
    installed = agent(
        tmp_path, "ai.openclawd.gateway", 501, Launchctl("gui/501", launchd.ask, launchd.sleep, launchd.now_s)
    )
    spec = JobSpec(("/x/guard", "gateway"), f"{tmp_path}/l/o.log", environment={"OPENCLAW_STATE_DIR": "/s"})

    def now(happens: str = "") -> Standing | None:
        target = installed.target
        if happens == "install":
            installed.install(spec)
        elif happens == "stop":
            installed.stop()
        elif happens:
            launchd.exits(target, int(happens))
        return launchd_standing.standing_of(installed, installed.job())

    return now


def test_a_job_that_is_nowhere_is_none(job: Callable[[], Standing | None]) -> None:
    assert job() is None


def test_a_job_that_runs_says_what_it_executes_and_where_its_words_are(
    job: Callable[[str], Standing],
) -> None:
    standing = job("install")
    assert (standing.condition, standing.enabled, standing.starts_again) == (Condition.RUNNING, True, 0)
    assert standing.name == "gui/501/ai.openclawd.gateway"
    assert (standing.program, standing.state_dir) == (Path("/x/guard"), Path("/s"))
    assert standing.output is not None
    assert standing.output.name == "o.log"


@pytest.mark.parametrize(
    ("happens", "condition", "code"),
    [("1", Condition.WAITING, 1), ("0", Condition.STOPPED, 0), ("stop", Condition.STOPPED, None)],
)
def test_a_job_that_has_ended_comes_again_or_not(
    job: Callable[[str], Standing], happens: str, condition: Condition, code: int | None
) -> None:
    job("install")
    standing = job(happens)
    assert standing.condition is condition
    assert (standing.end.code if standing.end is not None else None) == code


def test_one_that_could_not_start_and_told_launchd_to_leave_it_alone_has_not_been_stopped(
    job: Callable[[str], Standing], tmp_path: Path
) -> None:
    """launchctl shows the same 0 of both; what it said last tells them apart."""
    job("install")
    (tmp_path / "l" / "o.log").write_text(f"Not yours.\n{REFUSED} 78, ...\nWhen it is put right: ...\n")
    standing = job("0")
    assert standing.condition is Condition.FAILED
    assert standing.end is not None
    assert why(standing.end, "launchd") == (
        "exit code 0: it could not start, and another start would not help"
    )
    assert cure(standing, as_root=False) == "openclawd gateway check"
    assert standing.output is not None
    assert launchd_standing.last_words(standing.output, 3) == ["Not yours."]


def test_a_refusal_of_a_start_before_the_last_one_is_over(
    job: Callable[[str], Standing], tmp_path: Path
) -> None:
    job("install")
    (tmp_path / "l" / "o.log").write_text(f"{REFUSED} 78, ...\nWhen: ...\n\n  Dashboard: http://...\n\n")
    assert job("0").condition is Condition.STOPPED
