"""The unit under a real systemd, installed by the words of docs/service.md."""

import json
import re

import pytest

from tests.packaging.frozen import ROOT
from tests.support.systemd import run_under_systemd, why_not

pytestmark = pytest.mark.binary

WAIT = "for _ in $(seq 300); do {condition} && break; sleep 0.1; done"
OPENCLAWD = "~/.local/bin/openclawd"


@pytest.fixture(autouse=True)
def _can_boot(installed: object) -> None:
    if why_not() is not None:
        pytest.skip(str(why_not()))


def install() -> str:
    """The first commands of the document, as they stand there."""
    return str(re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "service.md").read_text(), re.DOTALL)[0])


def show(*properties: str) -> str:
    return f"systemctl --user show openclawd -p {','.join(properties)}"


def run(*script: str) -> tuple[dict[str, str], str]:
    """Run the lines where the project lies: what it printed as `Name=value`, and all of it."""
    output = run_under_systemd("\n".join((f"cd {ROOT}", *script)), shown=[ROOT])
    return dict(re.findall(r"^(\w+)=(.*)$", output, re.MULTILINE)), output


def until(condition: str) -> str:
    return WAIT.format(condition=condition)


def test_it_is_started_when_it_serves_says_how_it_is_and_stops_cleanly() -> None:
    found, output = run(
        "mkdir -p ~/.config/openclawd && echo OPENCLAW_GATEWAY_PORT=18999 > ~/.config/openclawd/environment",
        install(),
        # What ran before is over: no waiting.
        f"echo Health=$({OPENCLAWD} health --json | tr -d '\\n')",
        "systemctl --user status --no-pager openclawd",
        "systemctl --user stop openclawd",
        show("ActiveState", "Result", "ExecMainStatus", "NRestarts"),
    )
    assert json.loads(found["Health"])["ok"] is True
    assert "Active: active (running)" in output
    assert 'Status: "listening on port 18999, loopback"' in output
    ended = {key: found[key] for key in ("ActiveState", "Result", "ExecMainStatus", "NRestarts")}
    assert ended == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0", "NRestarts": "0"}


def test_the_journal_has_no_token() -> None:
    found, output = run(
        install(),
        'echo Token=$(sed -n \'s/.*"token": *"\\(.*\\)".*/\\1/p\' ~/.openclaw/openclaw.json)',
        "journalctl --sync",
        "echo; journalctl --no-pager -o cat -t openclawd",
    )
    assert len(found["Token"]) >= 32
    assert "Dashboard: http://127.0.0.1:18789/" in output
    assert output.count(found["Token"]) == 1, "the line of this test alone"


def test_a_wrong_config_is_told_once_and_not_started_again() -> None:
    found, output = run(
        "mkdir -m 700 ~/.openclaw && echo '{ gateway: { port: 0 } }' > ~/.openclaw/openclaw.json",
        f"( {install()} ) || true",
        show("ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts"),
        "journalctl --sync",
        "journalctl --no-pager -o cat -t openclawd",
    )
    assert found["ExecMainStatus"] == "78"
    # What is to be started again is `activating (auto-restart)` until then.
    assert (found["ActiveState"], found["SubState"], found["NRestarts"]) == ("failed", "failed", "0")
    assert output.count("gateway.port is 0") == 1


def test_after_a_crash_it_is_there_again() -> None:
    found, _ = run(
        install(),
        "systemctl --user kill -s KILL openclawd",
        until('[ "$(systemctl --user show openclawd -P NRestarts,ActiveState)" = "$(printf "1\\nactive")" ]'),
        show("NRestarts", "ActiveState"),
        f"echo Health=$({OPENCLAWD} health --json | tr -d '\\n')",
    )
    assert (found["NRestarts"], found["ActiveState"]) == ("1", "active")
    assert json.loads(found["Health"])["ok"] is True


def test_a_place_that_is_taken_is_tried_again_until_it_is_free() -> None:
    found, output = run(
        install().replace("systemctl --user enable --now openclawd", ""),
        # Somebody's own gateway, in a terminal.
        f"{OPENCLAWD} gateway > /dev/null 2>&1 &",
        "first=$!",
        until(f"{OPENCLAWD} health > /dev/null 2>&1"),
        "systemctl --user enable --now openclawd || true",
        "echo First=$(systemctl --user show openclawd -P ExecMainStatus)",
        "kill $first; wait $first",
        until("[ $(systemctl --user is-active openclawd) = active ]"),
        show("ActiveState"),
    )
    assert found["First"] == "75", output
    assert found["ActiveState"] == "active"
