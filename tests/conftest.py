"""What every battery knows."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz-seconds",
        type=int,
        default=12,
        metavar="N",
        help="how long each target is fuzzed under guidance",
    )
