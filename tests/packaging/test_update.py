"""Updates of the frozen binary: a good version stays; whatever ails a bad one, the old one serves."""

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.packaging.updating import NEW, OLD, PATIENCE_S, host
from tests.process.chats import send, text_of
from tests.support.device import Device
from tests.support.wire_client import Refused, wire_client

pytestmark = pytest.mark.binary

FULL: Final = bool(os.environ.get("OPENCLAWD_TEST_FULL"))
full = pytest.mark.skipif(not FULL, reason="with --full")

# What the trial ends with, as the operator reads it.
REASONS: Final = {
    "raises as it starts": "it ended before it was known to be well (exited 1)",
    "crashes as it starts": "it ended before it was known to be well (killed SEGV)",
    "ends with 0 as it starts": "it ended by itself (exited 0)",
    "ends with 78 as it starts": "it ended by itself (exited 78)",
    "ends by SIGPIPE as it starts": "it ended by itself (killed PIPE)",
    "hangs as it starts": "it did not serve within 15 s",
    "dies a second later": "it ended before it was known to be well (exited 3)",
    "is never ready": "says that it is not ready (503)",
    "refuses every secret": "refused the connection",
}
# The others take as long; under a real systemd one more is always tried (test_update_systemd.py).
ALWAYS: Final = ("refuses every secret",)


def bad() -> list[object]:
    return [pytest.param(each, marks=() if each in ALWAYS else full) for each in REASONS]


async def test_a_good_version_stays_and_the_chat_goes_on(installed: Path, tmp_path: Path) -> None:
    with host(installed, tmp_path) as here:
        pid = here.supervisor.pid
        updated = here.command("update", "run", NEW, "--json")
        assert updated.returncode == 0, updated.stdout + updated.stderr
        assert json.loads(updated.stdout)["outcome"] == "confirmed"
        assert (here.serves(), here.supervisor.pid, here.supervisor.ends) == (NEW, pid, [])
        status = here.status()
        assert (status["version"], status["previous"], status["last"]["outcome"]) == (NEW, OLD, "confirmed")
        async with wire_client(here.port) as client:
            await client.connect(token=here.token)
            await send(client, "run", "hello")
            final = await client.event_of(("chat",), runId="run", state="final")
            assert text_of(final["payload"]["message"])
        back = here.command("update", "rollback")
        assert back.returncode == 0, back.stderr
        assert (here.serves(), here.supervisor.pid) == (OLD, pid)


@pytest.mark.parametrize("sabotage", bad())
def test_a_bad_version_goes_back_by_itself(installed: Path, tmp_path: Path, sabotage: str) -> None:
    with host(installed, tmp_path, sabotage) as here:
        updated = here.command("update", "run", NEW)
        assert updated.returncode == 1, updated.stdout
        assert "0.6.0 is back: " in updated.stderr
        here.until_it_serves(OLD)
        status = here.status()
        assert (status["version"], status["last"]["outcome"]) == (OLD, "rolled-back")
        assert REASONS[sabotage] in status["last"]["reason"]
        assert "trial" not in status


async def until_refused(port: int, device: Device, token: str) -> str:
    """Come back as a client does, whenever it is sent away; why it is refused in the end."""
    while True:
        with suppress(OSError, ConnectionClosed):
            async with wire_client(port) as client:
                try:
                    await client.connect(device=device, auth={"deviceToken": token})
                except Refused as refused:
                    return str(refused)
                await client.closed(patience_s=PATIENCE_S)
        await trio.sleep(0.1)


@full
async def test_a_version_that_refuses_a_paired_device_goes_back(installed: Path, tmp_path: Path) -> None:
    device = Device()
    with host(installed, tmp_path, "refuses paired devices") as here:
        async with wire_client(here.port) as client:
            token = (await client.connect(token=here.token, device=device))["auth"]["deviceToken"]
        async with wire_client(here.port) as client:
            await client.connect(device=device, auth={"deviceToken": token})
            updater = here.begin("update", "run", NEW)
            await client.closed(patience_s=PATIENCE_S)
        assert "device token mismatch" in await until_refused(here.port, device, token)
        _, complained = await trio.to_thread.run_sync(updater.communicate)
        assert "0.6.0 is back: a device that was connected before was refused" in complained
        here.until_it_serves(OLD)
        async with wire_client(here.port) as client:
            await client.connect(device=device, auth={"deviceToken": token})


@full
@pytest.mark.parametrize("sabotage", list(REASONS))
def test_a_bad_version_goes_back_when_the_updater_was_killed(
    installed: Path, tmp_path: Path, sabotage: str
) -> None:
    with host(installed, tmp_path, sabotage) as here:
        updater = here.begin("update", "run", NEW)
        while here.installation.current_version() != NEW:
            assert updater.poll() is None
            time.sleep(0.01)
        # The restart has been asked for, or will have been by then.
        time.sleep(0.7)
        updater.kill()
        updater.communicate()
        if here.serves() == OLD and here.installation.trial.exists():
            here.command("gateway", "restart")  # it had not been
        here.until_it_serves(OLD)
        here.until_the_trial_is_over()
        assert here.status()["last"]["outcome"] == "rolled-back"


