"""Asking the person at the terminal."""

import sys


def confirmed(question: str, *, default: bool) -> bool | None:
    """What a person at a terminal answers; None where there is nobody to ask."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    print(f"{question} [{'Y/n' if default else 'y/N'}] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    return default if not answer else answer in {"y", "yes"}
