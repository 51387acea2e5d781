"""The systemd unit of a gateway, as a pure function of what it is to be. No secret ever stands in it.

A user's service and a profile's are the same text but for names, so that `service-files/` can hold it for
packagers, and an installation can be compared with what it should be.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from openclawd.daemon.exit_codes import ExitCode
from openclawd.service.hardening import confinement

OWN_USER: Final = "openclawd"
"""Who runs the system's service where nobody else is named."""

PACKAGED_FOR: Final = 252
"""The systemd of the files for packagers: Debian 12 and the like. A newer one understands them, too."""

SECRETS: Final = ("token", "password")
"""What `--…-file` flags give the gateway, and systemd keeps as a credential."""

# What goes through an assignment of systemd as it is.
_PLAIN: Final = re.compile(r"[\w@%+=:,./~${}-]+")
_LOADED: Final = re.compile(r"^LoadCredential=([^:\n]+):(.+)$", re.MULTILINE)


@attrs.frozen
class ServiceSpec:
    """A gateway as a service."""

    program: tuple[str, ...]
    """What is started, without `gateway`. With `guarded`: the guard of an installation."""

    system: bool = False
    """For the system's manager; otherwise for a user's."""

    user: str = OWN_USER
    """Of a system's service: who runs it. Anybody but OWN_USER is a person, whose own gateway it is."""

    profile: str | None = None
    guarded: bool = True
    """Whether `program` is a guard, who decides about an update on trial."""

    flags: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    """Names and values; places only, never a secret."""

    credentials: tuple[tuple[str, str], ...] = ()
    """Of SECRETS, with the file that each is in, which systemd may read and the gateway need not."""

    systemd: int = PACKAGED_FOR

    @property
    def name(self) -> str:
        """The unit's, without `.service`."""
        return unit_name(self.profile)

    @property
    def is_confined(self) -> bool:
        """Whether it runs as a user that is nobody else."""
        return self.system and self.user == OWN_USER

    @property
    def environment_file(self) -> str:
        """Where keys are put, as systemd writes it: %E is ~/.config for a user, /etc for the system."""
        return f"%E/openclawd/environment{_suffix(self.profile)}"


def unit_name(profile: str | None) -> str:
    """`openclawd`, and for a profile `openclawd-NAME`; without `.service`."""
    return f"openclawd{_suffix(profile)}"


def service_text(spec: ServiceSpec) -> str:
    """The file of the unit."""
    return "\n".join(_lines(spec)) + "\n"


def socket_text(name: str, addresses: Iterable[str]) -> str:
    """A socket unit beside the service `name`, for who wants systemd to listen from the boot on."""
    return "\n".join(
        (
            f"# systemd listens in the place of {name}.service, on the addresses of the gateway's config.",
            "# An option: the service keeps its sockets over a crash without it. With it, systemd listens",
            "# from the boot on, and starts the gateway when somebody connects, after a stop, too.",
            "# To stop both: openclawd gateway stop",
            "",
            "[Socket]",
            *(f"ListenStream={address}" for address in addresses),
            "",
            "[Install]",
            "WantedBy=sockets.target",
            "",
        )
    )


def credential_name(secret: str) -> str:
    """What the unit calls the `token` or `password` that systemd reads for it."""
    return f"gateway-{secret}"


def loaded_credentials(unit: str) -> dict[str, str]:
    """The files that systemd reads for a unit of this text, by the credentials' names."""
    return {name: file.replace("%%", "%") for name, file in _LOADED.findall(unit)}


def quoted(word: str) -> str:
    """A word of a command line (systemd.service(5)); a specifier like %h keeps its meaning."""
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """Text in which systemd is to find no specifier and no variable of its own."""
    return text.replace("%", "%%").replace("$", "$$")


def _suffix(profile: str | None) -> str:
    return "" if profile is None else f"-{profile}"


