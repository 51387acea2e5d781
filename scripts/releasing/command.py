"""The command line of scripts/release."""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scripts.releasing import steps
from scripts.releasing.fault import Fault
from scripts.releasing.keys import ROLES
from scripts.releasing.repository import DAYS, Repository

_CHANNELS: Final = ("stable", "beta")
_EXAMPLE: Final = """\
a first time, and then each release:
  scripts/release init --keys KEYS
  scripts/release publish --keys KEYS
  scripts/release add
  scripts/release publish --keys KEYS
docs/releasing.md tells how keys are shared among people, kept offline and replaced.
"""


def main(argv: Sequence[str], *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> int:
    """Run one command; its exit code: 0, 1 where it could not be done, 2 for a wrong command line."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.handler(arguments, Repository(arguments.repository, now()))
    except (Fault, OSError) as error:
        print(f"scripts/release: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode  # it has said why
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/release",
        description="Make releases: keys, what they sign, and the plain files that `openclawd update` reads.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--repository", type=Path, default=Path("release"), metavar="DIR", help="default: ./release"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, handler: steps.Step, told: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=told, description=told, allow_abbrev=False)
        made.set_defaults(handler=handler)
        return made

    def keys(made: argparse.ArgumentParser) -> None:
        made.add_argument("--keys", type=Path, required=True, metavar="DIR", help="the folder with key files")
        made.add_argument(
            "--passphrase-file", type=Path, metavar="FILE", help="of the keys, rather than being asked for it"
        )

    key = command(
        "key", steps.key, "make one key: NAME.key stays with its owner, NAME.pub goes to the others"
    )
    key.add_argument("name", metavar="NAME", help="its role and whose it is: root-alice, targets, timestamp")
    keys(key)
    init = command("init", steps.init, "begin a repository, making the keys that are not in --keys yet")
    init.add_argument("--root-keys", type=int, default=3, metavar="N", help="default: %(default)s")
    init.add_argument("--threshold", type=int, default=2, metavar="N", help="of root's keys (default: 2)")
    keys(init)
    embed = command(
        "embed", steps.embed, "put the newest root, and where releases are, into packaging/update/"
    )
    embed.add_argument(
        "--url",
        action="append",
        required=True,
        metavar="URL",
        help="what metadata/ and targets/ are below of",
    )
    embed.add_argument(
        "--into", type=Path, default=steps.ROOT / "packaging" / "update", help=argparse.SUPPRESS
    )
    add = command("add", steps.add, "pack a build for the next publication")
    add.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="one that packaging/build made, here or elsewhere (default: build dist/openclawd)",
    )
    add.add_argument("--channel", choices=_CHANNELS, default="stable", help="default: %(default)s")
    add.add_argument("--notes", metavar="TEXT", help="what is new, in a sentence or two")
    add.add_argument(
        "--minimum", metavar="VERSION", help="the oldest version that may be followed by this one"
    )
    withdraw = command("withdraw", steps.withdraw, "take a version back: nobody gets it any more")
    withdraw.add_argument("version", metavar="VERSION")
    rotate = command("rotate", steps.rotate, "draft a root with other keys for a role")
    rotate.add_argument("role", choices=ROLES)
    rotate.add_argument("--add", type=Path, action="append", default=[], metavar="FILE.pub")
    rotate.add_argument("--revoke", type=Path, action="append", default=[], metavar="FILE.pub")
    rotate.add_argument("--threshold", type=int, metavar="N")
    extend = command("extend", steps.extend, "draft a root or a list of releases that expires later")
    extend.add_argument("role", choices=("root", "targets"))
    sign = command("sign", steps.sign, "show the drafts, and sign them with the keys that are here")
    keys(sign)
    public = command("publish", steps.publish, "sign the drafts, and make them public")
    renew = command(
        "renew",
        steps.renew,
        "sign the timestamp once more; with its key the snapshot too, when it is half run out",
    )
    for each in (public, renew):
        each.add_argument(
            "--days",
            type=int,
            default=DAYS["timestamp"],
            metavar="N",
            help="it is believed (default: %(default)s)",
        )
        keys(each)
    bundle = command(
        "bundle", steps.bundle, "put a release and its signatures into one file, for hosts offline"
    )
    bundle.add_argument("version", nargs="?", metavar="VERSION", help="default: the newest stable one")
    bundle.add_argument("--to", type=Path, metavar="FILE", help="default: openclawd-VERSION.bundle.tar")
    command("status", steps.status, "what is public, until when it is believed, and what the drafts lack")
    return parser
