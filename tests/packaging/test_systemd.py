"""The service under a real systemd: from the program to a gateway that is there after a crash and a boot.

One machine for a person's service, one for the system's, and one that boots again with the first one's disk.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.packaging.booted import Step, lived
from tests.support.systemd import why_not

pytestmark = pytest.mark.binary

FULL = os.environ.get("OPENCLAWD_TEST_FULL") == "1"
RESTARTS = 100 if FULL else 3
PATIENCE_S = 600.0 if FULL else 240.0
NEEDED = ("/usr/bin/dbus-daemon", "/usr/lib/systemd/systemd-logind", "/usr/bin/setpriv")
# Enough for `systemd-analyze security`, in tenths.
MOST_EXPOSED = 2.5

_PERSON = r"""
run=/home/ada/.local/bin/openclawd
config=/home/ada/.config
units=$config/systemd/user
show() { as_manager systemctl --user show openclawd -p "$1"; }
health() { told=$(as_ada $run health --json) && echo $told; }
step unasked as_ada $program gateway install
log_in
until_true test -S /run/user/1000/systemd/private
step dry as_ada $program gateway install --dry-run
step nothing ls /home/ada
step foreign as_ada HOME=/root $program gateway install
printf '[Service]\nExecStart=/usr/bin/systemd-socket-activate --accept -l 127.0.0.1:18789 /bin/cat\n' \
    >/etc/systemd/user/openclaw-gateway.service
as_manager systemctl --user daemon-reload
as_manager systemctl --user start openclaw-gateway
until_true bash -c 'exec 3<>/dev/tcp/127.0.0.1/18789'
step rival as_ada $program gateway install
as_manager systemctl --user stop openclaw-gateway
mount -t tmpfs -o size=20m,uid=1000,gid=1000,mode=700 none /home/ada
step full as_ada $program gateway install
mount -o remount,size=200m,noexec /home/ada
step noexec as_ada $program gateway install
umount /home/ada
step untouched ls -A /home/ada
step install as_ada $program gateway install
step health health
step first show MainPID,NRestarts,UnitFileState
step again as_ada $run gateway install --json
step second show MainPID,NRestarts
step secret grep -rh '"token"' /home/ada/.openclaw/openclaw.json
step modes stat -c '%a %n' $config/openclawd/environment /home/ada/.openclaw

crashed() { [ "$(show NRestarts)" != NRestarts=0 ] && health; }
as_manager systemctl --user kill -s KILL openclawd
until_true crashed
step crash show MainPID,NRestarts,ActiveState
step reload as_manager systemctl --user reload openclawd
for _ in $(seq RESTARTS); do as_ada $run gateway restart >/dev/null; done
step restarts show MainPID,NRestarts,ActiveState
step status as_manager systemctl --user status --no-pager openclawd

mkdir -p $units/openclawd.service.d
printf '[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\n' >$units/openclawd.service.d/a.conf
chown -R ada: $config
as_manager systemctl --user daemon-reload
as_manager systemctl --user restart openclawd
hanging=$(show MainPID)
replaced() { [ "$(show MainPID)" != "$hanging" ] && [ "$(show MainPID)" != MainPID=0 ] && health; }
as_manager systemctl --user kill -s STOP openclawd
until_true replaced
step watchdog show ActiveState,NRestarts,Result

step stop as_ada $run gateway stop
step stopped show ActiveState,Result,ExecMainStatus
step restart as_ada $run gateway restart
step running show ActiveState
echo 'Environment=MINE=1' >>$units/openclawd.service
step edited as_ada $run gateway install
step replaced as_ada $run gateway install --yes
step kept ls $units/openclawd.service.d

echo another-secret-0123456789abcdef >/home/ada/token
chown ada: /home/ada/token
step profile as_ada $run gateway install --profile work --port 18801 --token-file /home/ada/token
step work as_ada $run gateway call health --port 18801 --token-file /home/ada/token
step units as_manager systemctl --user list-units --no-legend --plain 'openclawd*'
step credential grep -rl another-secret $config
step unprofile as_ada $run gateway uninstall --profile work

