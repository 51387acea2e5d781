"""A gateway from the frozen binary, in an environment that has no Python and nothing of this folder."""

import json
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.gateway_process import GatewayProcess

ROOT = Path(__file__).parents[2]


class FrozenGateway(GatewayProcess):
    """The binary with a home of its own and an empty PATH; it makes its own token."""

    def __init__(
        self,
        home: Path,
        program: Sequence[str | Path],
        config: Mapping[str, Any] | str,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(home / ".openclaw", config, environment)
        self.program = tuple(map(str, program))
        self.home = home

    def wait_until_ready(self) -> None:
        super().wait_until_ready()
        self.token = json.loads((self.state / "openclaw.json").read_text())["gateway"]["auth"]["token"]

    def _env(self) -> dict[str, str]:
        nothing = self.home / "nothing"
        nothing.mkdir(exist_ok=True)
        return {
            "HOME": str(self.home),
            "PATH": str(nothing),
            "OLLAMA_HOST": "127.0.0.1:9",
            **self._environment,
        }


@contextmanager
def frozen_gateway(
    program: Path | Sequence[str | Path],
    config: Mapping[str, Any] | str = "",
    *,
    environment: Mapping[str, str] | None = None,
    start: bool = True,
) -> Generator[FrozenGateway, None, None]:
    """A running gateway; it is killed at the end if it still runs."""
    with tempfile.TemporaryDirectory(prefix="openclawd-") as folder:
        command = [program] if isinstance(program, Path) else program
        gateway = FrozenGateway(Path(folder) / "home", command, config, environment or {})
        try:
            if start:
                gateway.start()
            yield gateway
        finally:
            gateway.kill()
