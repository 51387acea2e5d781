"""Who acts on devices, and how far he may: nobody gives away or takes away what he does not hold himself.

Administrators may everything. Anybody else acts within his own scopes, which are those of the credential
that let him in, and only on what is an operator's; what takes away from his own device alone, he may always.
"""

from collections.abc import Collection

import attrs

from openclawd.auth.pairing import PairedDevice, PairingRequest
from openclawd.auth.scopes import ADMIN, OPERATOR, covers


class NotCovered(Exception):
    """Who acts holds less than what it is about."""


@attrs.frozen(eq=False, repr=False)
class Holder:
    """The one behind a request: the scopes of his credential, and his device if he proved to have one."""

    scopes: Collection[str]
    device_id: str | None = None

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.scopes

    def owns(self, device_id: str) -> bool:
        """Whether it is his own device."""
        return self.device_id is not None and self.device_id == device_id

    def may_give(self, roles: Collection[str], scopes: Collection[str]) -> None:
        """Raise NotCovered unless he holds the roles and scopes that he would give away."""
        if not self.is_admin and not (covers(self.scopes, scopes) and set(roles) <= {OPERATOR}):
            raise NotCovered

    def may_refuse(self, request: PairingRequest) -> None:
        """Raise NotCovered unless he could also have approved it, or it is his own device's."""
        if not self.owns(request.device_id):
            self.may_give(request.roles, request.scopes)

    def may_take(self, device: PairedDevice) -> None:
        """Raise NotCovered unless he holds all that the device has, or it is his own."""
        if not self.owns(device.device_id):
            self.may_give(device.roles, device.scopes)
