"""The rhythm of a streaming answer: first piece at once, the rest paced, nothing forgotten."""

from itertools import pairwise
from typing import Any

import trio

from openclawd.sessions.pace import Pace


class Heard:
    """What was sent, and when."""

    def __init__(self) -> None:
        self.agent: list[tuple[float, str, str]] = []
        self.chat: list[tuple[float, str]] = []
        self.pace = Pace(self._agent, self._chat)
        self._began = trio.current_time()

    def _agent(self, text: str, delta: str) -> None:
        self.agent.append((self._now(), text, delta))

    def _chat(self, text: str) -> None:
        self.chat.append((self._now(), text))

    def _now(self) -> float:
        return round(trio.current_time() - self._began, 3)


def gaps(times: list[float]) -> list[float]:
    return [round(later - earlier, 3) for earlier, later in pairwise(times)]


async def test_the_first_piece_is_sent_at_once_in_both_streams(autojump_clock: Any) -> None:
    heard = Heard()
    heard.pace.add("Hello")
    assert heard.agent == [(0, "Hello", "Hello")]
    assert heard.chat == [(0, "Hello")]


async def test_pieces_that_come_together_go_out_together_after_20_ms(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    heard = Heard()
    nursery.start_soon(heard.pace.run)
    for piece in "abcdef":
        heard.pace.add(piece)
    await trio.sleep(1)
    assert heard.agent == [(0, "a", "a"), (0.02, "abcdef", "bcdef")]


async def test_the_whole_text_is_repeated_at_most_every_150_ms(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    heard = Heard()
    nursery.start_soon(heard.pace.run)
    for number in range(100):
        heard.pace.add(f"{number} ")
        await trio.sleep(0.010)
    assert len(heard.chat) == 7
    assert min(gaps([at for at, _ in heard.chat])) >= 0.150
    assert min(gaps([at for at, _, _ in heard.agent])) >= 0.020


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
    assert heard.chat[-1] == (0.15, "one two")


async def test_flushing_sends_the_pieces_and_leaves_the_last_word_to_the_final(autojump_clock: Any) -> None:
    heard = Heard()
    heard.pace.add("one ")
    heard.pace.add("two")
    heard.pace.flush()
    assert heard.pace.text == "one two"
    assert "".join(delta for _, _, delta in heard.agent) == "one two"
    assert heard.chat == [(0, "one ")]


async def test_a_chat_delta_never_runs_ahead_of_the_agent_events(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    heard = Heard()
    nursery.start_soon(heard.pace.run)
    for number in range(200):
        heard.pace.add(f"{number} ")
        await trio.sleep(0.003)
        if heard.chat:
            assert heard.chat[-1][1] in {text for _, text, _ in heard.agent}
