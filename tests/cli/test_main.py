"""The command line itself: words, help, exit codes, and that no traceback reaches a user."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from openclawd import __version__
from openclawd.cli.main import _failure_of
from tests.cli.conftest import Shell

ROOT = Path(__file__).parents[2]
HEAVY = ("trio", "attrs", "cattrs", "orjson", "httpx", "pyjson5", "cryptography")


def test_the_version_is_printed(shell: Shell) -> None:
    ran = shell("--version")
    assert (ran.code, ran.out) == (0, f"openclawd {__version__}\n")


def test_help_names_every_family(shell: Shell) -> None:
    ran = shell("--help")
    assert ran.code == 0
    for family in ("gateway", "dashboard", "devices", "health", "logs", "config"):
        assert f"\n    {family} " in ran.out


def test_help_imports_no_heavy_library() -> None:
    check = (
        f"import sys, openclawd.cli.main as m; m.main(['--help']); assert not {{*sys.modules}} & {{*{HEAVY}}}"
    )
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("gatway",),
        ("gateway", "--bind", "lna"),
        ("gateway", "--auth", "cookie"),
        ("gateway", "call"),
        ("devices",),
        ("logs", "-n", "0"),
        ("logs", "--folow"),
        ("health", "--timeout", "soon"),
    ],
)
def test_a_wrong_command_line_exits_2_and_names_the_help(shell: Shell, words: tuple[str, ...]) -> None:
    ran = shell(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert "--help" in ran.err.splitlines()[-1]


@pytest.mark.parametrize("command", [("gateway",), ("gateway", "status"), ("logs",)])
def test_an_unknown_option_is_answered_with_the_help_of_its_command(
    shell: Shell, command: tuple[str, ...]
) -> None:
    name = " ".join(("openclawd", *command))
    assert shell(*command, "--bogus").err == f"{name}: unrecognized arguments: --bogus\nSee: {name} --help\n"


def test_a_misspelt_command_is_answered_with_what_was_meant(shell: Shell) -> None:
    assert "Did you mean 'gateway'?" in shell("gatway").err


def test_a_wrong_config_exits_78_with_the_place_and_no_traceback(shell: Shell) -> None:
    file = shell.write_config('{\n  gateway: { port: "many" },\n}\n')
    ran = shell("dashboard")
    assert ran.code == 78
    assert str(file) in ran.err
    assert "gateway.port" in ran.err
    assert "Traceback" not in ran.err


def test_a_failure_under_json_is_json(shell: Shell) -> None:
    ran = shell("logs", "--json")
    assert ran.code == 1
    assert "There is no log yet" in ran.json["error"]["message"]
    assert ran.json["error"]["next"]


@pytest.mark.process
def test_ctrl_c_ends_a_waiting_command_quietly(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        command = subprocess.Popen(
            [sys.executable, "-m", "openclawd", "health", "--url", f"ws://127.0.0.1:{mute.getsockname()[1]}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        peer, _ = mute.accept()
        with peer:
            peer.recv(4096)
            command.send_signal(signal.SIGINT)
            assert command.communicate(timeout=10) == (b"", b"")
    assert command.returncode == 130


@pytest.mark.process
def test_a_reader_that_goes_away_is_no_error(shell: Shell) -> None:
    log = shell.state_dir / "openclawd" / "logs" / "openclawd.log"
    log.parent.mkdir(parents=True)
    log.write_text('{"message": "a line"}\n' * 5_000)
    piped = subprocess.run(
        f"{sys.executable} -m openclawd logs -n 5000 | head -n 1",
        shell=True,
        env={"OPENCLAW_STATE_DIR": str(shell.state_dir), "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert piped.stdout.count("\n") == 1
    assert piped.stderr == ""


def test_a_fault_in_a_group_is_told_by_its_cause() -> None:
    first = RuntimeError("the disk of the moon is full")
    group = ExceptionGroup("Exceptions from Trio nursery", [ExceptionGroup("inner", [first])])
    assert "RuntimeError: the disk of the moon is full" in _failure_of(group).message
