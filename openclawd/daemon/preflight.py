"""Asking another program whether it could be this gateway, before this one lets anything go.

The program that the next generation will be is run as `gateway check`, with the words and the environment
that it will be started with. It tells as JSON what stands in its way. Whatever else comes of it (it does not
run, does not end, ends well without a word) is a reason against it: a restart into it would end the gateway.
"""

import os
import signal
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import orjson
import trio

from openclawd.daemon.image import environment_of
from openclawd.daemon.log_text import printable

# Between these, a gateway and `gateway check` of another version speak: only ever added to.
SECRETS_FLAG: Final = "--secrets-from-stdin"
# Where the gateway that asks listens: another port has to be free.
PORT_WORD: Final = "listening-port"
# Findings that a restart under way can live with: the next generation goes by the configuration before.
SURVIVABLE: Final = frozenset({"address", "config"})
# A check takes half a second; a machine that is short of memory takes its time.
TIMEOUT_S: Final = 20.0
# Of what it prints; a check that passes says a few hundred bytes.
_KEPT_BYTES: Final = 64 * 1024
# It goes into the log, to clients and into the unit's status.
_REASON_CHARS: Final = 600
# What it printed last says why; a traceback stands above.
_SHOWN_LINES: Final = 3
# Whoever it started may hold its output open; nobody waits for that.
_LAST_WORDS_S: Final = 0.5
# What means the process that has it: whom systemd watches and hands sockets to, which job of launchd it is,
# and what execve(2) carries.
NOT_FOR_OTHERS: Final = frozenset(
    (
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
        "OPENCLAWD_HANDOVER",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        "XPC_SERVICE_NAME",
    )
)


async def preflight(
    argv: Sequence[str],
    secrets: Mapping[str, str],
    *,
    listening: int | None = None,
    survivable: Collection[str] = (),
    timeout_s: float = TIMEOUT_S,
    environ: Mapping[str, str] | None = None,
    user: tuple[int, int] | None = None,
) -> str | None:
    """Why the program could not start, in words; None when it could.

    `argv` is its command line, `gateway ... check`; `secrets` are the values of flags that are not in it
    (`token`, `password-file`), which it gets through a pipe; `listening` is our port; findings of the names
    `survivable` alone are no reason; `environ` is another environment than ours, `user` another user (uid,
    gid). Takes at most `timeout_s`, and leaves no process behind.
    """
    try:
        process = await trio.lowlevel.open_process(
            [*argv, "--json", SECRETS_FLAG],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(os.environ if environ is None else environ),
            # Ctrl-C in our terminal is for us; and whatever it starts can be ended with it.
            start_new_session=True,
            user=user[0] if user is not None else None,
            group=user[1] if user is not None else None,
            extra_groups=() if user is not None else None,
        )
    except OSError as error:
        return f"{argv[0]} cannot be run: {error.strerror or error}"
    told, complained = bytearray(), bytearray()
    try:
        with trio.move_on_after(timeout_s) as limit:
            given = dict(secrets) if listening is None else {**secrets, PORT_WORD: str(listening)}
            await _listen(process, orjson.dumps(given), told, complained)
    finally:
        if process.returncode is None:
            _kill(process)
            with trio.CancelScope(shield=True):
                await process.wait()
    if limit.cancelled_caught:
        reason = f"{argv[0]} did not finish its check within {timeout_s:g} s"
    else:
        code = process.returncode or 0
        found = _verdict(argv[0], code, bytes(told), bytes(complained), survivable)
        if found is None:
            return None
        reason = found
    for name, value in secrets.items():
        if value and not name.endswith("-file"):
            reason = reason.replace(value, "***")
    return reason if len(reason) <= _REASON_CHARS else f"{reason[:_REASON_CHARS]}…"


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return environment_of({name: text for name, text in environ.items() if name not in NOT_FOR_OTHERS})


async def _listen(process: trio.Process, secrets: bytes, told: bytearray, complained: bytearray) -> None:
    """Tell it the secrets, hear what it says, wait for its end."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError("the process was opened with pipes")
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr

    async def tell() -> None:
        with suppress(trio.BrokenResourceError):
            async with stdin:
                await stdin.send_all(secrets)

    async with stdin, stdout, stderr, trio.open_nursery(strict_exception_groups=True) as listening_nursery:
        listening_nursery.start_soon(tell)
        listening_nursery.start_soon(_hear, stdout, told)
        listening_nursery.start_soon(_hear, stderr, complained)
        await process.wait()
        listening_nursery.cancel_scope.deadline = trio.current_time() + _LAST_WORDS_S
    if listening_nursery.cancel_scope.cancelled_caught:
        _kill(process)


def _kill(process: trio.Process) -> None:
    """It, and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _hear(stream: trio.abc.ReceiveStream, into: bytearray) -> None:
    async for chunk in stream:
        into += chunk[: max(0, _KEPT_BYTES - len(into))]


def _verdict(
    program: str, code: int, told: bytes, complained: bytes, survivable: Collection[str]
) -> str | None:
    """What stands in the way, by what it printed and how it ended."""
    document = _document(told)
    if code == 0 and document.get("ok") is True:
        return None
    bad = _bad(document)
    if code > 0 and bad and all(each.get("name") in survivable for each in bad):
        return None
    if said := _said(document, bad):
        return said
    lines = [printable(line) for line in complained.decode(errors="replace").splitlines() if line.strip()]
    last = ": " + " / ".join(lines[-_SHOWN_LINES:]) if lines else ""
    if code == 0:
        return f"{program} says nothing to `gateway check`; it is no openclawd{last}"
    return f"{program} {_ending(code)}{last}"


def _document(told: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(told)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _bad(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings of `gateway check --json` that speak against it."""
    findings = document.get("findings")
    if not isinstance(findings, list):
        return []
    return [each for each in findings if isinstance(each, dict) and each.get("verdict") == "failed"]


def _said(document: Mapping[str, Any], bad: Iterable[Mapping[str, Any]]) -> str:
    """Those, or the command's own failure."""
    error = document.get("error")
    if isinstance(error, dict):
        return _line(error.get("message"))
    return "; ".join(f"{_line(each.get('name'))}: {_line(each.get('said'))}" for each in bad)


def _line(text: object) -> str:
    return printable(" ".join(str(text).split()))


def _ending(code: int) -> str:
    if code >= 0:
        return f"ends with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
