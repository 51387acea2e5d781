"""An answer on the `anthropic-messages` wire.

Anthropic API reference, "Streaming messages": server-sent events, each with a `type`: message_start, then
content blocks (content_block_start, content_block_delta, content_block_stop), message_delta with the reason
and the final counts, message_stop; ping and error in between. Types and deltas that are not known are read
over, as the reference asks.
"""

from typing import Any, Final

import attrs

from openclawd.agents.answer_reader import AnswerReader, StopReason, count

_STOP_REASONS: Final[dict[str, StopReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "toolUse",
}
# Which count of ours each of theirs is; `input_tokens` leaves the cache out already.
_COUNTS: Final = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_write",
}


@attrs.define
class MessagesReader(AnswerReader):
    """Reads the events of a message, or a message that came in one piece."""

    def _read(self, chunk: dict[str, Any]) -> None:
        match chunk.get("type"):
            case "message_start":
                self._count(_object(chunk, "message"))
            case "content_block_start":
                self._block(_object(chunk, "content_block"))
            case "content_block_delta":
                self._block(_object(chunk, "delta"))
            case "message_delta":
                self._count(chunk)
                self._end(_object(chunk, "delta"))
            case "message_stop":
                self.done = True
            case "message":
                self._count(chunk)
                blocks = chunk.get("content")
                for block in blocks if isinstance(blocks, list) else ():
                    if isinstance(block, dict):
                        self._block(block)
                self._end(chunk)

    def _is_end(self, _data: str) -> bool:
        # The last chunk says that it is.
        return False

    def _stop_reason(self, reason: str) -> StopReason:
        if reason == "refusal":
            raise self._refused(f"The safety rules of {self._endpoint.provider}")
        return _STOP_REASONS.get(reason, "stop")

    def _block(self, block: dict[str, Any]) -> None:
        self._think(block.get("thinking"))
        self._say(block.get("text"))

    def _end(self, told: dict[str, Any]) -> None:
        if isinstance(reason := told.get("stop_reason"), str) and reason:
            self._reason = reason

    def _count(self, told: dict[str, Any]) -> None:
        """Counts are running totals; what a message leaves out stands as it was."""
        usage = _object(told, "usage")
        said = {
            ours: count(usage[theirs]) for theirs, ours in _COUNTS.items() if usage.get(theirs) is not None
        }
        self._usage = attrs.evolve(self._usage, **said)


def _object(of: dict[str, Any], name: str) -> dict[str, Any]:
    value = of.get(name)
    return value if isinstance(value, dict) else {}
