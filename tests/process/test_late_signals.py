"""Signals at the two moments at which nobody listens: before the handlers stand, and after they have gone."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.gateway_process import gateway_process

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

ROOT = Path(__file__).parents[2]

# As a generation at its end: there is a thread that waits for work and holds no signal back.
BETWEEN_GENERATIONS = """
import os, signal, sys, time
import trio
from openclawd.daemon.signals import keep_signals_for_the_next, received_signals

async def end():
    with received_signals():
        await trio.to_thread.run_sync(int)
        if sys.argv[1] == "held back everywhere":
            await keep_signals_for_the_next()
        else:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

trio.run(end)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.05)
os.execv(sys.executable, [sys.executable, "-c", "import signal; print(*signal.sigpending())"])
"""


@pytest.mark.parametrize("threads", ["held back everywhere", "one thread forgets"])
def test_a_stop_that_comes_between_two_generations_is_kept_for_the_next(threads: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BETWEEN_GENERATIONS, threads],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.stdout.strip() == "15", ended


def test_a_stop_that_came_before_the_handlers_stood_is_a_clean_stop() -> None:
    # As the next generation finds one.
    hold = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {15}); os.kill(os.getpid(), 15)"
    with gateway_process(start=False) as gateway:
        gateway.program = (
            sys.executable,
            "-c",
            f"{hold}; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
            *gateway.program[1:],
        )
        gateway.start(wait=False)
        assert gateway.process is not None
        assert gateway.process.wait(15) == 0, gateway.output
        gateway.process = None
        assert signal.Signals.SIGTERM.name in gateway.decisions("stopping")[0]["reason"]


# An interpreter that ends puts every signal's own effect back, then lets its modules go.
AT_THE_VERY_END = """
import os
import sys

class Late:
    def __init__(self):
        self.kill, self.process = os.kill, os.getpid()

    def __del__(self):
        self.kill(self.process, 15)

late, sys.kept = Late(), sys.modules[__name__]
"""


# In the middle of a first start, long before anything of it could heed signals.
WHILE_IT_STARTS = """
import os
import sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        first = "OPENCLAWD_HANDOVER" not in os.environ and "check" not in sys.orig_argv
        if first and name == "openclawd.daemon.main":
            os.kill(os.getpid(), 1)
            os.kill(os.getpid(), 10)

sys.meta_path.insert(0, Finder)
"""


def test_a_restart_that_is_asked_for_while_it_starts_is_done_after_the_start(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WHILE_IT_STARTS)
    with gateway_process(environment={"PYTHONPATH": f"{tmp_path}:{ROOT}"}) as gateway:
        deadline = time.monotonic() + 15
        while not gateway.decisions("ready", generation=2):
            assert time.monotonic() < deadline, gateway.output
            time.sleep(0.05)
        assert gateway.decisions("ready", generation=2)[0]["after"] == "SIGUSR1"


def test_a_stop_that_is_asked_for_again_while_the_process_ends_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(AT_THE_VERY_END)
    with gateway_process(environment={"PYTHONPATH": f"{tmp_path}:{ROOT}"}) as gateway:
        assert gateway.stop() == 0
        assert gateway.decisions("stopped")


def test_a_terminal_that_goes_away_between_two_generations_takes_the_gateway_with_it() -> None:
    with gateway_process(start=False) as gateway:
        terminal, its = pty.openpty()
        gateway.start(terminal=its)
        os.close(its)
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 15
        while not gateway.decisions("handing over"):
            assert time.monotonic() < deadline, gateway.output
            time.sleep(0.005)
        os.close(terminal)
        assert gateway.process.wait(15) == 0, gateway.output
        gateway.process = None
        assert gateway.decisions("stopping")[-1]["reason"] == "SIGHUP"
