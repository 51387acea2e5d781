"""launchd.plist(5) as a table: each key that a job may have, with its type. What is not there is a slip."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs


@attrs.frozen
class Dict:
    """A dictionary with keys of its own; `any_of` is the type of values whose keys are names."""

    keys: Mapping[str, object] | None = None
    any_of: object = None


@attrs.frozen
class Array:
    of: object


SOCKET = Dict(
    {
        **dict.fromkeys(
            ("SockType", "SockNodeName", "SockFamily", "SockProtocol", "SockPathName", "SecureSocketWithKey"),
            str,
        ),
        "SockPassive": bool,
        "SockServiceName": (str, int),
        "SockPathOwner": int,
        "SockPathGroup": int,
        "SockPathMode": int,
        "Bonjour": (bool, str, Array(str)),
        "MulticastGroup": str,
        "ReceivePacketInfo": bool,
    }
)
LIMITS = Dict(
    dict.fromkeys(
        (
            "Core",
            "CPU",
            "Data",
            "FileSize",
            "MemoryLock",
            "NumberOfFiles",
            "NumberOfProcesses",
            "ResidentSetSize",
            "Stack",
        ),
        int,
    )
)
CALENDAR = Dict(dict.fromkeys(("Minute", "Hour", "Day", "Weekday", "Month"), int))

KEYS: Mapping[str, object] = {
    "Label": str,
    "Disabled": bool,
    "UserName": str,
    "GroupName": str,
    "inetdCompatibility": Dict({"Wait": bool}),
    "LimitLoadToSessionType": (str, Array(str)),
    "LimitLoadToHardware": Dict(any_of=Array(str)),
    "LimitLoadFromHardware": Dict(any_of=Array(str)),
    "Program": str,
    "BundleProgram": str,
    "ProgramArguments": Array(str),
    "EnableGlobbing": bool,
    "EnableTransactions": bool,
    "EnablePressuredExit": bool,
    "OnDemand": bool,
    "KeepAlive": (
        bool,
        Dict(
            {
                "SuccessfulExit": bool,
                "NetworkState": bool,
                "PathState": Dict(any_of=bool),
                "OtherJobEnabled": Dict(any_of=bool),
                "Crashed": bool,
                "AfterInitialDemand": bool,
            }
        ),
    ),
    "RunAtLoad": bool,
    "RootDirectory": str,
    "WorkingDirectory": str,
    "EnvironmentVariables": Dict(any_of=str),
    "Umask": (int, str),
    "TimeOut": int,
    "ExitTimeOut": int,
    "ThrottleInterval": int,
    "InitGroups": bool,
    "WatchPaths": Array(str),
    "QueueDirectories": Array(str),
    "StartOnMount": bool,
    "StartInterval": int,
    "StartCalendarInterval": (CALENDAR, Array(CALENDAR)),
    "StandardInPath": str,
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "Debug": bool,
    "WaitForDebugger": bool,
    "SoftResourceLimits": LIMITS,
    "HardResourceLimits": LIMITS,
    "Nice": int,
    "ProcessType": str,
    "AbandonProcessGroup": bool,
    "LowPriorityIO": bool,
    "LowPriorityBackgroundIO": bool,
    "MaterializeDatalessFiles": bool,
    "LaunchOnlyOnce": bool,
    "MachServices": Dict(any_of=(bool, Dict({"ResetAtClose": bool, "HideUntilCheckIn": bool}))),
    "Sockets": Dict(any_of=(SOCKET, Array(SOCKET))),
    "LaunchEvents": Dict(any_of=Dict(any_of=object)),
    "SessionCreate": bool,
    "LegacyTimers": bool,
    "AssociatedBundleIdentifiers": (str, Array(str)),
}

PROCESS_TYPES = {"Background", "Standard", "Adaptive", "Interactive"}


def complaints(plist: Mapping[str, Any]) -> list[str]:
    """What launchd would ignore, refuse or understand otherwise; empty when that is nothing."""
    found = list(_against(plist, Dict(KEYS), ""))
    found += [f"{key}: missing" for key in ("Label", "ProgramArguments") if key not in plist]
    if not plist.get("ProgramArguments"):
        found.append("ProgramArguments: empty")
    if plist.get("ProcessType", "Standard") not in PROCESS_TYPES:
        found.append(f"ProcessType: {plist['ProcessType']!r} is none")
    words = [plist.get("ProgramArguments", [""])[0]]
    paths = ("Program", "StandardInPath", "StandardOutPath", "StandardErrorPath", "WorkingDirectory")
    for path in [*words, *(plist[key] for key in paths if key in plist)]:
        # Neither a shell nor launchd fills these in.
        if not str(path).startswith("/") or "$" in str(path):
            found.append(f"{path!r}: no absolute path")
    return found


def _against(value: object, allowed: object, where: str) -> Iterator[str]:
    options = allowed if isinstance(allowed, tuple) else (allowed,)
    told = [list(_against_one(value, option, where)) for option in options]
    if all(told):
        # Of two the one that says more: about what is inside.
        yield from min(told, key=lambda each: (len(each), each[0].startswith(f"{where}: ")))


def _against_one(value: object, option: object, where: str) -> Iterator[str]:
    if isinstance(option, Dict):
        if not isinstance(value, Mapping):
            yield f"{where}: {value!r} is no dictionary"
            return
        for key, each in value.items():
            name = f"{where}.{key}" if where else str(key)
            if option.keys is None:
                yield from _against(each, option.any_of, name)
            elif key not in option.keys:
                yield f"{name}: no key of launchd's"
            else:
                yield from _against(each, option.keys[key], name)
    elif isinstance(option, Array):
        if not isinstance(value, list):
            yield f"{where}: {value!r} is no array"
            return
        for number, each in enumerate(value):
            yield from _against(each, option.of, f"{where}[{number}]")
    elif option is not object and type(value) is not option:
        yield f"{where}: {value!r} is no {getattr(option, '__name__', option)}"
