"""What the gateway knows about itself, as far as the built-in model may tell it to whoever may chat."""

import attrs


@attrs.frozen(eq=False, repr=False)
class GatewayFacts:
    """One moment of the gateway. Counts are of now; paths are absolute."""

    version: str
    uptime_s: float
    address: str
    port: int
    clients: int
    sessions: int
    devices_waiting: int
    config_file: str
    log_file: str
    model: str
