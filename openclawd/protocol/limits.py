"""What a connection may send and hold, as hello-ok's `policy` announces it."""

from typing import Final

# What a client may send in one message: 25 MiB, as stock clients expect it.
MAX_PAYLOAD: Final = 26_214_400
# What may wait for a client that does not read: 50 MiB, as stock clients expect it.
MAX_BUFFERED: Final = 52_428_800
# Stock clients take a gateway for dead after two of these without a tick.
TICK_INTERVAL_MS: Final = 30_000
# What a stranger may send in one message: a `connect` with every field filled is below 8 KiB.
PRE_ADMISSION_MAX: Final = 65_536
# What one message may be in memory: a value of JSON takes up to thirty times its own length there, and no
# request has a thousandth of so many.
MAX_JSON_VALUES: Final = 500_000
# One attached picture: what the providers take.
MAX_IMAGE_BYTES: Final = 5_000_000
# One attached file of whatever kind: nothing that is larger is looked at.
MAX_ATTACHMENT_BYTES: Final = MAX_IMAGE_BYTES
# What JSON numbers carry exactly (RFC 8259, 6), and SQLite can count to.
MAX_EXACT_INT: Final = 2**53
