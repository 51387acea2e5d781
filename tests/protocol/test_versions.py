"""Which wire generation a client gets."""

import pytest

from openclawd.protocol.versions import negotiate


@pytest.mark.parametrize(
    ("lowest", "highest", "chosen"),
    [(3, 3, 3), (4, 4, 4), (3, 4, 4), (1, 3, 3), (4, 9, 4), (1, 2, None), (5, 9, None), (4, 3, None)],
)
def test_the_highest_version_in_both_ranges_is_chosen(lowest: int, highest: int, chosen: int | None) -> None:
    assert negotiate(lowest, highest, mode="cli") == chosen


def test_a_probe_may_be_newer_than_the_gateway() -> None:
    assert negotiate(5, 9, mode="probe") == 4
    assert negotiate(1, 2, mode="probe") is None
