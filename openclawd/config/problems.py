"""What is wrong with a configuration, said so that a person can put it right.

Every problem names the place (`gateway.port`, `--port`, `OPENCLAW_GATEWAY_PORT`), the line of the file where
there is one, the value found (never a secret's text) and what was expected. The text ends in the one command
that helps.
"""

from typing import ClassVar, Final

import attrs

VALIDATE_COMMAND: Final = "openclawd config validate"
HELP_COMMAND: Final = "openclawd gateway --help"


@attrs.frozen(eq=False, repr=False)
class ConfigProblem:
    """One thing that is wrong.

    `value` is the value as it may be shown (JSON text, cut, `***` for secrets), None where there is none.
    `expected` is a noun phrase ("an integer from 1 to 65535") when `value` is given, else a whole sentence.
    `line` counts from 1; None when the problem does not come from the file.
    """

    path: str
    value: str | None
    expected: str
    line: int | None = None
    hint: str | None = None

    def text(self) -> str:
        """One line for people, without the command that helps."""
        place = f"line {self.line}: " if self.line is not None else ""
        if self.value is None:
            said = f"{self.path}: {self.expected}" if self.path else self.expected
        else:
            said = f"{self.path} is {self.value}, expected {self.expected}"
        return f"{place}{said}" if self.hint is None else f"{place}{said} ({self.hint})"


class ConfigError(Exception):
    """The configuration cannot be used. Exit code 78 (EX_CONFIG of sysexits.h)."""

    command: ClassVar[str] = VALIDATE_COMMAND

    def __init__(self, problems: tuple[ConfigProblem, ...], *, source: str | None = None) -> None:
        super().__init__("; ".join(problem.text() for problem in problems))
        self.problems = problems
        self.source = source

    def text(self) -> str:
        """All problems, one a line, and the one command that helps."""
        head = [f"{self.source}:"] if self.source is not None else []
        indent = "  " if head else ""
        lines = [f"{indent}{problem.text()}" for problem in self.problems]
        return "\n".join([*head, *lines, f"Put it right, then check with: {self.command}"])


class UsageError(ConfigError):
    """A flag of the command line has a wrong value. Exit code 2."""

    command: ClassVar[str] = HELP_COMMAND


class PatchRefused(Exception):
    """A merge patch cannot be made as it is. The text says why, and what to do."""
