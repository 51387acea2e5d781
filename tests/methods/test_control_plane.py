"""How often the gateway itself may be changed, and when not."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from openclawd.methods.control_plane import ControlPlane
from openclawd.methods.method import Call
from openclawd.protocol.errors import RequestError


class Asking:
    """Callers of one gateway, and its clock."""

    def __init__(self, phase: str = "ready") -> None:
        self.now_ms = 0
        self._restart = SimpleNamespace(lifecycle=lambda: phase)
        self._gate = ControlPlane(lambda: self.now_ms)

    def ask(self, caller: str, method: str = "config.patch") -> dict[str, Any] | None:
        """None when the call is let through, else the error."""
        call = SimpleNamespace(
            caller=SimpleNamespace(device_id=caller, connection_id="c"),
            services=SimpleNamespace(restart=self._restart),
        )
        try:
            self._gate.admit(cast(Call, call), method)
        except RequestError as error:
            return error.shape.to_wire()
        return None


def test_three_calls_in_a_minute_are_let_through_whichever_methods_they_are() -> None:
    asking = Asking()
    methods = ("config.apply", "config.patch", "update.run")
    assert [asking.ask("a", method) for method in methods] == [None, None, None]
    asking.now_ms = 20_500
    assert asking.ask("a") == {
        "code": "UNAVAILABLE",
        "message": "rate limit exceeded for config.patch; retry after 40s",
        "details": {"method": "config.patch", "limit": "3 per 60s"},
        "retryable": True,
        "retryAfterMs": 39_500,
    }
    assert asking.ask("b") is None
    asking.now_ms = 60_000
    assert asking.ask("a") is None


@pytest.mark.parametrize("phase", ["draining", "handing over", "stopping"])
def test_on_its_way_out_the_gateway_is_not_changed(phase: str) -> None:
    assert Asking(phase).ask("a", "config.apply") == {
        "code": "UNAVAILABLE",
        "message": "config.apply unavailable during gateway restart",
        "details": {"method": "config.apply", "reason": "gateway-restarting", "phase": phase},
        "retryable": True,
        "retryAfterMs": 1000,
    }
