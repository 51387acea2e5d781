"""What `openclawd update` asks of a gateway before the switch and behind it, over its local socket, at its
address and of its log; and what of it is worse than it was.

What did not work before the switch is not asked of the version behind it.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import attrs

from openclawd.cli.command_line import flags_of
from openclawd.cli.failure import Failure
from openclawd.cli.logged_faults import logged_faults
from openclawd.cli.probes import TIMEOUT_S, dial, local, page, readyz
from openclawd.cli.rpc import Rpc, converse
from openclawd.cli.target import port_endpoint, settings_for
from openclawd.cli.trial_visit import READS, Seen, one_line
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigError
from openclawd.config.settings import GatewaySettings
from openclawd.daemon.link import LOOPBACK, bracketed, reachable
from openclawd.daemon.lock import running_pid
from openclawd.daemon.log_file import LOG_NAME
from openclawd.protocol.versions import V3, V4
from openclawd.update.gateway import Before

_LOCAL, _HANDSHAKES = "local", {f"handshake v{each}": each for each in (V3, V4)}
# Who listens at the first of this machine's own addresses mostly listens at the second, too.
_LOOPBACK_V6: Final = "::1"


@attrs.frozen(repr=False)
class Known:
    """How it was before the switch (`Before.seen`)."""

    works: frozenset[str] | None
    """The probes that it passed; None of a gateway that nobody knew: then what any can do is asked."""

    connected: frozenset[str] = frozenset()
    faults: frozenset[str] = frozenset()
    """That it had, too."""

    counts: Mapping[str, int] = attrs.field(factory=dict)
    address: tuple[object, ...] = ()
    """Where it was reached, and where the config had it."""

    @classmethod
    def of(cls, before: Before | None) -> "Known":
        if before is None:
            return cls(None)
        seen = before.seen
        return cls(
            frozenset(seen.get("works", ())),
            frozenset(seen.get("connected", ())),
            frozenset(seen.get("faults", ())),
            dict(seen.get("counts", {})),
            tuple(seen.get("address", ())),
        )

    def document(self) -> dict[str, Any]:
        """As `Before` keeps it."""
        return {
            "works": sorted(self.works or ()),
            "connected": sorted(self.connected),
            "faults": sorted(self.faults),
            "counts": dict(self.counts),
            "address": list(self.address),
        }


class Probes:
    """Of the gateway of one state directory. `environ` is that of its service, or of whoever updates."""

    def __init__(self, paths: Paths, environ: Mapping[str, str]) -> None:
        self._paths = paths
        self._environ = environ
        self._log = paths.log_dir / LOG_NAME
        self._shaken: dict[str, Failure | None] = {}

    def known(self, seen: Seen) -> Known:
        """How it is, for later."""
        self.shake_hands(seen, Known(frozenset(_HANDSHAKES)))
        return Known(
            frozenset(name for name, problem in self._probed(seen) if problem is None),
            seen.connected,
            frozenset(logged_faults(self._log, since_ms=seen.life)),
            seen.counts,
            self._address(seen),
        )

    def shake_hands(self, seen: Seen, known: Known) -> None:
        """Once more, for `problems` and `faults`."""
        for name, generation in _HANDSHAKES.items():
            if self._is_asked(name, known):
                self._shaken[name] = self._shake(seen, generation)

    def problems(self, seen: Seen, known: Known) -> Iterator[str]:
        """What does not work now; it may pass."""
        yield from (problem for _, problem in self._probed(seen, known) if problem is not None)
        if known.address and (now := self._address(seen)) != known.address and now[2:] == known.address[2:]:
            yield f"it listens at {_place(*now[:2])}, and no longer at {_place(*known.address[:2])}"

    def faults(self, seen: Seen, known: Known) -> Iterator[str]:
        """What has happened since this life began, and cannot be taken back."""
        for decision in seen.decisions:
            refused = decision.get("outcome") == "refused" and decision.get("ts", 0) >= seen.life
            if refused and decision.get("device") in known.connected:
                yield f"a device that was connected before was refused: {decision.get('reason')}"
        for name, failure in self._shaken.items():
            is_no = failure is not None and (failure.code or "").startswith("AUTH_")
            if failure is not None and is_no and self._is_asked(name, known):
                yield one_line(failure.message)
        for fault in logged_faults(self._log, since_ms=seen.life):
            if fault not in known.faults:
                yield fault
        for name, count in known.counts.items():
            # Somebody may tidy up in this very minute.
            if seen.counts.get(name, 0) < count / 2:
                yield f"of {count} {name} that there were, {seen.counts.get(name, 0)} are left"

    # --- one by one

    def _probed(self, seen: Seen, known: Known | None = None) -> Iterator[tuple[str, str | None]]:
        """Each that is asked with what is wrong, None where nothing is; all without `known`."""
        probes = {_LOCAL: partial(readyz, "the local socket", partial(local, self._paths.socket))}
        host, port = seen.address
        base = settings.control_ui.base_path if (settings := self._settings()) is not None else ""
        for each in (reachable(host), *((_LOOPBACK_V6,) if host == LOOPBACK else ())):
            where, there = f"{bracketed(each)}:{port}", partial(dial, each, port, tls=seen.tls)
            probes |= {
                f"ready {each}": partial(readyz, where, there),
                f"page {each}": partial(page, where, there, f"{base}/"),
            }
        for name, probe in probes.items():
            if known is None or self._is_asked(name, known):
                yield name, probe()
        for name in READS:
            if known is None or self._is_asked(name, known):
                yield name, seen.unread.get(name)
        for name, failure in self._shaken.items():
            if known is None or self._is_asked(name, known):
                yield name, one_line(failure.message) if failure is not None else None

    def _is_asked(self, name: str, known: Known) -> bool:
        if known.works is not None:
            return name in known.works
        if name in _HANDSHAKES:
            # Which secret it wants may only be known to its service.
            settings = self._settings()
            endpoint = port_endpoint(self._paths, settings) if settings is not None else None
            return endpoint is not None and bool(endpoint.token or endpoint.password)
        if _LOOPBACK_V6 in name:
            # The machine may have no IPv6.
            return False
        settings = self._settings() if name.startswith("page ") else None
        return settings.control_ui.enabled if settings is not None else not name.startswith("page ")

    def _shake(self, seen: Seen, generation: int) -> Failure | None:
        """As a client with the shared secret, at the address; a unit may have given it another port than the
        config has.
        """
        settings = self._settings()
        if settings is None:
            return Failure("the config cannot be read")
        host, port = reachable(seen.address[0]), seen.address[1]
        known = port_endpoint(self._paths, settings)
        endpoint = attrs.evolve(known, name=f"{host}:{port}", host=host, port=port, protocol=generation)
        try:
            converse([endpoint], _greet, timeout_ms=int(TIMEOUT_S * 1000))
        except Failure as failure:
            return failure
        except Exception as error:  # noqa: BLE001  the same
            return Failure(f"what the gateway answers makes no sense: {type(error).__name__}")
        return None

    def _settings(self) -> GatewaySettings | None:
        """With the flags that it was started with."""
        try:
            return settings_for(self._paths, self._environ, flags_of(running_pid(self._paths.lock_file)))
        except (ConfigError, Failure):
            return None

    def _address(self, seen: Seen) -> tuple[object, ...]:
        """Where it is, and where it should be; flags that it was started with do not change."""
        try:
            wanted = settings_for(self._paths, self._environ)
        except (ConfigError, Failure):
            return (*seen.address,)
        return (*seen.address, wanted.bind, wanted.port)


def _place(host: object, port: object) -> str:
    return f"{bracketed(str(host))}:{port}"


async def _greet(rpc: Rpc) -> None:
    if not rpc.hello:
        raise Failure("hello-ok is empty")