@full
@pytest.mark.parametrize("after_s", [0.2, 0.6, 1.0, 1.4, 1.8, 2.2, 2.6])
def test_a_gateway_that_is_killed_at_any_moment_of_a_good_update_is_there_again(
    installed: Path, tmp_path: Path, after_s: float
) -> None:
    with host(installed, tmp_path) as here:
        updater = here.begin("update", "run", NEW)
        time.sleep(after_s)
        here.supervisor.kill()
        updater.communicate(timeout=90)
        current = here.installation.current_version()
        assert current == (NEW if updater.returncode == 0 else OLD)
        here.until_it_serves(current)
        assert not here.installation.trial.exists()


def test_a_version_that_does_not_fit_here_is_not_even_tried(installed: Path, tmp_path: Path) -> None:
    with host(installed, tmp_path, "cannot be imported") as here:
        pid = here.supervisor.pid
        updated = here.command("update", "run", NEW)
        assert updated.returncode == 1
        assert "No update: 0.7.0 could not serve here" in updated.stderr
        program = here.installation.program(NEW)
        program.unlink()
        shutil.copy(installed / "LICENSE", program)
        program.chmod(0o755)
        updated = here.command("update", "run", NEW)
        assert updated.returncode == 1
        assert "cannot be run here" in updated.stderr
        assert (here.serves(), here.supervisor.pid) == (OLD, pid)


def test_one_whose_libraries_are_gone_at_its_first_start_goes_back(installed: Path, tmp_path: Path) -> None:
    with host(installed, tmp_path, start=False) as here:
        updated = here.command("update", "run", NEW)
        assert updated.returncode == 0
        assert "Its trial begins with: openclawd gateway start" in updated.stdout
        for library in (here.installation.slot(NEW) / "_internal").glob("libpython*"):
            library.unlink()
        here.supervisor.start()
        here.until_it_serves(OLD)
        assert "0.7.0 was rolled back to 0.6.0" in here.said
        assert here.status()["last"]["outcome"] == "rolled-back"


@full
def test_a_power_cut_in_the_trial_ends_in_a_judgement_at_the_next_boot(
    installed: Path, tmp_path: Path
) -> None:
    with host(installed, tmp_path, start=False) as here:
        here.command("update", "run", NEW)
        here.supervisor.start()
        here.until_it_serves(NEW)
        here.until_the_trial_is_over()
        assert (here.serves(), here.status()["last"]["outcome"]) == (NEW, "confirmed")


@full
def test_a_trial_that_was_cut_short_by_a_power_cut_is_not_believed(installed: Path, tmp_path: Path) -> None:
    with host(installed, tmp_path) as here:
        updater = here.begin("update", "run", NEW)
        here.until_it_serves(NEW)
        updater.kill()
        updater.communicate()
        here.supervisor.power_cut()
        for line in Path("/proc").glob("[0-9]*/exe"):  # a judge that the gateway has started
            try:
                if str(line.readlink()).startswith(str(here.installation.root)):
                    os.kill(int(line.parent.name), signal.SIGKILL)
            except OSError:
                continue
        here.supervisor.start()
        here.until_it_serves(OLD)
        assert here.status()["last"]["by"] == "guard"


@full
def test_a_stop_in_the_middle_of_the_trial_postpones_it(installed: Path, tmp_path: Path) -> None:
    with host(installed, tmp_path) as here:
        updater = here.begin("update", "run", NEW)
        here.until_it_serves(NEW)
        here.supervisor.stop()
        said, complained = updater.communicate(timeout=60)
        assert updater.returncode == 0, complained
        assert "Its trial begins with" in said
        here.supervisor.start()
        here.until_it_serves(NEW)
        here.until_the_trial_is_over()
        assert here.status()["last"]["outcome"] == "confirmed"


@full
def test_two_updates_at_once_are_one(installed: Path, tmp_path: Path) -> None:
    with host(installed, tmp_path) as here:
        first = here.begin("update", "run", NEW)
        while not here.installation.lock.exists() or not here.installation.lock.read_text():
            time.sleep(0.01)
        second = here.command("update", "run", NEW)
        assert second.returncode == 1
        assert f"An update is under way (process {first.pid})." in second.stderr
        assert first.wait(60) == 0
        first.communicate()


def test_the_binary_alone_says_how_it_gets_updates(installed: Path, tmp_path: Path) -> None:

    asked = subprocess.run(
        [installed / "openclawd", "update", "run"],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert asked.returncode == 1
    assert "openclawd gateway install" in asked.stderr
