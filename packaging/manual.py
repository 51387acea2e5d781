"""Write the manual page openclawd.1 from the parser of the command line: packaging/manual.py FILE

Commands, options and their explanations are those of `--help`, the exit codes and their reasons those of the
one table in the code; nothing is said twice. Needs no library but attrs: it also runs where a wheel is built.
"""

# argparse has no public way to ask a parser what it knows.
# ruff: noqa: SLF001

import argparse
import ast
import datetime
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import openclawd  # noqa: E402 - no environment is set up for this
from openclawd.cli.main import _parser  # noqa: E402

EXIT_CODES = ROOT / "openclawd" / "daemon" / "exit_codes.py"

# What there is beside the command line. The guide of the configuration has the rest.
ENVIRONMENT = (
    ("OPENCLAW_STATE_DIR", "Where the state is; instead of ~/.openclaw."),
    ("OPENCLAW_CONFIG_PATH", "The configuration; instead of openclaw.json in the state directory."),
    ("OPENCLAW_PROFILE", "The name of one of several gateways: its state is in ~/.openclaw-NAME."),
    ("OPENCLAW_HOME", "What takes the place of ~."),
    ("OPENCLAW_GATEWAY_PORT", "The port, before that of the configuration."),
    ("OPENCLAW_GATEWAY_TOKEN", "The token, where the configuration has none."),
    ("OPENCLAW_GATEWAY_PASSWORD", "The password, where the configuration has none."),
    ("OPENCLAWD_DEBUG", "With 1, a fault shows where it happened."),
)
FILES = (
    ("~/.openclaw/openclaw.json", "The configuration, in JSON5."),
    ("~/.openclaw/openclawd/", "What is ours: the database, the log, backups, the local socket."),
)


def manual() -> str:
    """The page (man(7)); dated by SOURCE_DATE_EPOCH, or else by today."""
    parser = _parser(())
    at = datetime.datetime.fromtimestamp(
        int(os.environ.get("SOURCE_DATE_EPOCH") or datetime.datetime.now(datetime.UTC).timestamp()),
        datetime.UTC,
    )
    lines = [
        f'.TH OPENCLAWD 1 "{at:%Y-%m-%d}" "openclawd {openclawd.__version__}" "User Commands"',
        # No hyphens of its own, and lines that end where words do: commands are copied from here.
        ".nh",
        ".ad l",
        ".SH NAME",
        f"openclawd \\- {text(first_down(parser.description or '').rstrip('.'))}",
        ".SH SYNOPSIS",
        *synopsis(parser),
        ".SH DESCRIPTION",
        text(parser.description or ""),
        *options_of(parser),
        ".SH COMMANDS",
        *commands_of(parser),
        ".SH EXIT STATUS",
        *definitions(exit_codes()),
        ".SH ENVIRONMENT",
        *definitions(ENVIRONMENT),
        ".SH FILES",
        *definitions(FILES),
    ]
    if parser.epilog:
        title, _, examples = parser.epilog.partition("\n")
        lines += [".SH EXAMPLES", text(title), ".PP", ".nf"]
        lines += [text(line) for line in examples.rstrip().splitlines()]
        lines += [".fi"]
    return "\n".join(lines) + "\n"


def commands_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every command that `--help` lists, with those below it, each with its options."""
    for explanation, command in subcommands(parser):
        yield f".SS {text(command.prog)}"
        yield text(sentence(explanation))
        yield ".PP"
        yield from synopsis(command)
        yield from options_of(command)
        yield from commands_of(command)


def subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            # A command without an explanation is none for people.
            for listed in action._choices_actions:
                yield str(listed.help), action.choices[listed.dest]


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    formatter = parser._get_formatter()
    for action in parser._actions:
        is_help = isinstance(action, argparse._HelpAction)
        if is_help or isinstance(action, argparse._SubParsersAction) or action.help == argparse.SUPPRESS:
            continue
        value = "" if action.nargs == 0 else formatter._format_args(action, name_of_value(action))
        if action.option_strings:
            names = ", ".join(f"\\fB{text(name)}\\fR" for name in action.option_strings)
            named = f"{names} \\fI{text(value)}\\fR" if value else names
        else:
            named = f"\\fI{text(value)}\\fR"
        yield ".TP"
        yield named
        yield text(sentence(formatter._expand_help(action))) if action.help else "\\&"


def name_of_value(action: argparse.Action) -> str:
    if action.metavar is not None:
        return str(action.metavar)
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper() if action.option_strings else action.dest


def synopsis(parser: argparse.ArgumentParser) -> Iterator[str]:
    usage = parser.format_usage().removeprefix("usage: ")
    words = text(re.sub(r"\s+", " ", usage).strip().removeprefix(parser.prog))
    # An option and its value stay on one line.
    together = re.sub(r"\[[^\[\]]*\]", lambda option: option[0].replace(" ", "\\ "), words)
    yield f"\\fB{text(parser.prog)}\\fR{together}"


def exit_codes() -> Iterator[tuple[str, str]]:
    """Each code with the text that stands below it in the source."""
    module = ast.parse(EXIT_CODES.read_text(encoding="utf-8"))
    (table,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "ExitCode")
    for assigned, said in zip(table.body, table.body[1:], strict=False):
        if isinstance(assigned, ast.Assign) and isinstance(said, ast.Expr):
            words = str(ast.literal_eval(said.value)).split()
            yield str(ast.literal_eval(assigned.value)), " ".join(words)


def definitions(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, meaning in pairs:
        yield ".TP"
        yield f"\\fB{text(name)}\\fR"
        yield text(meaning)


def sentence(words: str) -> str:
    words = re.sub(r"\s+", " ", words).strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")


def first_down(words: str) -> str:
    article, _, rest = words.partition(" ")
    return f"{article.lower()} {rest}"


def text(plain: str) -> str:
    """What man(7) shows as it is: hyphens can be copied, and no line begins with what would be a request."""
    marked = plain.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    marked = marked.replace("`", "\\(ga").replace("'", "\\(aq")
    return f"\\&{marked}" if marked.startswith(".") else marked


def main() -> None:
    parser = argparse.ArgumentParser(prog="packaging/manual.py", description="Write the manual page.")
    parser.add_argument("file", type=Path)
    parser.parse_args().file.write_text(manual(), encoding="utf-8")


if __name__ == "__main__":
    main()
