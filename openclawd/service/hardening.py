"""What the system's service may not do, each directive with its reason, and what was left out with its own.

The gateway as a system service has a user of its own, talks to the network, writes into its state directory
and starts a few programs of the system (openssl, tailscale). All else is shut, so that a fault in it, or in
a library, ends there. `systemd-analyze security` counts the same things; the score is no aim of its own.

A user's own service has none of this: it is to work on that user's files, and a user's manager may not mount.
"""

from collections.abc import Iterator
from typing import Final

import attrs


@attrs.frozen
class Directive:
    """A line of [Service] (systemd.exec(5)); `since` is the first systemd that understands it so."""

    name: str
    value: str
    reason: str
    since: int = 0


@attrs.frozen
class LeftOut:
    """A directive that would shut more, and why it is not there."""

    name: str
    reason: str


_FAMILIES: Final = "AF_INET AF_INET6 AF_UNIX AF_NETLINK"

# Beside its state: all else is read-only to it, or not there.
_WRITABLE: Final = "/tmp /var/tmp /dev/shm"  # noqa: S108  not used here

CONFINED: Final = (
    Directive("NoNewPrivileges", "yes", "No program that it starts gets more rights than it has itself."),
    Directive("CapabilityBoundingSet", "", "None of root's powers."),
    Directive("PrivateUsers", "yes", "It has no power over other users, and knows none but root."),
    Directive("ProtectSystem", "strict", "It writes into its state directory alone."),
    Directive("ProtectHome", "yes", "Nobody's home is its business."),
    Directive("PrivateTmp", "yes", "Its temporary files are its own."),
    Directive("PrivateTmp", "disconnected", "Its temporary files are its own, and go with it.", since=257),
    Directive("PrivateDevices", "yes", "It needs no device but /dev/null and its like."),
    Directive("PrivateIPC", "yes", "It shares no memory with anybody.", since=248),
    Directive("NoExecPaths", "{writable}", "Where it can write, nothing is executed.", since=248),
    Directive("ProtectProc", "invisible", "It does not see what others run.", since=247),
    Directive("ProtectKernelTunables", "yes", "The kernel's settings are not its business, ..."),
    Directive("ProtectKernelModules", "yes", "... nor its modules, ..."),
    Directive("ProtectKernelLogs", "yes", "... nor its log, ..."),
    Directive("ProtectControlGroups", "yes", "... nor the control groups, ..."),
    Directive("ProtectClock", "yes", "... nor the clock, ..."),
    Directive("ProtectHostname", "yes", "... nor the machine's name."),
    Directive("RestrictNamespaces", "yes", "It makes no containers, the way into many faults of kernels."),
    Directive("RestrictAddressFamilies", _FAMILIES, "The network, its local socket, and resolving a name."),
    Directive("RestrictRealtime", "yes", "It cannot take a processor for itself."),
    Directive("RestrictSUIDSGID", "yes", "It makes no file that runs as somebody else."),
    Directive("LockPersonality", "yes", "It emulates no other kernel."),
    Directive("MemoryDenyWriteExecute", "yes", "Nothing in it compiles at run time."),
    Directive("SystemCallArchitectures", "native", "Those of other machines are the less tested ones."),
    Directive("SystemCallFilter", "@system-service", "What a service needs, ..."),
    Directive("SystemCallFilter", "~@privileged @resources", "... less what only root has a use for."),
    Directive("SystemCallErrorNumber", "EPERM", "What is not allowed is an error for the log, no crash."),
    Directive("KeyringMode", "private", "No keys of the kernel are shared."),
    Directive("RemoveIPC", "yes", "Nothing of it stays when it is stopped."),
    Directive("UMask", "0077", "What it writes is its own."),
)  # fmt: skip

LEFT_OUT: Final = (
    LeftOut("IPAddressDeny=", "clients and model providers have any address; a drop-in may list yours"),
    LeftOut("PrivateNetwork=", "it serves the network"),
    LeftOut("SocketBindDeny=", "the port is the config's to say, and may change while it runs"),
    LeftOut("DynamicUser=", "its user must own the state when the service is stopped, too"),
    LeftOut("RootDirectory=, RootImage=", "it uses the system's C library, certificates and resolver"),
    LeftOut("ProcSubset=pid", "it could not say who holds its port, nor since when it runs"),
    LeftOut("RestrictFileSystems=", "needs a kernel with BPF LSM, and few have it switched on"),
    LeftOut("PrivatePIDs=", "its process id would be another one for the commands outside"),
    LeftOut("MemoryMax=, TasksMax=, CPUQuota=", "how much there is to share is yours to say, in a drop-in"),
    LeftOut("RestartSteps=", "counts every crash since it was installed: after a year one would be slow"),
)  # fmt: skip


def confinement(version: int, state: str) -> Iterator[Directive]:
    """Those that a systemd of `version` understands, for a service that writes into the folder `state`."""
    known = [each for each in CONFINED if each.since <= version]
    for directive in known:
        newest = max(each.since for each in known if each.name == directive.name)
        if directive.since == newest:
            yield attrs.evolve(directive, value=directive.value.format(writable=f"{state} {_WRITABLE}"))
