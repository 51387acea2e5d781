"""The names and addresses under which a gateway is asked for, which go into its certificate."""

from openclawd.auth.hosts import parse_origin, split_host
from openclawd.config.settings import GatewaySettings
from openclawd.daemon.policy import own_names
from openclawd.daemon.sockets import addresses


def certificate_names(settings: GatewaySettings) -> tuple[str, ...]:
    """Each once; an address stands for itself, without brackets."""
    names = ["localhost", *own_names()]
    origin = parse_origin(settings.public_origin) if settings.public_origin is not None else None
    if origin is not None:
        names.append(origin.host)
    # A host name may be anything; what is none in DNS is in no URL either.
    named = [name for name in names if ":" in name or split_host(name) is not None]
    return tuple(dict.fromkeys((*named, "127.0.0.1", "::1", *addresses(settings))))
