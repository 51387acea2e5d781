"""`openclawd gateway install` up to launchd, for which a double stands: what is refused, asked and said."""

import argparse
import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from openclawd.cli.failure import Failure
from openclawd.cli.install_launchd import install
from openclawd.cli.launchd_start import Clock, serving_after
from openclawd.cli.service import Chosen
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.launchd import REFUSED
from openclawd.daemon.local_socket import short_path
from openclawd.service.launchctl import Launchctl, LaunchctlRefused
from openclawd.service.launchd_job import LaunchdJob, agent
from tests.cli.test_install import AROUND
from tests.support.fake_launchctl import FakeLaunchd
from tests.support.gateway_process import free_port

LABEL = "ai.openclawd.gateway"
TARGET = f"gui/501/{LABEL}"


@attrs.frozen(eq=False)
class Mac:
    """A home, launchd, and the command with what it said."""

    home: Path
    launchd: FakeLaunchd

    @property
    def job(self) -> LaunchdJob:
        launchctl = Launchctl("gui/501", self.launchd.ask, self.launchd.sleep, self.launchd.now_s)
        return agent(self.home, LABEL, 501, launchctl)

    @property
    def environ(self) -> dict[str, str]:
        return {"HOME": str(self.home), "OPENAI_API_KEY": "sk-secret"}

    @property
    def log(self) -> Path:
        return self.home / "Library" / "Logs" / "openclawd.log"

    def install(self, *, system: bool = False, **asked: object) -> tuple[dict[str, Any], list[str]]:
        """The facts and the notes. Raises Failure, LaunchctlRefused."""
        usual: dict[str, Any] = {
            **dict.fromkeys(("root", "run_as", "port", "token_file", "password_file")),
            **dict.fromkeys(("yes", "dry_run", "json"), False),
        }
        facts: dict[str, Any] = {}
        notes: list[str] = []

        def note(said: str, cure: str) -> None:
            notes.append(f"{said}\n{cure}")

        chosen = Chosen(self.job, system, None, AROUND, self.environ)
        code = install(argparse.Namespace(**{**usual, **asked}), chosen, self.job, facts, note)
        assert code == ExitCode.OK
        return facts, notes


@contextmanager
def ready(home: Path) -> Generator[None, None, None]:
    """What listens at the local socket says that it is ready."""
    path = home / ".openclaw" / "openclawd" / "gateway.sock"
    path.parent.mkdir(parents=True)

    def answer() -> None:
        with suppress(OSError):
            while True:
                asking, _ = listening.accept()
                with asking:
                    asking.recv(4096)
                    asking.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with socket.socket(socket.AF_UNIX) as listening, short_path(path) as name:
        listening.bind(name)
        listening.listen()
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def mac(tmp_path: Path) -> Generator[Mac, None, None]:
    with ready(tmp_path):
        config = {"gateway": {"port": free_port()}}
        (tmp_path / ".openclaw" / "openclaw.json").write_text(json.dumps(config))
        yield Mac(tmp_path, FakeLaunchd())


def test_the_job_is_installed_and_started(mac: Mac) -> None:
    facts, _ = mac.install()
    assert facts["property list"].endswith("(new)")
    assert facts["service"] == f"{TARGET}: started"
    assert mac.launchd.jobs[TARGET].pid is not None


def test_installing_again_says_that_nothing_had_to_be_done(mac: Mac) -> None:
    mac.install()
    facts, _ = mac.install()
    assert facts["property list"].endswith("(as it was)")
    assert facts["service"].endswith("runs as it did")


def test_a_dry_run_leaves_no_trace(mac: Mac, capsys: pytest.CaptureFixture[str]) -> None:
    mac.install(dry_run=True)
    assert "+\t<key>ProgramArguments</key>" in capsys.readouterr().out
    assert (mac.job.file.exists(), mac.launchd.jobs) == (False, {})


def test_an_edited_list_is_shown_and_stays_where_nobody_can_be_asked(
    mac: Mac, capsys: pytest.CaptureFixture[str]
) -> None:
    mac.install()
    edited = mac.job.file.read_text().replace("<integer>5</integer>", "<integer>60</integer>")
    mac.job.file.write_text(edited)
    with pytest.raises(Failure, match="was edited, and stays as it is") as refused:
        mac.install()
    assert str(refused.value.cure).endswith("--yes")
    assert "-\t<integer>60</integer>" in capsys.readouterr().err
    assert mac.job.file.read_text() == edited
    mac.install(yes=True)
    assert "<integer>60</integer>" not in mac.job.file.read_text()


