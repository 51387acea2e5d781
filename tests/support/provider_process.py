"""The fake model provider as a process, for gateways that are processes too; and the config that names it."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.fake_provider import CHATS
from tests.fake_wires import question_of

MODEL = "fake-model"
KEY = "sk-canary-5f0e9d8c7b6a"
_TIMEOUT_S = 10.0


class ProviderProcess:
    """`tests.fake_provider` at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def chats(self) -> list[dict[str, Any]]:
        """The chat requests that it was asked so far."""
        with urlopen(f"{self.url}/_requests", timeout=_TIMEOUT_S) as answer:
            requests: list[dict[str, Any]] = json.load(answer)
        return [request for request in requests if request["path"].endswith(CHATS)]

    @property
    def questions(self) -> Counter[str]:
        """How often each question was asked."""
        return Counter(question_of(chat["body"]) for chat in self.chats)

    def asked(self, text: str) -> list[dict[str, Any]]:
        """The requests whose last question was `text`."""
        return [chat for chat in self.chats if question_of(chat["body"]) == text]

    def config(self, **gateway: Any) -> dict[str, Any]:
        """A config whose one model is this provider's; `gateway` goes under that key."""
        provider = {
            "baseUrl": f"{self.url}/v1",
            "apiKey": KEY,
            "api": "openai-completions",
            "models": [{"id": MODEL, "name": "Fake"}],
        }
        return {
            "gateway": gateway,
            "models": {"providers": {"fake": provider}},
            "agents": {"defaults": {"model": {"primary": f"fake/{MODEL}"}}},
        }


@contextmanager
def provider_process() -> Generator[ProviderProcess, None, None]:
    """Run the provider until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_provider", "--key", KEY],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        with process.stdout as stdout:
            yield ProviderProcess(stdout.readline().strip())
    finally:
        process.kill()
        process.wait()
