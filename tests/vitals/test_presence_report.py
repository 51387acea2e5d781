"""What programs say of where their user is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.protocol.codec import encode
from openclawd.vitals.presence import Presence, PresenceList
from openclawd.vitals.presence_report import is_presence_line, presence_report

LINE = "Node: x (1.2.3.4) · app 1 · last input 3s ago · mode ui · reason test"
FIELDS = {
    "host": "x",
    "ip": "1.2.3.4",
    "version": "1",
    "lastInputSeconds": 3,
    "mode": "ui",
    "reason": "test",
}


def wire(**params: object) -> dict[str, object]:
    report = presence_report(params)
    assert report is not None
    return dict(report.wire)


def test_stocks_line_is_read_into_its_fields() -> None:
    assert wire(text=LINE) == {**FIELDS, "text": LINE}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Node: My Mac", {"host": "My Mac"}),
        ("node: a (::1)", {"host": "a", "ip": "::1"}),
        ("Node: a () · mode ui", {"host": "a", "mode": "ui"}),
        ("Node: a · app 1.2 (3) · reason a b", {"host": "a", "version": "1.2 (3)", "reason": "a b"}),
        ("Node: a · last input soon · somethingelse 5 ·", {"host": "a"}),
    ],
)
def test_a_line_may_lack_parts_and_have_others(text: str, fields: dict[str, object]) -> None:
    assert wire(text=text) == {**fields, "text": text}


def test_members_win_over_the_line() -> None:
    assert wire(text=LINE, mode="away", lastInputSeconds=9.7, roles=["operator"], tags=["a", "b"]) == {
        **FIELDS,
        "mode": "away",
        "lastInputSeconds": 9,
        "roles": ["operator"],
        "tags": ["a", "b"],
        "text": LINE,
    }


def test_what_has_another_type_or_says_nothing_is_left_out() -> None:
    params: dict[str, Any] = {
        "text": "t",
        "host": "h",
        "ip": 5,
        "mode": " ",
        "lastInputSeconds": -1,
        "scopes": "operator.admin",
        "tags": [1, "", "kept"],
        "password": "x",
    }
    assert wire(**params) == {"host": "h", "tags": ["kept"], "text": "t"}
    assert wire(host="h", lastInputSeconds=True, text="t") == {"host": "h", "text": "t"}


def test_a_text_that_names_nobody_is_no_report() -> None:
    assert presence_report({"text": "the backup is done"}) is None
    assert not is_presence_line("the backup is done")
    assert is_presence_line(LINE)


def test_an_entry_belongs_to_the_device_else_the_instance_else_the_host() -> None:
    def key(**params: object) -> str | None:
        report = presence_report({"text": LINE, **params})
        return report.key if report is not None else None

    assert key(deviceId="d", instanceId="i") == "d"
    assert key(instanceId="i") == "i"
    assert key() == "x"


@given(
    st.text(), st.dictionaries(st.sampled_from(["host", "lastInputSeconds", "tags"]), st.text() | st.floats())
)
def test_no_text_and_no_member_breaks_it(text: str, members: dict[str, object]) -> None:
    report = presence_report({"text": text, **members})
    if report is not None:
        assert report.key
        assert all(len(str(value)) <= 256 for value in report.wire.values())


@pytest.mark.parametrize("text", ["Node:{}(", "Node: a{}(", "Node: a ({}"])
def test_a_text_as_long_as_a_message_is_looked_at_once(text: str) -> None:
    # What looks twice at every space of it is still at it tomorrow.
    report = presence_report({"text": text.format(" " * 1_000_000), "host": "x"})
    assert report is not None
    assert is_presence_line(text.format(" " * 1_000_000)) == text.startswith("Node: a")


def test_a_line_may_stand_behind_spaces() -> None:
    assert is_presence_line("\n Node: x · mode ui")


def here(presence: PresenceList) -> list[dict[str, object]]:
    entries = [json.loads(encode(row)) for row in presence.listing()]
    return [entry for entry in entries if entry["mode"] != "gateway"]


def test_a_report_on_a_connected_device_changes_its_entry_and_keeps_the_rest() -> None:
    presence = PresenceList(gateway_version="1", now_ms=lambda: 1000)
    client = Presence("openclaw-macos", "ui", "1", "mac", "operator", (), device_id="d")
    presence.arrived("c", client)
    version = presence.version
    report = presence_report({"text": LINE, "deviceId": "d", "platform": "macOS"})
    assert report is not None
    presence.reported(report)
    (entry,) = here(presence)
    assert (entry["platform"], entry["lastInputSeconds"], entry["text"]) == ("macOS", 3, LINE)
    assert entry["roles"] == ["operator"]
    assert presence.version == version + 1
    presence.left("c", client)
    assert [entry["reason"] for entry in here(presence)] == ["disconnect"]
