"""Which secret a gateway wants, by the flags that it was started with."""

import subprocess
import sys
from pathlib import Path

import pytest

from openclawd.cli.command_line import flags_in, flags_of
from openclawd.config.settings import Flags


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["/opt/openclawd/current/openclawd", "gateway", "--port", "18999"], Flags()),
        (["openclawd", "gateway", "--token-file", "/run/token"], Flags(token_file="/run/token")),
        (["openclawd", "gateway", "--password-file=/run/p", "run"], Flags(password_file="/run/p")),
        (["openclawd", "gateway", "--auth", "password", "--token"], Flags(auth="password", token="")),
        (["openclawd", "gateway", "--auth=token", "--auth=none"], Flags(auth="none")),
    ],
)
def test_only_what_is_about_the_secret_is_read(words: list[str], flags: Flags) -> None:
    assert flags_in(words) == flags


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="for Linux")
def test_they_are_read_of_a_process() -> None:
    command = [sys.executable, "-c", "print(flush=True); input()", "--token-file", "/run/token"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            assert flags_of(process.pid) == Flags(token_file="/run/token")
        finally:
            process.kill()
    assert flags_of(process.pid) is None
    assert flags_of(None) is None