printf '[Socket]\nListenStream=127.0.0.1:18789\nListenStream=[::1]:18789\n' >$units/openclawd.socket
as_manager systemctl --user daemon-reload
as_ada $run gateway stop >/dev/null
as_manager systemctl --user start openclawd.socket
ask='printf "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n" >&3; head -1 <&3'
step through timeout 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/18789; $ask"
step both as_ada $run gateway stop
step silent as_manager systemctl --user show openclawd.socket openclawd.service -p ActiveState
rm $units/openclawd.socket
as_manager systemctl --user daemon-reload
as_ada $run gateway start >/dev/null
step machines $program gateway install --system --port 18999
said='{"sessionKey":"main","message":"hi","idempotencyKey":"a"}'
step sent as_ada $run gateway call chat.send --params "$said"
# As a power cut would leave it: everything runs.
for part in etc home opt usr/local/bin var/lib; do mkdir -p /share/kept/disk/$part; done
for part in etc home opt var/lib; do cp -a /$part/. /share/kept/disk/$part/; done
cp -a /usr/local/bin/openclawd /share/kept/disk/usr/local/bin/
step journal journalctl --no-pager -o cat
step uninstall as_ada $run gateway uninstall
step gone as_manager systemctl --user status openclawd
step left ls -A /home/ada $units
"""

_BOOT = r"""
# Nobody starts or enables anything here.
run=/home/ada/.local/bin/openclawd
health() { told=$(as_ada $run health --json) && echo $told; }
until_true health
step health health
step history as_ada $run gateway call chat.history --params '{"sessionKey":"main"}'
machines() { told=$(openclawd health --json) && echo $told; }
until_true machines
step machines machines
step target systemctl is-active multi-user.target
step units systemctl show openclawd -p ActiveState,NRestarts,UnitFileState
"""

_SYSTEM = r"""
step install $program gateway install --system --port 18999
step status openclawd gateway status
step health openclawd health --json
step user stat -c '%U %a %n' /var/lib/openclawd /var/lib/openclawd/openclaw.json /opt/openclawd
pid=$(systemctl show openclawd -P MainPID)
step process stat -c '%U' /proc/$pid
step exposure systemd-analyze security openclawd --no-pager
step enabled systemctl show openclawd -p UnitFileState,MainPID
openclawd gateway restart >/dev/null
step restarted systemctl show openclawd -p MainPID,NRestarts,ActiveState
step unchanged openclawd gateway install --system --port 18999
step check openclawd gateway check
inside() { nsenter -t $pid -m setpriv --reuid openclawd --clear-groups "$@"; }
step program inside touch /opt/openclawd/versions/x
step system inside touch /etc/x
step homes inside ls /home
step state inside cp /usr/bin/true /var/lib/openclawd/run
step smuggled inside /var/lib/openclawd/run
openclawd config set gateway.tls.enabled true >/dev/null
secured() { openclawd gateway status --json | grep -q tlsFingerprint; }
until_true secured
step tls openclawd gateway status
step nobody as_ada openclawd gateway stop --system
step stop openclawd gateway stop
mkdir /var/lib/openclawd-wrong
echo '{ gateway: { port: 0 } }' >/var/lib/openclawd-wrong/openclaw.json
step wrong openclawd gateway install --system --profile wrong
step wrong_state systemctl show openclawd-wrong -p ActiveState,SubState,NRestarts,ExecMainStatus
step uninstall openclawd gateway uninstall
step unit systemctl status openclawd

log_in
step person $program gateway install --system --as ada
step persons openclawd health --json
step persons_process stat -c '%U' /proc/$(systemctl show openclawd -P MainPID)
step persons_state ls -d /home/ada/.openclaw/openclaw.json
echo another-secret-0123456789abcdef >/root/token
chmod 600 /root/token
step token $program gateway install --system --as ada --token-file /root/token
step with_token openclawd gateway call health --port 18789 --token-file /root/token
"""


@pytest.fixture(scope="module")
def program(one_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one file where a person has put it: in a folder that everybody may read."""
    if why_not() is not None:
        pytest.skip(str(why_not()))
    for each in NEEDED:
        if not Path(each).exists():
            pytest.skip(f"no {each} here (Debian: sudo apt-get install dbus systemd)")
    folder = tmp_path_factory.mktemp("home") / "downloaded"
    folder.mkdir()
    # pytest's folders are closed; the person inside comes along all of them.
    for above in (folder, *folder.parents[:-2]):
        if above.stat().st_uid == os.geteuid():
            above.chmod(above.stat().st_mode | 0o055)
    return Path(shutil.copy2(one_file, folder))


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What outlives the machine."""
    return tmp_path_factory.mktemp("disk")


@pytest.fixture(scope="module")
def person(program: Path, disk: Path) -> dict[str, Step]:
    script = f"program={program}\n" + _PERSON.replace("RESTARTS", str(RESTARTS))
    return lived(script, [program.parents[1]], PATIENCE_S, disk)


@pytest.fixture(scope="module")
def system(program: Path) -> dict[str, Step]:
    return lived(f"program={program}\n{_SYSTEM}", [program.parents[1]], PATIENCE_S)


@pytest.fixture(scope="module")
def booted(person: dict[str, Step], program: Path, disk: Path) -> dict[str, Step]:
    """The next machine with the disk of the person's."""
    assert person
    return lived(_BOOT, [program.parents[1]], PATIENCE_S, disk)


