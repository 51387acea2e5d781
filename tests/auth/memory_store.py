"""A device store in memory that keeps what a real one would: JSON, not references."""

from collections.abc import Mapping

import attrs

from openclawd.auth.device_records import Amendment
from openclawd.protocol.codec import decode, encode


@attrs.define
class MemoryStore:
    """`writes` counts durable changes."""

    devices: dict[str, bytes] = attrs.field(factory=dict)
    requests: dict[str, bytes] = attrs.field(factory=dict)
    writes: int = 0

    async def load(self) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
        return list(self.devices.items()), list(self.requests.items())

    async def put_device(self, device_id: str, document: dict[str, object]) -> None:
        self.devices[device_id] = encode(document)
        self.writes += 1

    async def amend_devices(self, amendments: Mapping[str, Amendment]) -> None:
        for device_id, amend in amendments.items():
            document = decode(self.devices.get(device_id, b"null"))
            if isinstance(document, dict):
                amend(document)
                self.devices[device_id] = encode(document)
        self.writes += 1

    async def delete_device(self, device_id: str) -> None:
        self.devices.pop(device_id, None)
        self.writes += 1

    async def put_request(self, request_id: str, document: dict[str, object]) -> None:
        self.requests[request_id] = encode(document)
        self.writes += 1

    async def delete_request(self, request_id: str) -> None:
        self.requests.pop(request_id, None)
        self.writes += 1
