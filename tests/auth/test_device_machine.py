"""Whatever is done to devices in whatever order: a token is worth what it was issued for until it is void,
and never again after that; nobody holds what was not approved; and a restart changes nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from openclawd.auth.device_tokens import OLDER_TOKENS_MAX, TokenVerdict
from openclawd.auth.devices import Devices
from openclawd.auth.holders import Holder, NotCovered
from openclawd.auth.scopes import covers
from tests.auth.memory_store import MemoryStore
from tests.auth.registry import ASK, OWNER, Clock, counting_bytes

R = TypeVar("R")

DEVICES = ("d1", "d2")
ROLES = ("operator", "node")
SCOPES = ("operator.admin", "operator.write", "operator.read", "operator.pairing")

devices = st.sampled_from(DEVICES)
roles = st.sampled_from(ROLES)
scope_sets = st.lists(st.sampled_from(SCOPES), unique=True, max_size=2).map(tuple)
holders = st.one_of(
    st.just(OWNER),
    st.builds(Holder, scope_sets, st.just("d1")),
    st.builds(Holder, scope_sets, st.sampled_from((None, "d2"))),
)


@attrs.define
class Issued:
    device_id: str
    role: str
    scopes: tuple[str, ...]
    is_void: bool = False


class Registry(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store, self.clock, self.random = MemoryStore(), Clock(), counting_bytes()
        self.approved: dict[str, set[str]] = {}
        self.roles: dict[str, set[str]] = {}
        self.tokens: dict[str, Issued] = {}
        self.restart()

    def run(self, call: Callable[..., Awaitable[R]], *given: Any) -> R:
        return trio.run(call, *given)

    @initialize(scopes=scope_sets)
    def begin_with_a_device_in_both_roles(self, scopes: tuple[str, ...]) -> None:
        for role in ROLES:
            self.pair("d1", role, scopes)
            self.issue("d1", role, scopes)

    @rule()
    def restart(self) -> None:
        self.registry = Devices(
            self.store, now_ms=self.clock, random_bytes=self.random, new_lock=_Uncontended
        )
        self.run(self.registry.load)

    @rule(device=devices, role=roles, scopes=scope_sets)
    def pair(self, device: str, role: str, scopes: tuple[str, ...]) -> None:
        self.run(self.registry.pair, attrs.evolve(ASK, device_id=device, role=role, scopes=scopes))
        self.approved.setdefault(device, set()).update(scopes)
        self.roles.setdefault(device, set()).add(role)

    @rule(device=devices, role=roles, scopes=scope_sets, holder=holders)
    def approve(self, device: str, role: str, scopes: tuple[str, ...], holder: Holder) -> None:
        ask = attrs.evolve(ASK, device_id=device, role=role, scopes=scopes)
        request, _ = self.run(self.registry.request, ask)
        try:
            self.run(self.registry.approve, request.request_id, holder)
        except NotCovered:
            assert not holder.is_admin
            return
        assert covers(holder.scopes, request.scopes)
        self.approved.setdefault(device, set()).update(request.scopes)
        self.roles.setdefault(device, set()).update(request.roles)

    @rule(device=devices, role=roles, scopes=scope_sets)
    def issue(self, device: str, role: str, scopes: tuple[str, ...]) -> None:
        """As admission does: only what the device is paired for."""
        known = self.registry.find(device)
        if known is None or role not in known.roles or not covers(known.scopes, scopes):
            return
        token = self.run(self.registry.tokens.issue, device, role, scopes)
        assert token is not None
        self.tokens[token.token] = Issued(device, role, scopes)
        for older in self._valid(device, role)[: -OLDER_TOKENS_MAX - 1]:
            older.is_void = True

    @rule(device=devices, role=roles, scopes=st.none() | scope_sets, holder=holders)
    def rotate(self, device: str, role: str, scopes: tuple[str, ...] | None, holder: Holder) -> None:
        try:
            token = self.run(self.registry.tokens.rotate, device, role, scopes, holder)
        except NotCovered:
            assert not holder.is_admin
            return
        if token is not None:
            assert covers(holder.scopes, token.scopes)
            assert covers(self.approved[device], token.scopes)
            self._void(device, role)
            self.tokens[token.token] = Issued(device, role, token.scopes)

    @rule(device=devices, role=roles, holder=holders)
    def revoke(self, device: str, role: str, holder: Holder) -> None:
        try:
            if self.run(self.registry.tokens.revoke, device, role, holder) is not None:
                self._void(device, role)
        except NotCovered:
            assert not holder.is_admin

    @rule(device=devices, holder=holders)
    def remove(self, device: str, holder: Holder) -> None:
        try:
            removed = self.run(self.registry.remove, device, holder)
        except NotCovered:
            assert not holder.is_admin
            return
        assert removed == (device in self.roles)
        self._forget(device)

    @rule(device=devices, role=roles, holder=holders)
    def remove_role(self, device: str, role: str, holder: Holder) -> None:
        try:
            removed = self.run(self.registry.remove_role, device, role, holder)
        except NotCovered:
            assert not holder.is_admin
            return
        if removed:
            self._void(device, role)
            self.roles[device].discard(role)
            if not self.roles[device]:
                self._forget(device)

    @invariant()
    def tokens_are_worth_what_they_were_issued_for(self) -> None:
        for token, issued in self.tokens.items():
            for device in DEVICES:
                for role in ROLES:
                    verdict = self.registry.verify_token(device, role, token, issued.scopes)
                    is_its_own = (device, role) == (issued.device_id, issued.role)
                    assert (verdict is TokenVerdict.VALID) == (is_its_own and not issued.is_void)

    @invariant()
    def devices_hold_what_was_approved(self) -> None:
        for device in DEVICES:
            known = self.registry.find(device)
            assert (known is not None) == (device in self.roles)
            if known is not None:
                assert set(known.roles) == self.roles[device]
                assert set(known.scopes) == self.approved[device]

    @invariant()
    def no_token_is_in_the_store(self) -> None:
        stored = b"".join(self.store.devices.values())
        assert not any(token.encode() in stored for token in self.tokens)

    def _valid(self, device: str, role: str) -> list[Issued]:
        return [
            issued
            for issued in self.tokens.values()
            if (issued.device_id, issued.role) == (device, role) and not issued.is_void
        ]

    def _void(self, device: str, role: str) -> None:
        for issued in self._valid(device, role):
            issued.is_void = True

    def _forget(self, device: str) -> None:
        for role in ROLES:
            self._void(device, role)
        self.roles.pop(device, None)
        self.approved.pop(device, None)


class _Uncontended:
    """A lock that outlives the event loop it was made in; here nothing happens at the same time."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(max_examples=80, stateful_step_count=20, deadline=None)