def pid(step: Step) -> str:
    return step.facts["MainPID"]


# --- a person's service


def test_a_service_of_a_person_needs_a_manager_and_says_how_to_have_it(person: dict[str, Step]) -> None:
    assert person["unasked"].code == 1
    assert person["unasked"].said.endswith("sudo loginctl enable-linger ada")


def test_a_dry_run_shows_the_unit_and_leaves_nothing(person: dict[str, Step]) -> None:
    assert person["dry"].code == 0
    assert "+ExecStart=%h/.local/lib/openclawd/guard gateway" in person["dry"].said
    assert person["nothing"].said == ""


def test_the_home_of_another_user_is_not_taken_for_ones_own(person: dict[str, Step]) -> None:
    assert person["foreign"].said.endswith("gateway install")
    assert "HOME is /root, which is not ada's." in person["foreign"].said


def test_who_has_the_port_already_is_named_with_what_ends_that(person: dict[str, Step]) -> None:
    assert person["rival"].code == 1
    assert "Port 18789 on 127.0.0.1 is in use by systemd-socket-" in person["rival"].said
    assert "systemctl --user disable --now openclaw-gateway.service" in person["rival"].said


def test_a_disk_without_room_or_rights_to_execute_is_named_and_left_as_it_was(
    person: dict[str, Step],
) -> None:
    assert person["full"].said.splitlines() == [
        "The program cannot be put into ~/.local/lib/openclawd: No space left on device.",
        "df -h /home/ada/.local/lib/openclawd",
    ]
    assert "noexec" in person["noexec"].said
    assert person["noexec"].said.endswith("gateway install --root DIR")
    assert person["untouched"].said == ""


def test_one_command_makes_a_gateway_that_serves(person: dict[str, Step]) -> None:
    assert person["install"].code == 0, person["install"].said
    assert '"ok": true' in person["health"].said
    assert person["first"].facts["UnitFileState"] == "enabled"
    assert person["first"].facts["NRestarts"] == "0"


def test_the_same_command_again_changes_nothing(person: dict[str, Step]) -> None:
    assert person["again"].code == 0
    assert pid(person["second"]) == pid(person["first"])


def test_keys_and_state_are_the_owners_alone(person: dict[str, Step]) -> None:
    assert person["modes"].said.splitlines() == [
        "600 /home/ada/.config/openclawd/environment",
        "700 /home/ada/.openclaw",
    ]


def test_after_a_crash_it_is_there_again(person: dict[str, Step]) -> None:
    found = person["crash"].facts
    assert (found["ActiveState"], found["NRestarts"]) == ("active", "1")
    assert pid(person["crash"]) != pid(person["second"])


def test_a_reload_and_restarts_keep_the_process(person: dict[str, Step]) -> None:
    assert person["reload"].code == 0
    assert person["restarts"].facts == {**person["crash"].facts}


def test_systemctl_status_says_how_it_is(person: dict[str, Step]) -> None:
    assert f"generation {RESTARTS + 1}" in person["status"].said
    assert 'Status: "listening on port 18789, loopback' in person["status"].said


def test_a_process_that_hangs_is_replaced(person: dict[str, Step]) -> None:
    found = person["watchdog"].facts
    assert found["ActiveState"] == "active"
    assert int(found["NRestarts"]) >= 1


def test_a_stop_is_a_stop_and_a_restart_of_what_is_stopped_a_start(person: dict[str, Step]) -> None:
    assert person["stop"].code == 0
    assert person["stopped"].facts == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}
    assert person["restart"].code == 0
    assert person["running"].facts == {"ActiveState": "active"}


def test_a_unit_that_was_edited_is_shown_and_kept_until_its_owner_says_so(person: dict[str, Step]) -> None:
    assert person["edited"].code == 1
    assert "-Environment=MINE=1" in person["edited"].said
    assert person["replaced"].code == 0
    assert "a.conf" in person["kept"].said


def test_each_profile_is_a_service_of_its_own(person: dict[str, Step]) -> None:
    assert person["profile"].code == 0, person["profile"].said
    units = {line.split()[0] for line in person["units"].said.splitlines()}
    assert units == {"openclawd.service", "openclawd-work.service"}
    assert person["unprofile"].code == 0


def test_a_token_in_a_file_is_a_credential_that_stands_in_no_unit(person: dict[str, Step]) -> None:
    assert '"ok": true' in person["work"].said
    assert person["credential"].said == ""


def test_a_socket_of_systemds_starts_it_and_a_stop_stops_both(person: dict[str, Step]) -> None:
    assert "200" in person["through"].said
    assert person["both"].code == 0
    assert person["silent"].said.split() == ["ActiveState=inactive", "ActiveState=inactive"]


