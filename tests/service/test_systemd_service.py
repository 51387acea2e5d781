"""The service under systemd: every step may be repeated, and nothing is done twice."""

from pathlib import Path

import pytest

from openclawd.service.systemctl import NoManager, Systemctl, SystemctlRefused
from openclawd.service.systemd_service import SystemdService
from openclawd.service.tool import ABSENT, Told
from openclawd.service.unit_file import UnitFile
from tests.support.fake_systemctl import FakeSystemctl, FakeUnit

UNIT = "openclawd.service"


@pytest.fixture
def manager(tmp_path: Path) -> FakeSystemctl:
    return FakeSystemctl(tmp_path)


@pytest.fixture
def service(tmp_path: Path, manager: FakeSystemctl) -> SystemdService:
    systemctl = Systemctl(of_user=True, ask=manager, wait=manager)
    return SystemdService("openclawd", tmp_path / UNIT, systemctl, manager)


def wanted(service: SystemdService, text: str = "[Service]\n") -> UnitFile:
    return UnitFile(service.file, text)


def test_the_first_installation_writes_reads_enables_and_starts(
    service: SystemdService, manager: FakeSystemctl
) -> None:
    assert service.install(wanted(service)) == "started"
    assert manager.verbs == ["daemon-reload", f"enable {UNIT}", f"reset-failed {UNIT}", f"start {UNIT}"]


def test_installing_again_touches_nothing(service: SystemdService, manager: FakeSystemctl) -> None:
    service.install(wanted(service))
    pid, manager.verbs = manager.units[UNIT].pid, []
    assert service.install(wanted(service)) == "unchanged"
    assert (manager.verbs, manager.units[UNIT].pid) == ([], pid)


def test_another_unit_takes_a_new_process(service: SystemdService, manager: FakeSystemctl) -> None:
    service.install(wanted(service))
    assert service.install(wanted(service, "[Service]\nRestartSec=1\n")) == "restarted"
    assert "RestartSec=1" in manager.units[UNIT].read


def test_a_stopped_service_that_is_installed_again_is_started(
    service: SystemdService, manager: FakeSystemctl
) -> None:
    service.install(wanted(service))
    service.stop()
    assert service.install(wanted(service)) == "started"


def test_a_start_that_fails_is_said(service: SystemdService, manager: FakeSystemctl) -> None:
    manager.starts_well = lambda: False
    with pytest.raises(SystemctlRefused, match="control process exited"):
        service.install(wanted(service))
    standing = service.standing()
    assert standing is not None
    end, words = service.last_end(standing)
    assert end is not None
    assert (end.code, words) == (78, ["gateway.port is 0"])


def test_start_and_stop_say_whether_there_was_anything_to_do(
    service: SystemdService, manager: FakeSystemctl
) -> None:
    service.install(wanted(service))
    assert (service.start(), service.stop(), service.stop(), service.start()) == (False, True, False, True)


def test_a_start_forgets_that_systemd_has_given_up(service: SystemdService, manager: FakeSystemctl) -> None:
    service.install(wanted(service))
    manager.units[UNIT].active, manager.verbs = "failed", []
    assert service.start()
    assert manager.verbs[0] == f"reset-failed {UNIT}"


def test_what_is_not_installed_is_not_started(service: SystemdService) -> None:
    with pytest.raises(SystemctlRefused) as refused:
        service.start()
    assert refused.value.cure == "openclawd gateway install"


def test_a_stop_stops_the_socket_that_would_start_it_again(
    service: SystemdService, manager: FakeSystemctl
) -> None:
    service.install(wanted(service))
    manager.units["openclawd.socket"] = FakeUnit("", active="active")
    manager.triggered_by, manager.verbs = "openclawd.socket", []
    assert service.stop()
    assert manager.verbs[0] == f"stop openclawd.socket {UNIT}"


def test_a_socket_that_listens_is_stopped_also_when_the_gateway_does_not_run(
    service: SystemdService, manager: FakeSystemctl
) -> None:
    service.install(wanted(service))
    manager.units["openclawd.socket"] = FakeUnit("", active="active")
    manager.triggered_by = "openclawd.socket"
    manager.units[UNIT].active = "inactive"
    assert service.stop()
    assert manager.units["openclawd.socket"].active == "inactive"


def test_uninstalling_leaves_nothing_of_it_and_may_be_repeated(
    service: SystemdService, manager: FakeSystemctl
) -> None:
    service.install(wanted(service))
    assert (service.uninstall(), service.file.exists(), service.uninstall()) == (True, False, False)
    assert manager.units == {}


# --- refusals


def test_no_systemd_is_no_manager(service: SystemdService, manager: FakeSystemctl) -> None:
    manager.refuses = Told(ABSENT, err="systemctl: No such file or directory")
    with pytest.raises(NoManager):
        service.facts()


def test_a_manager_that_does_not_answer_is_none(service: SystemdService, manager: FakeSystemctl) -> None:
    manager.refuses = Told(1, err="Failed to connect to bus: No medium found")
    with pytest.raises(NoManager) as refused:
        service.facts()
    assert refused.value.cure == "openclawd gateway install"


def test_the_systems_services_are_roots(tmp_path: Path, manager: FakeSystemctl) -> None:
    manager.refuses = Told(1, err="Failed to start openclawd.service: Interactive authentication required.")
    systemctl = Systemctl(of_user=False, ask=manager, wait=manager)
    with pytest.raises(SystemctlRefused) as refused:
        systemctl.start(UNIT)
    assert refused.value.cure == f"sudo systemctl start {UNIT}"


def test_the_version_is_the_number_in_its_first_line(service: SystemdService) -> None:
    assert service.systemctl.version() == 252
