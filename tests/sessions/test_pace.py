"""The rhythm of a streaming answer: first piece at once, the rest paced, nothing forgotten."""

from itertools import pairwise
from typing import Any

import trio

from openclawd.sessions.pace import Pace


class Heard:
    """What was sent, and when: the whole text, and what was new of it."""

    def __init__(self) -> None:
        self.agent: list[tuple[float, str, str]] = []
        self.chat_v3: list[tuple[float, str, str]] = []
        self.chat_v4: list[tuple[float, str, str]] = []
        self.pace = Pace(
            agent=lambda text, new: self.agent.append((self._now(), text, new)),
            chat_v3=lambda text, new: self.chat_v3.append((self._now(), text, new)),
            chat_v4=lambda text, new: self.chat_v4.append((self._now(), text, new)),
        )
        self._began = trio.current_time()

    def _now(self) -> float:
        return round(trio.current_time() - self._began, 3)


def gaps(told: list[tuple[float, str, str]]) -> list[float]:
    return [round(later[0] - earlier[0], 3) for earlier, later in pairwise(told)]


async def test_the_first_piece_is_sent_at_once_in_every_stream(autojump_clock: Any) -> None:
    heard = Heard()
    heard.pace.add("Hello")
    assert heard.agent == heard.chat_v3 == heard.chat_v4 == [(0, "Hello", "Hello")]


async def test_pieces_that_come_together_go_out_together_after_20_ms(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    heard = Heard()
    nursery.start_soon(heard.pace.run)
    for piece in "abcdef":
        heard.pace.add(piece)
    await trio.sleep(1)
    assert heard.agent == [(0, "a", "a"), (0.02, "abcdef", "bcdef")]


async def test_v3_gets_the_whole_text_at_most_every_150_ms(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    heard = Heard()
    nursery.start_soon(heard.pace.run)
    for number in range(100):
        heard.pace.add(f"{number} ")
        await trio.sleep(0.010)
    assert len(heard.chat_v3) == 7
    assert min(gaps(heard.chat_v3)) >= 0.150
    assert min(gaps(heard.agent)) >= 0.020


async def test_v4_gets_what_is_new_merged_at_most_every_75_ms(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    heard = Heard()
    nursery.start_soon(heard.pace.run)
    for number in range(100):
        heard.pace.add(f"{number} ")
        await trio.sleep(0.010)
    await trio.sleep(1)
    assert 10 < len(heard.chat_v4) <= 15
    assert min(gaps(heard.chat_v4)) >= 0.075
    so_far = ""
    for _, text, new in heard.chat_v4:
        so_far += new
        assert text == so_far
    assert so_far == heard.pace.text


async def test_a_pause_of_the_provider_does_not_hold_back_the_last_piece(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    heard = Heard()
    nursery.start_soon(heard.pace.run)
    heard.pace.add("one ")
    await trio.sleep(0.005)
    heard.pace.add("two")
    await trio.sleep(60)
    assert heard.agent[-1] == (0.02, "one two", "two")
    assert heard.chat_v3[-1] == (0.15, "one two", "two")
    assert heard.chat_v4[-1] == (0.075, "one two", "two")


async def test_flushing_leaves_the_last_word_to_v3s_final_and_loses_nothing_for_v4(
    autojump_clock: Any,
) -> None:
    heard = Heard()
    heard.pace.add("one ")
    heard.pace.add("two")
    heard.pace.flush()
    assert heard.pace.text == "one two"
    assert "".join(new for _, _, new in heard.agent) == "one two"
    assert heard.chat_v3 == [(0, "one ", "one ")]
    assert heard.chat_v4 == [(0, "one ", "one "), (0, "one two", "two")]


async def test_after_flushing_nothing_is_said_twice(autojump_clock: Any, nursery: trio.Nursery) -> None:
    heard = Heard()
    nursery.start_soon(heard.pace.run)
    heard.pace.add("one")
    heard.pace.flush()
    heard.pace.flush()
    await trio.sleep(1)
    assert len(heard.agent) == len(heard.chat_v4) == 1


async def test_a_chat_delta_never_runs_ahead_of_the_agent_events(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    heard = Heard()
    nursery.start_soon(heard.pace.run)
    for number in range(200):
        heard.pace.add(f"{number} ")
        await trio.sleep(0.003)
        told = {text for _, text, _ in heard.agent}
        assert heard.chat_v3[-1][1] in told
        assert heard.chat_v4[-1][1] in told
