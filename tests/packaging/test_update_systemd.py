"""Updates under a real systemd, of a person's service and of the system's: the units that `gateway install`
makes are what brings the old version back, whatever the new one does.
"""

import os
import re
from pathlib import Path
from typing import Final

import pytest

from tests.packaging.booted import Step, lived
from tests.packaging.updating import SABOTAGE
from tests.support.systemd import why_not
from tests.support.versions import variant

pytestmark = pytest.mark.binary

FULL: Final = os.environ.get("OPENCLAWD_TEST_FULL") == "1"
PATIENCE_S: Final = 900.0 if FULL else 180.0
OLD, GOOD = "0.6.0", "0.7.0"
# By the version that has it.
BAD: Final = {
    "0.7.1": "ends with 78 as it starts",
    "0.7.2": "crashes as it starts",
    "0.7.3": "ends with 0 as it starts",
    "0.7.4": "ends by SIGPIPE as it starts",
    "0.7.5": "refuses every secret",
    "0.7.6": "is never ready",
    "0.7.7": "hangs as it starts",
}
TRIED: Final = tuple(BAD) if FULL else ("0.7.1",)
# It takes its time until one that is never ready has had its time.
JUDGED: Final = "0.7.6" if FULL else ""

_PERSON = r"""
run=/home/ada/.local/bin/openclawd
as_ada mkdir -m 700 /home/ada/.openclaw
as_ada sh -c 'echo "{ openclawd: { update: { trialMs: 1000 } } }" >/home/ada/.openclaw/openclaw.json'
log_in
until_true test -S /run/user/1000/systemd/private
step person-install as_ada $program/openclawd gateway install
as_ada cp -a $versions/. /home/ada/.local/lib/openclawd/versions/
show() { as_manager systemctl --user show openclawd -p MainPID,NRestarts,ActiveState; }
for bad in $tried; do
    step person-${bad//./-} as_ada $run update run $bad
    until_true as_ada $run health
    step person-${bad//./-}-status as_ada $run update status --json
    step person-${bad//./-}-unit show
done
step person-before show
step person-good as_ada $run update run $good
step person-after show
step person-version as_ada $run gateway status --json
step person-stop as_ada $run gateway stop
"""

_SYSTEM = r"""
step system-install $program/openclawd gateway install --system --port 18999
openclawd config set openclawd.update.trialMs 1000 >/dev/null
cp -a $versions/. /opt/openclawd/versions/
for bad in $tried; do
    step system-${bad//./-} openclawd update run $bad
    until_true openclawd health
    step system-${bad//./-}-status openclawd update status --json
    step system-${bad//./-}-unit systemctl show openclawd -p MainPID,NRestarts,ActiveState
done

# Whoever updates dies in the middle of it: the gateway's own user may change nothing, and judges.
openclawd update run $good >/dev/null 2>&1 &
updater=$!
until_true sh -c "openclawd gateway status --json | grep -q '\"version\": \"$good\"'"
kill -9 $updater
until_true test -e /var/lib/openclawd/openclawd/trial-word
step system-word cat /var/lib/openclawd/openclawd/trial-word
step system-good openclawd gateway status --json
systemctl restart openclawd
until_true openclawd health
step system-kept openclawd update status --json
step system-nobody setpriv --reuid openclawd --clear-groups openclawd update rollback
step system-rollback openclawd update rollback
step system-back openclawd update status --json

# Whom nobody watched from the beginning is judged by the service's own user, in words.
if [ -n "$judged" ]; then
    openclawd gateway stop >/dev/null
    cp -a $versions/$judged /opt/openclawd/versions/
    openclawd update run $judged >/dev/null
    openclawd gateway start >/dev/null
    # It has its fifteen seconds, and another machine's worth.
    over() { ! test -e /opt/openclawd/update/trial; }
    until_true over || until_true over
    until_true openclawd health
    step system-judged openclawd update status --json
fi
journalctl --sync
step journal journalctl --no-pager -o cat -q
"""


@pytest.fixture(scope="module")
def steps(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Step]:
    if why_not() is not None:
        pytest.skip(str(why_not()))
    folder = tmp_path_factory.mktemp("versions")
    program = variant(installed, folder / "program", OLD)
    versions = folder / "versions"
    versions.mkdir()
    variant(installed, versions / GOOD, GOOD)
    for version in TRIED:
        variant(installed, versions / version, version, SABOTAGE[BAD[version]])
    for each in (*folder.parents[:3], folder):
        each.chmod(0o755)
    given = (
        f"program={program}\nversions={versions}\ntried='{' '.join(TRIED)}'\ngood={GOOD}\njudged={JUDGED}\n"
    )
    return lived(given + _PERSON + _SYSTEM, shown=[folder], patience_s=PATIENCE_S)


@pytest.mark.parametrize("whose", ["person", "system"])
@pytest.mark.parametrize("version", TRIED)
def test_the_old_version_is_back_whatever_the_new_one_does(
    steps: dict[str, Step], whose: str, version: str
) -> None:
    name = f"{whose}-{version.replace('.', '-')}"
    updated = steps[name]
    assert updated.code == 1, updated.said
    assert f"{OLD} is back" in updated.said
    status = steps[f"{name}-status"].said
    assert f'"version": "{OLD}"' in status
    assert '"outcome": "rolled-back"' in status
    assert '"trial"' not in status
    assert steps[f"{name}-unit"].facts["ActiveState"] == "active"


def test_a_good_version_of_a_person_needs_no_new_process(steps: dict[str, Step]) -> None:
    updated = steps["person-good"]
    assert updated.code == 0, updated.said
    assert f"{GOOD} runs, and stays" in updated.said
    assert f'"version": "{GOOD}"' in steps["person-version"].said
    assert steps["person-after"].facts == steps["person-before"].facts
    assert steps["person-stop"].code == 0


def test_a_gateway_that_may_change_nothing_judges_and_root_believes_it(steps: dict[str, Step]) -> None:
    assert re.fullmatch(rf"{re.escape(GOOD)} \d+", steps["system-word"].said.strip())
    assert f'"version": "{GOOD}"' in steps["system-good"].said
    kept = steps["system-kept"].said
    assert f'"version": "{GOOD}"' in kept
    assert '"trial"' not in kept


def test_only_root_changes_what_runs_for_everybody(steps: dict[str, Step]) -> None:
    refused = steps["system-nobody"]
    assert refused.code == 1
    assert "sudo openclawd update rollback" in refused.said
    assert steps["system-rollback"].code == 0, steps["system-rollback"].said
    assert f'"version": "{OLD}"' in steps["system-back"].said


@pytest.mark.skipif(not FULL, reason="half a minute: scripts/test --full")
def test_why_its_own_user_judged_it_not_to_be_well_is_what_root_reads(steps: dict[str, Step]) -> None:
    said = steps["system-judged"].said
    assert f'"version": "{OLD}"' in said
    assert "says that it is not ready (503)" in said


def test_the_journal_says_what_the_guard_did(steps: dict[str, Step]) -> None:
    said = steps["journal"].said
    for version in TRIED:
        # One that hangs is the updater's to end.
        if "starts" in BAD[version] and "hangs" not in BAD[version]:
            assert f"openclawd guard: {version} was rolled back to {OLD}: it ended" in said
