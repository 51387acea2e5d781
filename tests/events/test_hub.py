"""The fan-out: who hears what, in which form, with which number."""

import json
from typing import Any

import attrs
import pytest

from openclawd.events.event import Event
from openclawd.events.hub import Hub


@attrs.define(eq=False)
class Listener:
    """A member that keeps what it is offered."""

    connection_id: str
    wire_generation: int = 3
    scopes: frozenset[str] = frozenset({"operator.read"})
    frames: list[bytes] = attrs.Factory(list)
    droppable: list[bool] = attrs.Factory(list)

    def offer(self, frame: bytes, *, drop_if_slow: bool) -> None:
        self.frames.append(frame)
        self.droppable.append(drop_if_slow)

    @property
    def heard(self) -> list[dict[str, Any]]:
        return [json.loads(frame[frame.index(b"{") :]) for frame in self.frames]


def joined(*members: Listener) -> Hub:
    hub = Hub("epoch")
    for member in members:
        hub.join(member)
    return hub


def test_every_member_that_holds_the_scope_hears_an_event_and_nobody_else() -> None:
    reader, writer, admin, nobody = (
        Listener("a"),
        Listener("b", scopes=frozenset({"operator.write"})),
        Listener("c", scopes=frozenset({"operator.admin"})),
        Listener("d", scopes=frozenset()),
    )
    joined(reader, writer, admin, nobody).publish(Event("chat", {}, scope="operator.read"))

    assert [len(m.frames) for m in (reader, writer, admin, nobody)] == [1, 1, 1, 0]


def test_an_event_without_a_scope_reaches_a_node() -> None:
    node = Listener("n", scopes=frozenset())
    joined(node).publish(Event("tick", {"ts": 1}))

    assert node.heard == [{"type": "event", "event": "tick", "payload": {"ts": 1}, "seq": 1}]


def test_seq_starts_at_one_and_counts_events_that_a_member_may_not_hear() -> None:
    node = Listener("n", scopes=frozenset())
    hub = joined(node)
    hub.publish(Event("tick", {}))
    hub.publish(Event("chat", {}, scope="operator.read"))
    hub.publish(Event("tick", {}))

    assert [frame["seq"] for frame in node.heard] == [1, 3]


def test_a_targeted_event_reaches_its_connection_only_and_has_no_seq() -> None:
    target, other = Listener("t"), Listener("o")
    hub = joined(target, other)
    hub.publish(Event("agent", {}, connections=frozenset({"t"})))
    hub.publish(Event("tick", {}))

    assert "seq" not in target.heard[0]
    assert [frame["seq"] for frame in other.heard] == [1]


def test_an_event_is_encoded_once_a_wire_generation() -> None:
    first, second, newer = Listener("1"), Listener("2"), Listener("3", wire_generation=4)
    joined(first, second, newer).publish(Event("shutdown", {"a": None}, payload_v4={}))

    assert first.frames[0] is second.frames[0]
    assert first.heard[0]["payload"] == {"a": None}
    assert newer.heard[0]["payload"] == {}


def test_who_has_left_hears_nothing_and_may_leave_twice() -> None:
    member = Listener("m")
    hub = joined(member)
    hub.leave(member)
    hub.leave(member)
    hub.publish(Event("tick", {}))

    assert not member.frames


def test_an_event_for_one_generation_is_neither_told_nor_numbered_nor_encoded_for_the_other() -> None:
    older, newer = Listener("3"), Listener("4", wire_generation=4)
    hub = joined(older, newer)
    hub.publish(Event("chat", {"form": 3}, only=3))
    hub.publish(Event("chat", {"form": 4}, only=4))
    hub.publish(Event("chat", {"form": 4}, only=4))
    hub.publish(Event("tick", {}))

    assert [frame["payload"] for frame in older.heard] == [{"form": 3}, {}]
    assert [frame["seq"] for frame in older.heard] == [1, 2]
    assert [frame["payload"] for frame in newer.heard] == [{"form": 4}, {"form": 4}, {}]
    assert [frame["seq"] for frame in newer.heard] == [1, 2, 3]


