"""One target under atheris, which follows the branches of our code.

python -m tests.fuzz.guided TARGET [libFuzzer arguments]

The first folder among the arguments collects what it finds interesting (https://llvm.org/docs/LibFuzzer.html).
Ends with a code other than 0 and the input in a file when the target raises.
"""

import sys

import atheris

with atheris.instrument_imports(include=["openclawd", "h11", "wsproto"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, *arguments = sys.argv[1:]
    atheris.Setup([name, *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