def _lines(spec: ServiceSpec) -> Iterator[str]:
    whose, scope = ("the system", "") if spec.system else ("its user", "--user ")
    yield f"# openclawd as a service of {whose}."
    yield f"# What you want otherwise goes into a file beside it: systemctl {scope}edit {spec.name}"
    yield "# No secret stands here: the config has the token, and EnvironmentFile= the keys."
    yield ""
    yield "[Unit]"
    of_profile = "" if spec.profile is None else f" ({spec.profile})"
    yield f"Description=openclawd, the OpenClaw Gateway{of_profile}"
    if spec.system:
        yield "# An address that the config names may come with the network."
        yield "Wants=network-online.target"
        yield "After=network-online.target"
    yield from _START_LIMIT
    yield ""
    yield "[Service]"
    yield from _TYPE
    if spec.system:
        yield from _own_user(spec)
    yield from _program(spec)
    yield from _LIFE
    yield "# Keys of model providers and the like, one NAME=value a line, mode 0600; there need not be one."
    yield f"EnvironmentFile=-{spec.environment_file}"
    if spec.is_confined:
        yield ""
        for directive in confinement(spec.systemd, f"%S/{spec.name}"):
            yield f"# {directive.reason}"
            yield f"{directive.name}={directive.value}"
    yield ""
    yield "[Install]"
    yield f"WantedBy={'multi-user' if spec.system else 'default'}.target"


_START_LIMIT: Final = """\
# A fault that does not pass is given up after some minutes, loudly. The window is longer than so many slow
# starts and the pauses between them, or the limit would never be reached.
StartLimitIntervalSec=30min
StartLimitBurst=300""".splitlines()

_TYPE: Final = """\
# Started means that whoever connects is served: the gateway says so itself, and how it is.
Type=notify
NotifyAccess=main""".splitlines()

_LIFE: Final = f"""\
# To go by the config as it is now; nobody notices. Nor of a restart in place: openclawd gateway restart
ExecReload=/bin/kill -HUP $MAINPID
# The listening sockets outlive a crash: who connects then waits for the next start, and nobody is refused.
FileDescriptorStoreMax=16
# An event loop that is stuck for so long is written down in the log, killed and started again.
WatchdogSec=30
# After a crash and after a busy port; not after a clean stop. At once, since clients wait.
Restart=on-failure
RestartSec=100ms
# {ExitCode.CONFIG:d}: the config, the bind address or the auth settings are wrong. Another start would not
# help; the journal has the reason.
RestartPreventExitStatus={ExitCode.CONFIG:d}
# The gateway asks its own to end first; only what is left after the time-out is killed.
KillMode=mixed
# It ends within five seconds: runs are put back, clients are told. Three times that on a busy machine; a
# gateway that needs longer says so, and is waited for.
TimeoutStopSec=15
# A start takes less than a second; one that has a large database to convert says so, and is waited for.
TimeoutStartSec=120""".splitlines()


def _own_user(spec: ServiceSpec) -> Iterator[str]:
    yield f"User={spec.user}"
    if not spec.is_confined:
        return
    yield "# /var/lib: the config, the conversations, the log."
    yield f"StateDirectory={spec.name}"
    yield "StateDirectoryMode=0700"
    yield f"Environment=OPENCLAW_STATE_DIR=%S/{spec.name}"


def _program(spec: ServiceSpec) -> Iterator[str]:
    if not spec.is_confined:
        if spec.profile is not None:
            yield f"Environment=OPENCLAW_PROFILE={spec.profile}"
        for name, value in spec.environment:
            yield f"Environment={quoted(f'{name}={value}')}"
    flags = [*spec.flags]
    for secret, file in spec.credentials:
        yield f"# The {secret}, from a file that the gateway itself need not be able to read."
        # Nothing but a specifier has a meaning there (systemd.exec(5)).
        yield f"LoadCredential={credential_name(secret)}:{file.replace('%', '%%')}"
        flags += (f"--{secret}-file", f"${{CREDENTIALS_DIRECTORY}}/{credential_name(secret)}")
    words = [*spec.program, "gateway"]
    if spec.guarded:
        yield "# A shell script in front of the program: it starts what `current` leads to. When a new"
        yield "# version dies before it is known to be well, it goes back to the old one."
    if spec.guarded and spec.system:
        yield "# Only root may change which version runs."
        yield f"ExecStartPre=+{_command((*spec.program, 'settle'))}"
    yield f"ExecStart={_command((*words, *flags))}"
    if spec.guarded:
        whole = (*spec.program, "stopped", *(() if spec.system else ("--user",)), "%n")
        yield f"ExecStopPost={'+' if spec.system else ''}{_command(whole)}"
    yield "# In the journal by its name, whatever starts it."
    yield f"SyslogIdentifier={spec.name}"


def _command(words: Iterable[str]) -> str:
    return " ".join(quoted(word) for word in words)