def test_nothing_is_encoded_for_a_generation_without_listeners() -> None:
    older = Listener("3")
    joined(older).publish(Event("chat", {}, payload_v4={"no JSON": object()}))

    assert len(older.frames) == 1


def test_what_no_client_could_come_back_for_is_not_encoded_when_nobody_may_hear_it() -> None:
    joined(Listener("n", scopes=frozenset())).publish(
        Event("health", {"no JSON": object()}, scope="operator.read")
    )


def test_a_targeted_event_passes_over_who_has_left_or_may_not_read() -> None:
    reader, nobody = Listener("r"), Listener("n", scopes=frozenset())
    event = Event("session.message", {}, scope="operator.read", connections=frozenset({"r", "n", "gone"}))
    joined(reader, nobody).publish(event)

    assert (len(reader.frames), len(nobody.frames)) == (1, 0)


def test_who_lost_its_socket_hears_what_it_missed_in_the_very_frames() -> None:
    gone, stays = Listener("1"), Listener("2")
    hub = joined(gone, stays)
    hub.publish(Event("chat", {"n": 1}, scope="operator.read"))
    hub.leave(gone)
    hub.publish(Event("chat", {"n": 2}, scope="operator.read"))

    resumed = hub.resume(3, gone.scopes, "epoch", gone.heard[-1]["seq"])

    assert (resumed.epoch, resumed.seq, resumed.recovered) == ("epoch", 2, True)
    assert resumed.frames == stays.frames[1:]


def test_what_hello_ok_tells_and_what_is_over_is_numbered_but_not_replayed() -> None:
    hub = joined(Listener("1"))
    for name in ("health", "presence", "shutdown", "tick", "chat"):
        hub.publish(Event(name, {}))

    resumed = hub.resume(3, frozenset(), "epoch", 0)

    assert resumed.recovered
    assert [json.loads(frame[frame.index(b"{") :])["seq"] for frame in resumed.frames] == [5]


def test_a_resumed_client_gets_nothing_that_was_said_to_single_connections() -> None:
    hub = joined(Listener("1"))
    hub.publish(Event("session.message", {}, connections=frozenset({"1"})))

    assert hub.resume(3, frozenset({"operator.admin"}), "epoch", 0).frames == []


def test_the_next_generation_goes_on_from_what_the_one_before_handed_over() -> None:
    hub = joined(Listener("1"))
    hub.publish(Event("chat", {"n": 1}))
    hub.publish(Event("chat", {"n": 2}))
    following = Hub("next", json.loads(json.dumps(hub.hand_over())))

    resumed = following.resume(3, frozenset(), "epoch", 1)

    assert (resumed.epoch, resumed.seq, resumed.recovered) == ("next", 0, True)
    (frame,) = resumed.frames
    assert frame[2:] == b'{"type":"event","event":"chat","payload":{"n":2},"seq":2,"epoch":"epoch"}'


def test_a_journal_of_another_version_is_as_none_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = joined(Listener("1"))
    following = Hub("next", hub.hand_over() | {"version": 2})

    assert not following.resume(3, frozenset(), "epoch", 0).recovered
    assert [record.getMessage() for record in caplog.records] == ["events not taken over"]


def test_a_position_is_that_of_one_wire_generation() -> None:
    hub = joined(Listener("3"), Listener("4", wire_generation=4))
    hub.publish(Event("chat", {}, only=4))

    assert (hub.position(3), hub.position(4)) == (("epoch", 0), ("epoch", 1))


def test_who_comes_back_is_counted_and_who_only_asks_where_it_is_is_not() -> None:
    hub = joined(Listener("1"))
    for epoch, seq in ((None, None), ("epoch", 0), ("another", 0)):
        hub.resume(3, frozenset(), epoch, seq)

    assert hub.resumes == {"recovered": 1, "reload": 1}
