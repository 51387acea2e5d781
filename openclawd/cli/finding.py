"""What `openclawd doctor` and `status` found out: one thing each, and the one command that mends it."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import attrs

from openclawd.cli.called import as_typed_here
from openclawd.cli.output import duration
from openclawd.daemon.log_text import printable, shown_value

_CURE: Final = "mend it:"


class Verdict(StrEnum):
    """How bad it is. Only `FAILED` makes an exit code of 1."""

    OK = "ok"
    NOTE = "note"
    """It works, and could be better."""
    FAILED = "failed"


@attrs.frozen
class Finding:
    """`name` is what was looked at, `said` what was found; `record`: the decision behind it."""

    verdict: Verdict
    name: str
    said: str
    cure: str | None = None
    record: Mapping[str, object] | None = None

    def document(self) -> dict[str, object]:
        """For `--json`."""
        known = {"cure": self.cure, "record": self.record}
        return {
            "verdict": self.verdict.value,
            "name": self.name,
            "said": self.said,
            **{name: value for name, value in known.items() if value is not None},
        }


def ok(name: str, said: str, record: Mapping[str, object] | None = None) -> Finding:
    return Finding(Verdict.OK, name, said, record=record)


def note(name: str, said: str, cure: str | None = None) -> Finding:
    return Finding(Verdict.NOTE, name, said, cure)


def failed(name: str, said: str, cure: str | None, record: Mapping[str, object] | None = None) -> Finding:
    return Finding(Verdict.FAILED, name, said, cure, record)


def print_findings(findings: Iterable[Finding]) -> None:
    """One line each in three columns; the record and the command that mends it stand below."""
    found = list(findings)
    width = max((len(each.name) for each in found), default=0)
    indent = " " * (max(map(len, Verdict)) + 2 + width + 2)
    for each in found:
        first, *more = each.said.splitlines() or [""]
        verdict = each.verdict.value.ljust(max(map(len, Verdict)))
        print(f"{verdict}  {each.name.ljust(width)}  {printable(first)}")
        for line in more:
            print(f"{indent}{printable(line)}")
        if each.record:
            print(f"{indent}{shown_record(each.record)}")
        if each.cure is not None:
            print(f"{indent}{_CURE} {printable(as_typed_here(each.cure))}")


def shown_record(record: Mapping[str, object]) -> str:
    """`name=value` pairs, as the log has them."""
    return "  ".join(f"{printable(str(name))}={shown_value(value)}" for name, value in record.items())


def waited(milliseconds: object) -> str:
    """`in 12 s`, or nothing where the gateway did not say."""
    if not isinstance(milliseconds, int | float) or milliseconds <= 0:
        return ""
    return f" in {duration(milliseconds)}"