def test_where_nobody_is_logged_in_at_the_screen_nothing_is_put_anywhere(mac: Mac) -> None:
    nobody = attrs.evolve(mac, launchd=FakeLaunchd(domains=frozenset()))
    with pytest.raises(LaunchctlRefused) as refused:
        nobody.install()
    assert refused.value.cure == "sudo openclawd gateway install --system"
    assert not mac.job.file.exists()


def test_a_port_that_another_program_has_is_told_before_anything_changes(mac: Mac) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=f"Port {port} on 127.0.0.1 is in use"):
            mac.install(port=str(port))
    assert not mac.job.file.exists()


def test_what_the_job_was_installed_with_stays_where_it_is_not_named(mac: Mac) -> None:
    mac.install(port=str(free_port()), token_file="/srv/token")
    before = mac.job.file.read_text()
    facts, _ = mac.install()
    assert "(as it was)" in facts["property list"]
    assert mac.job.file.read_text() == before


def test_a_port_that_is_none_is_refused_before_anything_changes(mac: Mac) -> None:
    with pytest.raises(Failure) as refused:
        mac.install(port="many")
    assert refused.value.exit_code == ExitCode.USAGE
    assert not mac.job.file.exists()


def test_a_job_of_the_machine_is_for_somebody_who_is_there(mac: Mac) -> None:
    with pytest.raises(Failure, match="runs as a person: who"):
        mac.install(system=True)
    with pytest.raises(Failure, match="there is no user nobody-of-this-name"):
        mac.install(system=True, run_as="nobody-of-this-name")


def test_a_key_that_only_the_terminal_has_is_named_and_not_copied(mac: Mac) -> None:
    _, notes = mac.install()
    assert any(note.startswith("OPENAI_API_KEY is set in this terminal") for note in notes)
    assert any('openclawd config set env.OPENAI_API_KEY "$OPENAI_API_KEY"' in note for note in notes)
    assert "sk-secret" not in "".join(notes) + mac.job.file.read_text()


# --- a start that does not serve


def start(mac: Mac, home: Path, happens: list[int | None]) -> bool:
    """With no gateway in `home`; of the processes that launchd starts, each ends so."""

    def sleep(seconds: float) -> None:
        mac.launchd.sleep(seconds)
        known = mac.launchd.jobs[TARGET]
        if happens and known.pid is not None:
            mac.launchd.exits(TARGET, happens.pop(0))

    clock = Clock(mac.launchd.now_s, sleep)
    return serving_after(mac.job.start, mac.job, {"HOME": str(home)}, clock)


@pytest.fixture
def installed(mac: Mac, tmp_path: Path) -> Path:
    """Another home; the job is known, and has ended well before."""
    mac.install()
    mac.launchd.exits(TARGET, 0)
    return tmp_path / "elsewhere"


def test_a_job_that_ends_at_once_is_told_with_its_last_words(mac: Mac, installed: Path) -> None:
    mac.log.write_text("Port 18789 is in use.\n")
    with pytest.raises(Failure, match=r"exit code 75.*launchd goes on trying(?s:.*)Port 18789") as failed:
        start(mac, installed, [75])
    assert str(failed.value.cure).endswith("openclawd doctor")


def test_one_that_told_launchd_to_leave_it_alone_is_told_without_the_words_for_that(
    mac: Mac, installed: Path
) -> None:
    mac.log.write_text(
        f"The state is not yours.\n{REFUSED} 78, or ...\nWhen it is put right: launchctl ...\n"
    )
    with pytest.raises(Failure, match=r"another start would not help(?s:.*)The state is not yours") as failed:
        start(mac, installed, [0])
    assert "When it is put right" not in failed.value.message
    assert str(failed.value.cure).endswith("openclawd gateway check")


def test_one_that_neither_serves_nor_ends_is_not_waited_for_for_ever(mac: Mac, installed: Path) -> None:
    with pytest.raises(Failure, match="does not serve within 60 s"):
        start(mac, installed, [])


def test_one_that_runs_already_and_serves_is_no_start(mac: Mac) -> None:
    mac.install()
    assert serving_after(mac.job.start, mac.job, mac.environ) is False
