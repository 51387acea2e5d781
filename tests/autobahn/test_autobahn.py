"""Every case of the fuzzing client outside compression, which the gateway does not negotiate (12 and 13).

Of the large messages (9) only the largest of each kind and the finest fragments, as the rest takes a minute.
tests/net/test_rfc6455.py has the rules themselves, for machines without a Python 2.7.
"""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.autobahn.install import NotAvailable, fuzzing_client

pytestmark = pytest.mark.autobahn

ROOT: Final = Path(__file__).parents[2]
CASES: Final = (
    *(f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 10)),
    *("9.1.*", "9.2.*", "9.3.1", "9.3.9", "9.4.1", "9.5.1", "9.6.1", "9.7.1", "9.8.1"),
)
FUZZING_TIMEOUT_S: Final = 300
# NON-STRICT: UTF-8 that is refused at the end of its frame instead of in its middle; INFORMATIONAL: RFC 6455
# leaves it open.
GOOD: Final = {"OK", "NON-STRICT", "INFORMATIONAL"}


@pytest.fixture(scope="module")
def wstest() -> Path:
    """The fuzzing client's command."""
    try:
        return fuzzing_client()
    except NotAvailable as reason:
        pytest.skip(str(reason))


@contextmanager
def echo_server() -> Generator[int, None, None]:
    """The port of one in a process of its own."""
    command = [sys.executable, "-m", "tests.autobahn.echo_server"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
            assert server.poll() is None, "the echo server has ended"
        finally:
            server.kill()


def fuzz(wstest: Path, port: int, folder: Path) -> dict[str, Any]:
    """What the fuzzing client found, by case."""
    spec = {
        "outdir": str(folder / "reports"),
        "servers": [{"agent": "gateway", "url": f"ws://127.0.0.1:{port}"}],
        "cases": list(CASES),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    subprocess.run(
        [wstest, "-m", "fuzzingclient", "-s", str(folder / "spec.json")],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=FUZZING_TIMEOUT_S,
        check=True,
    )
    found: dict[str, Any] = json.loads((folder / "reports" / "index.json").read_text())["gateway"]
    return found


def test_the_fuzzing_client_finds_no_fault(wstest: Path, tmp_path: Path) -> None:
    with echo_server() as port:
        found = fuzz(wstest, port, tmp_path)

    faults = {
        case: (result["behavior"], result["behaviorClose"])
        for case, result in found.items()
        if not {result["behavior"], result["behaviorClose"]} <= GOOD
    }
    assert not faults
    assert len(found) > 250
