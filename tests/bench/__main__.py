"""`scripts/bench`: every budget measured on this machine, or two commits compared."""

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from tests.bench import report
from tests.bench.figures import FIGURES, FULL, QUICK
from tests.bench.machine import describe, divide_cores
from tests.bench.rounds import Results, run_rounds
from tests.bench.tree import CannotCompare, checked_out, working_tree

_NAMES = tuple(FIGURES)


def main() -> int:
    """Measure and print; 1 when something could not be measured, 0 whatever the budgets say."""
    options = _options()
    if not sys.platform.startswith("linux"):
        print("scripts/bench reads /proc and pins processes to cores: it needs Linux.", file=sys.stderr)
        return 1
    wanted = _wanted(options.only)
    rounds = options.rounds or (2 if options.quick else 3 if options.compare else 4)
    cores, about = divide_cores(), describe()
    began = time.monotonic()
    # The collector of the clients must not stop the clock.
    gc.disable()
    try:
        with ExitStack() as trees:
            current = working_tree()
            subjects = [current]
            if options.compare:
                subjects.insert(0, trees.enter_context(checked_out(options.compare)))
            for tree in subjects:
                tree.prepare()
            os.sched_setaffinity(0, cores.clients)
            results = run_rounds(
                subjects, wanted, cores, QUICK if options.quick else FULL, rounds, _progress()
            )
    except CannotCompare as reason:
        print(f"scripts/bench: {reason}", file=sys.stderr)
        return 1
    about |= {"rounds": rounds, "pinning": cores.text(), "seconds": round(time.monotonic() - began)}
    if options.json:
        print(json.dumps(report.document(results, about), indent=2, ensure_ascii=False))
    else:
        _print(results, about)
    failed = any(series.failure for every in results.values() for series in every.values())
    return 1 if failed else 0


def _print(results: Results, about: dict[str, object]) -> None:
    print(
        f"{' and '.join(results)}: medians of {about['rounds']} rounds, {about['seconds']} s;"
        f" {about['pinning']}\n"
        f"{about['processor']}, {about['cores']} cores, {about['system']}, Python {about['python']};"
        f" load before: {about['load']}\n"
    )
    print(report.comparison(results) if len(results) == 2 else report.table(results))
    print(
        "\nnoise: the same sources measured twice, in turns; a ratio below it says nothing."
        if len(results) == 2
        else "\nnoise: this tree's odd rounds over its even ones; what differs by less is the same."
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure the gateway's budgets on this machine: three minutes, five with --compare.",
        epilog="figures: " + ", ".join(_NAMES) + "; `handshakes`, `idle` and `restart` name all of theirs",
    )
    parser.add_argument("--compare", metavar="COMMIT", help="measure COMMIT too, in turns; print the ratios")
    parser.add_argument("--only", metavar="NAME", action="append", help="one figure; may be repeated")
    parser.add_argument(
        "--rounds", metavar="N", type=_rounds, help="of each measurement: 4, or 3 with --compare"
    )
    parser.add_argument("--quick", action="store_true", help="two rounds with less in them; about a minute")
    parser.add_argument("--json", action="store_true", help="print JSON, with the value of every round")
    return parser.parse_args()


def _rounds(text: str) -> int:
    rounds = int(text)
    if rounds < 2:
        raise argparse.ArgumentTypeError("two at least: one round cannot tell noise from news")
    return rounds


def _wanted(only: Sequence[str] | None) -> list[str]:
    if only is None:
        return list(_NAMES)
    wanted = [name for name in _NAMES if any(name == each or name.startswith(f"{each}-") for each in only)]
    for each in only:
        if not any(name == each or name.startswith(f"{each}-") for name in _NAMES):
            sys.exit(f"scripts/bench: no figure is called {each}; there are: {', '.join(_NAMES)}")
    return wanted


def _progress() -> Callable[[str], None]:
    """A line that is overwritten, for who watches."""
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda text: print(f"\r\x1b[K{text}", end="\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
