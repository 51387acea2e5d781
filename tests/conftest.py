"""What every battery knows."""

import signal

import pytest


def pytest_configure() -> None:
    # A shell without job control starts what it puts into the background deaf to Ctrl-C, and that is
    # inherited: the commands that tests interrupt would be deaf, too (signal(7); POSIX, Shell 2.11).
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz-seconds",
        type=int,
        default=12,
        metavar="N",
        help="how long each target is fuzzed under guidance",
    )
