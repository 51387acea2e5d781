"""Which of the versions that are signed is the one for this machine: pure, about what client.py has verified.

A target is called `<channel>/openclawd-<version>-<system>-<machine>.tar.gz`; what else one has to know of it
stands beside its hash, in `custom`, under the same signature.
"""

import os
import platform
from collections.abc import Iterable
from typing import Any, Final, Literal

import attrs
from packaging.version import InvalidVersion, Version

from openclawd.slots.layout import is_version
from openclawd.update.staged import CannotUpdate

Channel = Literal["stable", "beta"]

_CHANNELS: Final[dict[str, tuple[str, ...]]] = {"stable": ("stable",), "beta": ("stable", "beta")}
# Notes are for one look at a terminal, and for a card on the page.
_MAX_NOTES: Final = 2000
# A slot of a terabyte is a slip of a pen.
_MAX_UNPACKED: Final = 4 * 1024**3


@attrs.frozen
class Host:
    """What a version must fit: `glibc` is None where there is none (macOS, musl)."""

    system: str
    machine: str
    glibc: str | None

    def __str__(self) -> str:
        return f"{self.system} {self.machine}"


@attrs.frozen
class Release:
    """One target. `minimum`: the oldest version that may be followed by this one directly."""

    path: str
    channel: str
    version: str
    system: str
    machine: str
    glibc: str | None
    length: int
    unpacked_bytes: int
    minimum: str | None = None
    notes: str | None = None

    def misfit(self, host: Host, current: str | None) -> str | None:
        """Why it cannot run here, in words; None where it can."""
        if (self.system, self.machine) != (host.system, host.machine):
            return f"it is made for {self.system} {self.machine}, and this is {host}"
        if self.glibc is not None and host.glibc is None:
            return f"it needs glibc {self.glibc}, and this system has another C library"
        if self.glibc is not None and host.glibc is not None and Version(host.glibc) < Version(self.glibc):
            return f"it needs glibc {self.glibc}, and this system has {host.glibc}"
        if self.minimum is not None and current is not None and not _is_at_least(current, self.minimum):
            return f"it can only follow {self.minimum} or newer, and {current} is installed"
        return None


def this_host() -> Host:
    """The machine that this process runs on."""
    return Host(platform.system().lower(), platform.machine(), _glibc())


def release_of(path: str, length: int, custom: object) -> Release | None:
    """A target as a release; None for one that is something else, or of a later kind."""
    channel, _, name = path.partition("/")
    if not isinstance(custom, dict) or "/" in name or not name.endswith(".tar.gz"):
        return None
    found: dict[str, Any] = custom
    version, glibc, minimum = found.get("version"), found.get("glibc"), found.get("minimum")
    system, machine, unpacked = found.get("system"), found.get("machine"), found.get("unpackedBytes")
    notes = found.get("notes")
    if (
        not isinstance(version, str)
        or not is_version(version)
        or not isinstance(system, str)
        or not isinstance(machine, str)
        or not isinstance(unpacked, int)
        or not 0 < unpacked <= _MAX_UNPACKED
        or not all(each is None or isinstance(each, str) for each in (glibc, minimum, notes))
        or not all(each is None or _is_comparable(each) for each in (version, glibc, minimum))
    ):
        return None
    return Release(
        path,
        channel,
        version,
        system,
        machine,
        glibc,
        length,
        unpacked,
        minimum,
        notes[:_MAX_NOTES] if notes else None,
    )


def newest(releases: Iterable[Release], host: Host, channel: Channel, current: str | None) -> Release | None:
    """The newest that fits and is newer than `current`; None where there is none."""
    fitting = [
        each
        for each in releases
        if each.channel in _CHANNELS[channel]
        and each.misfit(host, current) is None
        and (current is None or is_newer(each.version, current))
    ]
    return max(fitting, key=lambda each: (Version(each.version), each.channel == "stable"), default=None)


def passed_over(
    releases: Iterable[Release], host: Host, channel: Channel, current: str | None, chosen: Release | None
) -> tuple[Release, str] | None:
    """The newest for this kind of machine that is newer than `chosen` (or `current`), and why it does not
    fit; None where there is none. Without it a machine that is left behind would not hear of it.
    """
    than = current if chosen is None else chosen.version
    newer = [
        (each, why_not)
        for each in releases
        if each.channel in _CHANNELS[channel]
        and (each.system, each.machine) == (host.system, host.machine)
        and (why_not := each.misfit(host, current)) is not None
        and (than is None or is_newer(each.version, than))
    ]
    return max(newer, key=lambda pair: Version(pair[0].version), default=None)


def named(releases: Iterable[Release], host: Host, wanted: str, current: str | None) -> Release:
    """The version that was asked for, of any channel, older than `current` or not. Raises CannotUpdate."""
    there = [each for each in releases if each.version == wanted]
    misfits = [(each, each.misfit(host, current)) for each in there]
    for each, why_not in misfits:
        if why_not is None:
            return each
    # The one made for this machine says best what is wrong.
    misfits.sort(key=lambda pair: (pair[0].system, pair[0].machine) != (host.system, host.machine))
    if misfits:
        raise CannotUpdate(f"{wanted} does not fit: {misfits[0][1]}", "openclawd update check")
    raise CannotUpdate(f"there is no {wanted} for {host}", "openclawd update check")


def is_newer(version: str, than: str) -> bool:
    """Whether one comes after the other (PEP 440); what cannot be compared is not."""
    return _is_comparable(version) and _is_comparable(than) and Version(version) > Version(than)


def _is_at_least(version: str, least: str) -> bool:
    """A build that somebody has named in their own way is not."""
    return _is_comparable(version) and Version(version) >= Version(least)


def _is_comparable(version: str) -> bool:
    try:
        Version(version)
    except InvalidVersion:
        return False
    return True


def _glibc() -> str | None:
    try:
        said = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return None
    name, _, version = said.partition(" ")
    return version if name == "glibc" and _is_comparable(version) else None
