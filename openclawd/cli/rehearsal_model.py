"""The model of a rehearsal: a server on loopback that streams one answer to whatever it is asked, as servers
of OpenAI's API do.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

MODEL: Final = "rehearsal"
WORDS: Final = ("The", " line", " is", " clear.")
_TIMEOUT_S: Final = 10.0


@contextmanager
def rehearsal_model() -> Iterator[str]:
    """Its base URL, while it runs. Raises OSError."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()


class _Answer(BaseHTTPRequestHandler):
    timeout = _TIMEOUT_S

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for word in WORDS:
            self._send(json.dumps(_chunk({"delta": {"content": word}})))
        self._send(json.dumps(_chunk({"delta": {}, "finish_reason": "stop"})))
        self._send("[DONE]")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def _send(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())


def _chunk(choice: dict[str, object]) -> dict[str, object]:
    return {"object": "chat.completion.chunk", "model": MODEL, "choices": [{"index": 0, **choice}]}
