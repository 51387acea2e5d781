"""The gateway's own faults, found in its log."""

import json
from datetime import UTC, datetime
from pathlib import Path

from openclawd.cli.logged_faults import logged_faults


def line(at_s: float, message: str, **fields: str) -> str:
    time = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": time, "level": "error", "message": message, **fields})


def test_faults_are_told_once_and_only_those_since_then(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [
        line(10, "method failed", method="old"),
        line(20, "method failed", method="health"),
        line(21, "method failed", method="health"),
        line(22, "part failed", part="backups"),
        line(23, "refused", reason="method failed"),
        "part failed, and no JSON",
    ]
    log.write_text("\n".join(lines))
    assert logged_faults(log, since_ms=20_000) == [
        "the answer to health failed by a fault of the gateway",
        "its part 'backups' failed",
    ]


def test_without_a_log_there_are_none(tmp_path: Path) -> None:
    assert logged_faults(tmp_path / "log", since_ms=0) == []
