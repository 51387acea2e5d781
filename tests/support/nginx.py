"""nginx before a gateway, as people set it up: with and without the headers that its manual recommends."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support.gateway_process import free_port

START_PATIENCE_S: Final = 10.0

Headers = Sequence[tuple[str, str]]
# What `proxy_set_header` is given.
NOTHING: Final[Headers] = ()
HOST: Final[Headers] = (("Host", "$http_host"),)
HOST_WITHOUT_PORT: Final[Headers] = (("Host", "$host"),)
_FOR_AND_PROTO: Final[Headers] = (
    ("X-Forwarded-For", "$proxy_add_x_forwarded_for"),
    ("X-Forwarded-Proto", "$scheme"),
)
FORWARDED: Final[Headers] = (*HOST, *_FOR_AND_PROTO)
FORWARDED_HOST: Final[Headers] = (("X-Forwarded-Host", "$http_host"), *_FOR_AND_PROTO)
REAL_IP: Final[Headers] = (*HOST, ("X-Real-IP", "$remote_addr"), ("X-Forwarded-For", '""'))

_CONFIG: Final = """
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
    server {{
        listen 127.0.0.1:{port}{tls};
        location {prefix}/ {{
            proxy_pass http://127.0.0.1:{target}{strip};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            {headers}
        }}
    }}
}}
"""


@contextmanager
def nginx(
    target_port: int,
    headers: Headers = FORWARDED,
    *,
    prefix: str = "",
    strip: bool = False,
    certificate: tuple[Path, Path] | None = None,
) -> Generator[int, None, None]:
    """Serve 127.0.0.1:`target_port` at `prefix`, which `strip` takes off the path; gives the port.

    `certificate`, the files of a certificate and its key, makes it speak TLS. Where there is no nginx, the
    test is skipped.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("nginx is not installed (Debian: sudo apt-get install nginx-light)")
    port = free_port()
    tls = ""
    if certificate is not None:
        tls = (
            f" ssl;\n        ssl_certificate {certificate[0]};\n        ssl_certificate_key {certificate[1]}"
        )
    config = _CONFIG.format(
        port=port,
        tls=tls,
        prefix=prefix,
        target=target_port,
        strip="/" if strip else "",
        headers="\n            ".join(f"proxy_set_header {name} {value};" for name, value in headers),
    )
    with tempfile.TemporaryDirectory(prefix="openclawd-nginx-") as folder:
        (Path(folder) / "nginx.conf").write_text(config)
        command = [program, "-p", folder, "-e", "error.log", "-c", f"{folder}/nginx.conf"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            try:
                _wait_until_it_listens(process, port)
                yield port
            finally:
                process.kill()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(f"nginx has ended: {process.stderr.read().decode()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError("nginx did not start")
