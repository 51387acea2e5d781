"""What a version on trial is held against: how the gateway was before it."""

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from openclawd.cli.trial_probes import Known, Probes
from openclawd.cli.trial_visit import Seen, visit
from openclawd.config.paths import Paths, resolve_paths
from openclawd.update.gateway import Before
from tests.cli.conftest import Shell
from tests.cli.fake_gateway import FakeGateway, Refusal

LIFE = 1_700_000_000_000
SEEN = Seen("0.7.0", LIFE, ("127.0.0.1", 18789), False, (), frozenset(), {}, {})
NOTHING = Known(frozenset())


@pytest.fixture
def probes(tmp_path: Path) -> Probes:
    return Probes(resolve_paths({"HOME": str(tmp_path)}), {"HOME": str(tmp_path)})


def refused(device: str, at_ms: int) -> dict[str, Any]:
    return {"outcome": "refused", "device": device, "ts": at_ms, "reason": "device_token_mismatch"}


@pytest.mark.parametrize(
    ("device", "at_ms", "faults"),
    [
        ("phone", LIFE + 1, ["a device that was connected before was refused: device_token_mismatch"]),
        ("phone", LIFE - 1, []),
        ("somebody's", LIFE + 1, []),
    ],
)
def test_a_device_that_was_connected_and_is_refused_now_speaks_against_it(
    probes: Probes, device: str, at_ms: int, faults: list[str]
) -> None:
    seen = attrs.evolve(SEEN, decisions=(refused(device, at_ms),))
    known = attrs.evolve(NOTHING, connected=frozenset({"phone"}))
    assert list(probes.faults(seen, known)) == faults


@pytest.mark.parametrize(("left", "is_lost"), [(0, True), (3, True), (4, False), (7, False), (9, False)])
def test_what_is_gone_speaks_against_it_and_what_somebody_has_tidied_up_does_not(
    probes: Probes, left: int, is_lost: bool
) -> None:
    seen = attrs.evolve(SEEN, counts={"conversations": left})
    told = list(probes.faults(seen, attrs.evolve(NOTHING, counts={"conversations": 7})))
    assert told == ([f"of 7 conversations that there were, {left} are left"] if is_lost else [])


def test_an_address_that_nobody_has_changed_must_not_change(probes: Probes) -> None:
    here = ("127.0.0.1", 18789, "loopback", 18789)
    assert not list(probes.problems(SEEN, attrs.evolve(NOTHING, address=here)))
    moved = attrs.evolve(SEEN, address=("127.0.0.1", 18790))
    told = "it listens at 127.0.0.1:18790, and no longer at 127.0.0.1:18789"
    assert list(probes.problems(moved, attrs.evolve(NOTHING, address=here))) == [told]


def test_one_that_the_config_has_moved_meanwhile_has_moved_rightly(probes: Probes) -> None:
    elsewhere = ("127.0.0.1", 18700, "loopback", 18700)
    assert not list(probes.problems(SEEN, attrs.evolve(NOTHING, address=elsewhere)))


def test_what_was_known_before_is_known_to_whoever_judges_later() -> None:
    known = Known(
        frozenset({"local"}),
        frozenset({"phone"}),
        frozenset({"a fault"}),
        {"conversations": 7},
        ("127.0.0.1", 18789, "loopback", 18789),
    )
    kept = json.loads(json.dumps(known.document()))
    assert Known.of(Before("0.6.0", LIFE, kept)) == known


def answers(**others: Any) -> dict[str, Any]:
    given = {
        "status": {
            "openclawd": {"startedAtMs": LIFE, "address": "127.0.0.1", "port": 1},
            "sessions": {"count": 2},
        },
        "gateway.admissions": {"recent": [refused("phone", LIFE)]},
        "system-presence": [{"deviceId": "phone"}, {"host": "cli"}],
        "device.pair.list": {"paired": [{}, {}, {}]},
        **{name: {} for name in ("agents.list", "chat.history", "config.get", "health", "sessions.list")},
        **others,
    }
    return {name: lambda _, answer=answer: raised(answer) for name, answer in given.items()}


def raised(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def test_a_visit_tells_how_much_there_is_and_what_is_not_answered(shell: Shell) -> None:
    broken = Refusal(code="UNAVAILABLE", message="no such table")
    gateway = FakeGateway(answers=answers(**{"chat.history": broken}))
    with gateway.listening(socket=shell.socket):
        seen = visit(Paths(shell.state_dir, shell.state_dir / "openclaw.json"))
    assert seen.counts == {"conversations": 2, "paired devices": 3}
    assert (seen.version, seen.connected) == ("9.9.9", frozenset({"phone"}))
    assert seen.unread == {"chat.history": "chat.history: no such table"}


def test_what_was_answered_before_and_is_not_now_speaks_against_it(probes: Probes) -> None:
    seen = attrs.evolve(SEEN, unread={"chat.history": "no such table"})
    assert list(probes.problems(seen, Known(frozenset({"chat.history"})))) == ["no such table"]
    assert not list(probes.problems(seen, NOTHING))


def write_token(shell: Shell, gateway: FakeGateway, token: str) -> None:
    shell.write_config(json.dumps({"gateway": {"port": gateway.port, "auth": {"token": token}}}))


def test_of_a_gateway_that_nobody_knew_the_secret_of_the_config_is_tried(shell: Shell) -> None:
    gateway = FakeGateway(token="t" * 48)
    with gateway.listening(tcp=True):
        write_token(shell, gateway, "another" * 8)
        environ = {"HOME": str(shell.state_dir), "OPENCLAW_STATE_DIR": str(shell.state_dir)}
        nobody = Probes(resolve_paths(environ), environ)
        seen, unknown = attrs.evolve(SEEN, address=("127.0.0.1", gateway.port)), Known.of(None)
        nobody.shake_hands(seen, unknown)
        assert any("gateway token mismatch" in each for each in nobody.faults(seen, unknown))
        write_token(shell, gateway, "t" * 48)
        nobody.shake_hands(seen, unknown)
        assert not list(nobody.faults(seen, unknown))


def test_a_secret_that_nobody_knows_here_is_not_asked_for(shell: Shell) -> None:
    environ = {"HOME": str(shell.state_dir), "OPENCLAW_STATE_DIR": str(shell.state_dir)}
    nobody = Probes(resolve_paths(environ), environ)
    gateway = FakeGateway(token="t" * 48)
    with gateway.listening(tcp=True):
        nobody.shake_hands(attrs.evolve(SEEN, address=("127.0.0.1", gateway.port)), Known.of(None))
    assert not gateway.connects
