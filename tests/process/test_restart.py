"""A restart in place: the same process, the same sockets, the same lock, and a word to every client."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import trio

from openclawd.daemon.house import GOODBYE_TIMEOUT_S
from tests.process.chats import history, said, send, settled_history, until
from tests.support.gateway_process import TOKEN, GatewayProcess, free_port, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.wire_client import wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

RESTART_PATIENCE_S = 15.0
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


def generations(gateway: GatewayProcess) -> list[int]:
    """Of the lives of the process that got ready so far, as the log has them."""
    return [line["generation"] for line in gateway.decisions("ready")]


def ask(gateway: GatewayProcess, number: signal.Signals = signal.SIGUSR1) -> None:
    assert gateway.process is not None
    gateway.process.send_signal(number)


def restart(gateway: GatewayProcess, number: signal.Signals = signal.SIGUSR1) -> None:
    """Ask for a restart and wait until it is done."""
    wanted = generations(gateway)[-1] + 1
    ask(gateway, number)
    deadline = time.monotonic() + RESTART_PATIENCE_S
    while generations(gateway)[-1] != wanted:
        assert gateway.process is not None
        assert gateway.process.poll() is None, f"the gateway has ended: {gateway.output}"
        assert time.monotonic() < deadline, gateway.output
        time.sleep(0.02)


def status(gateway: GatewayProcess) -> dict[str, Any]:
    """What `openclawd gateway status` tells."""
    found: dict[str, Any] = json.loads(gateway.command("gateway", "status", "--json").stdout)
    return found


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
async def test_every_client_is_told_when_to_come_back_and_the_process_is_the_same(
    number: signal.Signals,
) -> None:
    with gateway_process() as gateway:
        assert gateway.process is not None
        pid = gateway.process.pid
        async with wire_client(gateway.port) as old, wire_client(gateway.port) as new:
            await old.connect(token=TOKEN)
            hello = await new.connect(token=TOKEN, protocol=(4, 4))
            ask(gateway, number)
            for client in (old, new):
                assert await client.closed() == (1012, "service restart")
                (shutdown,) = (frame for frame in client.seen if frame.get("event") == "shutdown")
                payload = dict(shutdown["payload"])
                assert payload.pop("reconnectSpreadMs") < 100
                assert payload.pop("restartExpectedMs") > 0
                assert payload == {
                    "reason": "gateway restarting",
                    "reauthenticate": True,
                    "reconnectAfterMs": 0,
                    "epoch": hello["server"]["bootId"],
                    "seq": shutdown["seq"],
                }
        async with wire_client(gateway.port) as client:
            again = await client.connect(token=TOKEN, protocol=(4, 4))
        assert again["server"]["bootId"] != hello["server"]["bootId"]
        assert status(gateway)["pid"] == pid
        assert generations(gateway) == [1, 2]
        assert gateway.stop() == 0


def test_a_dial_during_the_restart_is_served_by_the_next_generation() -> None:
    with gateway_process() as gateway:
        ask(gateway)
        answers: list[int] = []
        # One after the other, all through it.
        while generations(gateway)[-1] == 1 or len(answers) < 20:
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
            connection.request("GET", "/healthz")
            answers.append(connection.getresponse().status)
            connection.close()
        assert set(answers) == {200}


def test_who_has_connected_and_said_nothing_yet_is_kept_over_the_restart() -> None:
    with gateway_process() as gateway, socket.create_connection(("127.0.0.1", gateway.port)) as silent:
        restart(gateway)
        silent.settimeout(5)
        silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert silent.recv(100).startswith(b"HTTP/1.1 200")


async def test_a_client_that_sleeps_and_one_that_does_not_read_hold_nobody_up() -> None:
    with gateway_process() as gateway:
        async with wire_client(gateway.port) as asleep, wire_client(gateway.port) as stuck:
            # Neither of them reads any more, nor answers a close frame.
            await asleep.connect(token=TOKEN)
            await stuck.connect(token=TOKEN)
            for _ in range(60):
                await stuck.request("config.schema")
            async with wire_client(gateway.port) as client:
                await client.connect(token=TOKEN)
                await trio.to_thread.run_sync(restart, gateway)
                assert (await client.closed())[0] == 1012
            codes = [line["closeCode"] for line in gateway.decisions("left")]
            assert codes == [1012] * 3


async def test_who_has_not_signed_in_yet_is_told_of_the_restart_too() -> None:
    with gateway_process() as gateway:
        async with wire_client(gateway.port) as stranger:
            await stranger.event("connect.challenge")
            await trio.to_thread.run_sync(restart, gateway)
            assert await stranger.closed() == (1012, "service restart")


def test_nobody_else_gets_the_lock_or_the_local_socket_between_two_generations() -> None:
    with gateway_process() as gateway:
        lock = gateway.state / "openclawd" / "gateway.lock"
        before = (gateway.state / "openclawd" / "gateway.sock").stat().st_ino
        ask(gateway)
        seconds = []
        while generations(gateway)[-1] == 1:
            taken = subprocess.run(["flock", "--nonblock", str(lock), "true"], check=False, timeout=5)
            seconds.append(taken.returncode)
        assert set(seconds) == {1}
        assert (gateway.state / "openclawd" / "gateway.sock").stat().st_ino == before
        second = gateway.command("gateway", "--port", str(free_port()))
        assert second.returncode == 75, second.stderr


async def test_a_secret_given_as_a_flag_counts_on_and_leaves_the_process_list() -> None:
    secret = TOKEN[::-1]
    with gateway_process(start=False) as gateway:
        gateway.start("--token", secret)
        assert gateway.process is not None
        restart(gateway)
        process = trio.Path(f"/proc/{gateway.process.pid}")
        for each in ("cmdline", "environ"):
            assert secret.encode() not in await (process / each).read_bytes()
        async with wire_client(gateway.port) as client:
            await client.connect(token=secret)


async def test_a_secret_that_was_read_from_a_pipe_counts_on() -> None:
    secret = TOKEN[::-1]
    with gateway_process(start=False) as gateway:
        reader, writer = os.pipe()
        os.write(writer, secret.encode())
        os.close(writer)
        gateway.start("--token-file", f"/dev/fd/{reader}", pass_fds=(reader,))
        os.close(reader)
        for _ in range(2):
            restart(gateway)
            async with wire_client(gateway.port) as client:
                await client.connect(token=secret)


async def test_nothing_is_left_open_that_the_first_generation_did_not_have() -> None:
    def kinds(pid: int) -> list[str]:
        folder = Path(f"/proc/{pid}/fd")
        return sorted(str(each.readlink()).split(":")[0].split("-")[0] for each in folder.iterdir())

    # Looking for models on this machine takes a socket for a moment.
    with gateway_process({"models": {"mode": "replace"}}) as gateway:
        assert gateway.process is not None
        pid = gateway.process.pid
        restart(gateway)
        before = kinds(pid)
        for _ in range(3):
            async with wire_client(gateway.port) as mute:
                await mute.connect(token=TOKEN)
                await trio.to_thread.run_sync(restart, gateway)
                assert len(kinds(pid)) > len(before)  # he may still answer
        await until(lambda: kinds(pid) == before)


# But for SIGKILL and SIGSTOP, as /proc shows it (proc(5), SigBlk).
EVERY_SIGNAL = 2**64 - 1 - (1 << signal.SIGKILL - 1) - (1 << signal.SIGSTOP - 1)


def test_signals_are_blocked_for_nobody_once_it_is_ready() -> None:
    with gateway_process() as gateway:
        assert gateway.process is not None
        restart(gateway)
        for thread in Path(f"/proc/{gateway.process.pid}/task").iterdir():
            lines = (thread / "status").read_text().splitlines()
            (blocked,) = (line for line in lines if line.startswith("SigBlk:"))
            # glibc holds back all that there are while a thread begins or ends.
            assert int(blocked.split()[1], 16) in (0, EVERY_SIGNAL), thread.name


def test_every_signal_at_once_ends_in_a_clean_stop_or_a_restart_and_never_in_a_kill() -> None:
    with gateway_process() as gateway:
        assert gateway.process is not None
        for _ in range(5):
            for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
                gateway.process.send_signal(number)
            time.sleep(0.1)
        gateway.wait_until_ready()
        gateway.process.send_signal(signal.SIGUSR2)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(10) == 0
        gateway.process = None


async def test_a_stop_asked_for_in_the_middle_of_a_restart_ends_it() -> None:
    with gateway_process() as gateway:
        assert gateway.process is not None
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            ask(gateway)
            await client.closed()
        # Nobody is left, and the next generation is about to be executed, or is.
        gateway.process.send_signal(signal.SIGTERM)
        assert await trio.to_thread.run_sync(lambda: gateway.process and gateway.process.wait(10)) == 0
        gateway.process = None


async def test_a_gateway_that_may_execute_nothing_says_so_and_ends() -> None:
    with gateway_process(start=False) as gateway:
        gateway.program = (sys.executable, "-m", "tests.support.no_execve")
        gateway.start()
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            ask(gateway)
            assert (await client.closed())[0] == 1012
        assert await trio.to_thread.run_sync(lambda: gateway.process and gateway.process.wait(10)) == 1
        gateway.process = None
        assert "cannot be executed: Operation not permitted." in gateway.output
        assert "Traceback" not in gateway.output
        assert [line["closeCode"] for line in gateway.decisions("left")] == [1012]


async def test_what_a_slow_disk_is_writing_for_a_client_is_written_before_the_handover(
    tmp_path: Path,
) -> None:
    held = tmp_path / "held"
    with gateway_process(environment={"HELD": str(held)}, start=False) as gateway:
        gateway.program = (sys.executable, "-m", "tests.support.held_disk")
        gateway.start()
        held.touch()
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            found = await client.call("config.get")
            patch = {"raw": '{"logging": {"level": "debug"}}', "baseHash": found["hash"]}
            await client.request("config.patch", patch)
            config = gateway.state / "openclaw.json"
            await until(lambda: bool(list(config.parent.glob(f".{config.name}.*.tmp"))))
            ask(gateway)
            await until(lambda: bool(gateway.decisions("handing over")))
            # Longer than a goodbye may take.
            await trio.sleep(GOODBYE_TIMEOUT_S + 0.5)
            assert generations(gateway) == [1]
            held.unlink()
            await until(lambda: generations(gateway) == [1, 2])
        assert len(gateway.decisions("config written")) == 1
        assert json.loads(config.read_text())["logging"] == {"level": "debug"}
        assert [line["closeCode"] for line in gateway.decisions("left")] == [1012]


async def test_a_message_sent_while_an_answer_is_waited_for_is_accepted_and_answered_afterwards(
    provider: ProviderProcess,
) -> None:
    with gateway_process(provider.config()) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            await send(client, "long", "take your time SLOW=120")
            await client.event("chat", runId="long", state="delta")
            ask(gateway)
            await until(lambda: bool(gateway.decisions("draining")))
            assert (await send(client, "late", "still there?"))["status"] == "started"
            assert (await client.closed())[0] == 1012
            ended = [frame["payload"]["runId"] for frame in client.seen if _is_final(frame)]
            assert ended == ["long"], "an answer under way is finished, and no other begins"
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            conversation = said(await settled_history(client))
    words = "".join(f"word{n} " for n in range(1, 121))
    assert conversation == [
        ("user", "take your time SLOW=120"),
        ("assistant", words),
        ("user", "still there?"),
        ("assistant", "You said: still there?"),
    ]


async def test_an_answer_slower_than_the_drain_goes_on_in_the_next_generation_under_its_run_id(
    provider: ProviderProcess,
) -> None:
    config = provider.config() | {"openclawd": {"restart": {"drainMs": 200}}}
    with gateway_process(config) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            await send(client, "long", "take your time SLOW=60")
            await client.event("chat", runId="long", state="delta")
            ask(gateway)
            assert (await client.closed())[0] == 1012
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN, protocol=(4, 4))
            anew = await client.event("chat", runId="long", state="delta")
            assert anew["payload"].get("replace") is True
            await client.event("chat", runId="long", state="final")
            answers = [text for role, text in said(await history(client)) if role == "assistant"]
    assert answers == ["".join(f"word{n} " for n in range(1, 61))]


async def test_a_program_that_cannot_start_cancels_the_restart_and_the_gateway_serves_on(
    tmp_path: Path,
) -> None:
    # What a search path leads to is another program after half an update.
    with gateway_process(environment={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, shell="cd /") as gateway:
        (tmp_path / "openclawd").mkdir()
        (tmp_path / "openclawd" / "__init__.py").write_text("raise ImportError('half an update')\n")
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            ask(gateway)
            await until(lambda: bool(gateway.decisions("restart cancelled")))
            await client.call("health")
        (line,) = gateway.decisions("restart cancelled")
        assert "half an update" in line["problem"]
        (tmp_path / "openclawd").rename(tmp_path / "mended")
        restart(gateway)


def _is_final(frame: dict[str, Any]) -> bool:
    return frame.get("event") == "chat" and frame["payload"].get("state") == "final"


def test_a_working_directory_that_was_removed_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    with gateway_process(shell=f"cd {tmp_path}/gone && rmdir {tmp_path}/gone") as gateway:
        restart(gateway)
