"""Whether a proven device may come as it is, is paired silently, or has to be approved by somebody."""

from typing import Final

from openclawd.auth.case import Case
from openclawd.auth.hosts import parse_origin
from openclawd.auth.origins import equals_host
from openclawd.auth.pairing import PairingAsk
from openclawd.auth.scopes import covers
from openclawd.auth.signature import ProvenDevice, normalise_metadata

NOT_PAIRED: Final = "not-paired"
ROLE_UPGRADE: Final = "role-upgrade"
SCOPE_UPGRADE: Final = "scope-upgrade"
METADATA_UPGRADE: Final = "metadata-upgrade"

_SILENT: Final = frozenset((NOT_PAIRED, SCOPE_UPGRADE))


def missing_approval(case: Case) -> str | None:
    """What the device is not approved for, in the wire's words; None when it is, or needs no approval."""
    if case.device is None or case.is_local_backend or case.is_proxied_page:
        return None
    known = case.paired
    if known is None:
        return NOT_PAIRED
    client = case.params.client
    if _differs(known.platform, client.platform) or _differs(known.device_family, client.device_family):
        return METADATA_UPGRADE
    if case.params.role not in known.roles:
        return ROLE_UPGRADE
    if not covers(known.scopes, case.params.scopes):
        return SCOPE_UPGRADE
    return None


def is_silent(case: Case, missing: str) -> bool:
    """Whether presenting the shared secret on this machine was the human act. Where there is no secret, only
    a page that this gateway served itself, or a program, may be taken for the owner.
    """
    if missing not in _SILENT:
        return False
    origin = case.attempt.peer.origin
    if case.shared.mode == "none":
        if not case.locality.is_local:
            return False
        return origin is None or equals_host(origin, case.locality.host, case.locality.scheme)
    if not (case.locality.at_loopback and case.judgement.by_secret):
        return False
    # The page's Origin has passed: it is this gateway's own, or one that its owner listed.
    return origin is None or case.is_control_ui or case.is_webchat


def pairing_ask(case: Case, device: ProvenDevice) -> PairingAsk:
    """What would be approved."""
    client, origin = case.params.client, case.attempt.peer.origin
    page = parse_origin(origin) if origin is not None else None
    return PairingAsk(
        device_id=device.id,
        public_key=device.public_key,
        client_id=client.id,
        client_mode=client.mode,
        role=case.params.role,
        scopes=case.params.scopes,
        display_name=client.display_name,
        platform=client.platform,
        device_family=client.device_family,
        remote_ip=None if case.locality.is_local else case.locality.address,
        browser_origin=str(page) if page is not None else None,
    )


def _differs(pinned: str | None, claimed: str | None) -> bool:
    """What was pinned at pairing may not change; what was not, may come later."""
    return bool(normalise_metadata(pinned)) and normalise_metadata(pinned) != normalise_metadata(claimed)
