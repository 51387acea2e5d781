"""What counts as one source of connections."""

from openclawd.auth.hosts import IpNetwork, parse_address


def source_of(address: str, trusted_proxies: tuple[IpNetwork, ...]) -> str | None:
    """An IPv4 address, an IPv6 /64; None for a trusted proxy, who stands for many, and for no address."""
    if not trusted_proxies and ":" not in address:
        return address or None  # as the kernel writes it
    parsed = parse_address(address)
    if parsed is None or any(parsed in network for network in trusted_proxies):
        return None
    return str(parsed) if parsed.version == 4 else f"{parsed.exploded[:19]}::/64"
