"""A web server that serves a folder, and can be told to serve some of it badly."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]
"""Called with the request and what lies there; writes whatever it wants."""


class WebServer:
    """`url` serves `folder`; `bad` has the answers of paths that end in its keys."""

    def __init__(self, folder: Path, bad: Mapping[str, Answer] | None = None) -> None:
        self.folder = folder
        self.bad = dict(bad or {})
        self.asked: list[str] = []
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(self.path)
                server.asked.append(path)
                file = server.folder / path.lstrip("/")
                data = file.read_bytes() if file.is_file() else None
                answer = next((bad for end, bad in server.bad.items() if path.endswith(end)), None)
                if answer is not None:
                    answer(self, data or b"")
                elif data is None:
                    self.send_error(404)
                else:
                    send(self, data)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @contextmanager
    def serving(self) -> Iterator["WebServer"]:
        thread = threading.Thread(target=lambda: self._http.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()


def send(request: BaseHTTPRequestHandler, data: bytes, *, length: int | None = None) -> None:
    request.send_response(200)
    request.send_header("content-length", str(len(data) if length is None else length))
    request.end_headers()
    request.wfile.write(data)


def truncated(request: BaseHTTPRequestHandler, data: bytes) -> None:
    """Half of it, and then the connection is closed."""
    send(request, data[: len(data) // 2], length=len(data))


def shortened(request: BaseHTTPRequestHandler, data: bytes) -> None:
    """Half of it, as if that were all."""
    send(request, data[: len(data) // 2])


def flipped(request: BaseHTTPRequestHandler, data: bytes) -> None:
    """One bit is another."""
    middle = len(data) // 2
    send(request, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


def endless(request: BaseHTTPRequestHandler, _data: bytes) -> None:
    """No length, and no end until nobody listens."""
    request.send_response(200)
    request.end_headers()
    try:
        while True:
            request.wfile.write(bytes(65536))
    except OSError:
        request.close_connection = True


def missing(request: BaseHTTPRequestHandler, _data: bytes) -> None:
    request.send_error(404)


def status(code: int) -> Answer:
    def answer(request: BaseHTTPRequestHandler, _data: bytes) -> None:
        request.send_error(code)

    return answer


def redirect(to: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler, _data: bytes) -> None:
        request.send_response(302)
        request.send_header("location", to)
        request.send_header("content-length", "0")
        request.end_headers()

    return answer


def dripping(stop: threading.Event, head: bytes) -> Answer:
    """After `head`, a byte every now and then, for ever."""

    def answer(request: BaseHTTPRequestHandler, _data: bytes) -> None:
        request.wfile.write(head)
        try:
            while not stop.wait(0.02):
                request.wfile.write(b"x")
        except OSError:
            pass
        request.close_connection = True

    return answer
