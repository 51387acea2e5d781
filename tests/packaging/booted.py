"""A machine with a real systemd, its logind and a person `ada` without any rights; a script on it, and what
each of its steps said.

No PAM is asked: a user's manager is started by lingering, as on a headless server.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import attrs

from tests.support.systemd import PATIENCE_S, run_under_systemd

_PRELUDE = """
export PATH=/usr/local/bin:$PATH
{
    echo 'u messagebus - - - -'
    echo 'u ada 1000 "Ada" /home/ada /bin/bash'
} | systemd-sysusers - 2>/dev/null
chmod 1777 /tmp
mkdir -p /home/ada /etc/systemd/system/user@.service.d
chown ada: /home/ada
chmod 700 /home/ada
cat >/etc/systemd/system/user@.service.d/no-pam.conf <<'END'
[Service]
PAMName=
Environment=XDG_RUNTIME_DIR=/run/user/%i HOME=/home/ada
END
systemctl daemon-reload
# Whoever it is, in an environment like that of a headless log-in: no XDG_RUNTIME_DIR.
as_ada() { setpriv --reuid ada --regid ada --init-groups env -i HOME=/home/ada PATH=$PATH "$@"; }
as_manager() { as_ada XDG_RUNTIME_DIR=/run/user/1000 "$@"; }
step() { echo "<<$1"; shift; "$@" 2>&1 </dev/null && code=0 || code=$?; echo; echo ">>$code"; }
until_true() { for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; return 1; }
log_in() { systemctl start dbus.service systemd-logind.service 2>/dev/null; loginctl enable-linger ada; }
"""
_STEP = re.compile(r"^<<([\w-]+)\n(.*?)\n?>>(\d+)$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Step:
    """What one command printed, and its exit code."""

    said: str
    code: int

    @property
    def facts(self) -> dict[str, str]:
        """Its `Name=value` lines."""
        return dict(re.findall(r"^(\w+)=(.*)$", self.said, re.MULTILINE))


def lived(
    script: str, shown: Sequence[Path], patience_s: float = PATIENCE_S, kept: Path | None = None
) -> dict[str, Step]:
    """Boot, run it, and power off: what each `step NAME COMMAND` said. `kept` outlives the machine."""
    output = run_under_systemd(_PRELUDE + script, shown=shown, patience_s=patience_s, kept=kept)
    steps = {name: Step(said.strip("\n"), int(code)) for name, said, code in _STEP.findall(output)}
    assert steps, output
    return steps
