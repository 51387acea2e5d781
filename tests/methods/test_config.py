"""`config.get` as stock clients know it."""

import hashlib
from pathlib import Path

from openclawd.config.file import CurrentFile
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigProblem
from openclawd.config.reading import parse
from openclawd.config.redact import REDACTED
from openclawd.methods.config import config_answer

PATHS = Paths(state_dir=Path("/home/me/.openclaw"), config_file=Path("/home/me/.openclaw/openclaw.json"))


def current(text: str, *problems: ConfigProblem) -> CurrentFile:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return CurrentFile(PATHS, True, text, parse(text), digest, ("kept: channels",), problems)


def test_the_answer_has_stocks_shape_and_no_secret() -> None:
    text = '{ "gateway": { "auth": { "token": "s3cret" } }, "channels": {} }\n'
    covered = {"gateway": {"auth": {"token": REDACTED}}, "channels": {}}
    assert config_answer(current(text), owns=True) == {
        "path": "/home/me/.openclaw/openclaw.json",
        "exists": True,
        "raw": text.replace("s3cret", REDACTED),
        "parsed": covered,
        "resolved": covered,
        "valid": True,
        "config": covered,
        "hash": hashlib.sha256(text.encode()).hexdigest(),
        "issues": [],
        "warnings": [{"path": "", "message": "kept: channels"}],
        "legacyIssues": [],
    }


def test_who_does_not_own_it_cannot_try_out_secrets_by_its_hash() -> None:
    weak, other = ('{gateway: {auth: {password: "' + word + '"}}}' for word in ("summer", "winter"))
    assert (
        config_answer(current(weak), owns=False)["hash"] == config_answer(current(other), owns=False)["hash"]
    )
    shown = weak.replace("summer", REDACTED)
    assert config_answer(current(weak), owns=False)["hash"] == hashlib.sha256(shown.encode()).hexdigest()


def test_what_is_wrong_with_the_file_is_told_with_its_place() -> None:
    problem = ConfigProblem("gateway.port", '"x"', "an integer from 1 to 65535", 3)
    answer = config_answer(current("{gateway: {port: 'x'}}", problem), owns=True)
    assert answer["valid"] is False
    assert answer["issues"] == [
        {
            "path": "gateway.port",
            "message": 'line 3: gateway.port is "x", expected an integer from 1 to 65535',
        }
    ]