def test_the_journal_has_its_words_and_no_secret(person: dict[str, Step]) -> None:
    (token,) = re.findall(r'"token": *"(\w+)"', person["secret"].said)
    assert len(token) >= 32
    assert "Dashboard: http://127.0.0.1:18789/" in person["journal"].said
    assert token not in person["journal"].said


def test_uninstalled_it_is_gone_and_all_data_is_there(person: dict[str, Step]) -> None:
    assert person["uninstall"].code == 0
    assert "could not be found" in person["gone"].said
    assert ".openclaw" in person["left"].said.split()
    assert "rm -r ~/.local/lib/openclawd ~/.local/bin/openclawd" in person["uninstall"].said
    assert "openclawd.service" not in person["left"].said.split()


def test_after_a_boot_it_is_there_before_anybody_logs_in(
    person: dict[str, Step], booted: dict[str, Step]
) -> None:
    assert person["sent"].code == 0, person["sent"].said
    assert '"ok": true' in booted["health"].said
    assert '"text": "hi"' in booted["history"].said


def test_after_a_boot_the_machines_is_there_like_any_service_of_a_server(
    person: dict[str, Step], booted: dict[str, Step]
) -> None:
    assert person["machines"].code == 0, person["machines"].said
    assert booted["target"].said == "active"
    assert '"ok": true' in booted["machines"].said
    assert booted["units"].facts == {"ActiveState": "active", "NRestarts": "0", "UnitFileState": "enabled"}


# --- the system's service


def test_the_systems_service_runs_as_a_user_of_its_own(system: dict[str, Step]) -> None:
    assert system["install"].code == 0, system["install"].said
    assert system["process"].said == "openclawd"
    assert system["user"].said.splitlines() == [
        "openclawd 700 /var/lib/openclawd",
        "openclawd 600 /var/lib/openclawd/openclaw.json",
        "root 755 /opt/openclawd",
    ]
    assert system["enabled"].facts["UnitFileState"] == "enabled"


def test_roots_commands_find_it(system: dict[str, Step]) -> None:
    assert "port 18999" in system["status"].said
    assert '"ok": true' in system["health"].said


def test_it_is_little_exposed(system: dict[str, Step]) -> None:
    (level,) = re.findall(r"Overall exposure level for \S+: (\d+\.\d)", system["exposure"].said)
    assert float(level) <= MOST_EXPOSED


def test_confined_it_restarts_in_place_too(system: dict[str, Step]) -> None:
    found = system["restarted"].facts
    assert (found["ActiveState"], found["NRestarts"]) == ("active", "0")
    assert pid(system["restarted"]) == pid(system["enabled"])


def test_it_cannot_change_what_root_installed_nor_run_what_it_wrote(system: dict[str, Step]) -> None:
    for name in ("program", "system", "homes"):
        assert system[name].code != 0, name
    assert system["state"].code == 0, system["state"].said
    assert "Permission denied" in system["smuggled"].said


def test_confined_it_makes_a_certificate(system: dict[str, Step]) -> None:
    assert "certificate" in system["tls"].said


def test_only_root_stops_it(system: dict[str, Step]) -> None:
    assert system["nobody"].code == 1
    assert system["nobody"].said.endswith("sudo openclawd gateway stop --system")
    assert system["stop"].said.startswith("The gateway has stopped")


def test_root_asks_as_the_user_of_the_service_whether_it_could_start(system: dict[str, Step]) -> None:
    assert (system["check"].code, "failed" in system["check"].said) == (0, False)


def test_a_wrong_config_is_tried_once_and_said(system: dict[str, Step]) -> None:
    assert system["wrong"].code == 1
    assert "gateway.port is 0" in system["wrong"].said
    found = system["wrong_state"].facts
    # What is to be started again is `activating (auto-restart)` until then.
    assert (found["ActiveState"], found["SubState"]) == ("failed", "failed")
    assert (found["NRestarts"], found["ExecMainStatus"]) == ("0", "78")


def test_the_systems_service_goes_as_it_came(system: dict[str, Step]) -> None:
    assert system["uninstall"].code == 0
    assert "could not be found" in system["unit"].said


def test_a_person_may_have_their_own_gateway_run_by_the_system(system: dict[str, Step]) -> None:
    assert system["person"].code == 0, system["person"].said
    assert '"ok": true' in system["persons"].said
    assert system["persons_process"].said == "ada"
    assert system["persons_state"].code == 0


def test_a_file_that_only_root_reads_may_hold_the_token(system: dict[str, Step]) -> None:
    assert "restarted with the new unit" in system["token"].said
    assert '"ok": true' in system["with_token"].said
