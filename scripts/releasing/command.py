"""The command line of scripts/release."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import openclawd
from openclawd.update.trust import ROOT_FILE, SOURCE_FILE
from scripts.releasing.archive import built
from scripts.releasing.fault import Fault
from scripts.releasing.keys import ROLES, make_key, passphrase_of, public_keys, read_public, signers
from scripts.releasing.offline import newest_version, write_bundle
from scripts.releasing.publication import publish
from scripts.releasing.repository import DAYS, Repository

ROOT: Final = Path(__file__).resolve().parent.parent.parent
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

    def command(name: str, handler: Callable[[argparse.Namespace, Repository], None], told: str):  # type: ignore[no-untyped-def]
        made = commands.add_parser(name, help=told, description=told, allow_abbrev=False)
        made.set_defaults(handler=handler)
        return made

    def keys(made: argparse.ArgumentParser) -> None:
        made.add_argument("--keys", type=Path, required=True, metavar="DIR", help="the folder with key files")
        made.add_argument(
            "--passphrase-file", type=Path, metavar="FILE", help="of the keys, rather than being asked for it"
        )

    key = command("key", _key, "make one key: NAME.key stays with its owner, NAME.pub goes to the others")
    key.add_argument("name", metavar="NAME", help="its role and whose it is: root-alice, targets, timestamp")
    keys(key)
    init = command("init", _init, "begin a repository, making the keys that are not in --keys yet")
    init.add_argument("--root-keys", type=int, default=3, metavar="N", help="default: %(default)s")
    init.add_argument("--threshold", type=int, default=2, metavar="N", help="of root's keys (default: 2)")
    keys(init)
    embed = command("embed", _embed, "put the newest root, and where releases are, into packaging/update/")
    embed.add_argument(
        "--url",
        action="append",
        required=True,
        metavar="URL",
        help="what metadata/ and targets/ are below of",
    )
    embed.add_argument("--into", type=Path, default=ROOT / "packaging" / "update", help=argparse.SUPPRESS)
    add = command("add", _add, "pack a build for the next publication (default: build dist/openclawd first)")
    add.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="one that packaging/build made")
    add.add_argument("--version", default=openclawd.__version__, help="default: %(default)s")
    add.add_argument("--channel", choices=_CHANNELS, default="stable", help="default: %(default)s")
    add.add_argument("--notes", metavar="TEXT", help="what is new, in a sentence or two")
    add.add_argument(
        "--minimum", metavar="VERSION", help="the oldest version that may be followed by this one"
    )
    withdraw = command("withdraw", _withdraw, "take a version back: nobody gets it any more")
    withdraw.add_argument("version", metavar="VERSION")
    rotate = command("rotate", _rotate, "draft a root with other keys for a role")
    rotate.add_argument("role", choices=ROLES)
    rotate.add_argument("--add", type=Path, action="append", default=[], metavar="FILE.pub")
    rotate.add_argument("--revoke", type=Path, action="append", default=[], metavar="FILE.pub")
    rotate.add_argument("--threshold", type=int, metavar="N")
    extend = command("extend", _extend, "draft a root or a list of releases that expires later")
    extend.add_argument("role", choices=("root", "targets"))
    sign = command("sign", _sign, "sign the drafts with the keys that are here")
    keys(sign)
    public = command("publish", _publish, "sign the drafts, and make them public")
    renew = command(
        "renew", _publish, "sign the timestamp once more; the snapshot too, when it is half run out"
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
    bundle = command("bundle", _bundle, "put a release and its signatures into one file, for hosts offline")
    bundle.add_argument("version", nargs="?", metavar="VERSION", help="default: the newest stable one")
    bundle.add_argument("--to", type=Path, metavar="FILE", help="default: openclawd-VERSION.bundle.tar")
    command("status", _status, "what is public, until when it is believed, and what the drafts lack")
    return parser


def _key(arguments: argparse.Namespace, _repository: Repository) -> None:
    key = make_key(arguments.keys, arguments.name, passphrase_of(arguments.passphrase_file, new=True))
    print(f"{arguments.keys / arguments.name}.key  keep it, and its passphrase, where nobody else is")
    print(f"{arguments.keys / arguments.name}.pub  {key.keyid}")


def _init(arguments: argparse.Namespace, repository: Repository) -> None:
    passphrase = passphrase_of(arguments.passphrase_file, new=True)
    for role in ROLES:
        if not public_keys(arguments.keys, role):
            count = arguments.root_keys if role == "root" else 1
            for name in [role] if count == 1 else [f"{role}-{each}" for each in range(1, count + 1)]:
                make_key(arguments.keys, name, passphrase)
                print(f"made {arguments.keys / name}.key")
    keys = {role: public_keys(arguments.keys, role).values() for role in ROLES}
    repository.begin(keys, arguments.threshold)
    print(f"root: {arguments.threshold} of {len(keys['root'])} keys")
    print("next: scripts/release publish --keys DIR; or, with keys of several people, scripts/release sign")


def _embed(arguments: argparse.Namespace, repository: Repository) -> None:
    root = repository.published("root")
    if root is None:
        raise Fault(f"{repository.folder} has no public root; make it: scripts/release publish")
    for url in arguments.url:
        if not url.startswith(("https://", "http://")):
            raise Fault(f"{url!r} is not like https://host/path")
    folder: Path = arguments.into
    folder.mkdir(exist_ok=True)
    # As it lies there: the signatures are of these bytes.
    public = repository.metadata / f"{root.signed.version}.root.json"
    (folder / ROOT_FILE).write_bytes(public.read_bytes())
    (folder / SOURCE_FILE).write_text(json.dumps({"urls": arguments.url}, indent=2) + "\n")
    for name in (ROOT_FILE, SOURCE_FILE):
        print(folder / name)
    print("next: commit both; every build from here on believes these keys")


def _add(arguments: argparse.Namespace, repository: Repository) -> None:
    folder = arguments.folder
    if folder is None:
        subprocess.run([ROOT / "packaging" / "build"], check=True)
        folder = ROOT / "dist" / "openclawd"
    build = built(folder, arguments.version)
    target = repository.add(
        build, arguments.channel, notes=arguments.notes, minimum=arguments.minimum, made_s=_made_s()
    )
    glibc = f", glibc {build.glibc} or newer" if build.glibc else ""
    print(f"{target.path}: {target.length / 1e6:.1f} MB{glibc}")
    print("next: scripts/release publish --keys DIR")


def _withdraw(arguments: argparse.Namespace, repository: Repository) -> None:
    for path in repository.withdraw(arguments.version):
        print(f"without {path}")
    print("next: scripts/release publish --keys DIR")


def _rotate(arguments: argparse.Namespace, repository: Repository) -> None:
    repository.rotate(
        arguments.role,
        add=[read_public(file) for file in arguments.add],
        revoke=[read_public(file).keyid for file in arguments.revoke],
        threshold=arguments.threshold,
    )
    _print_drafts(repository)


def _extend(arguments: argparse.Namespace, repository: Repository) -> None:
    repository.extend(arguments.role)
    _print_drafts(repository)


def _sign(arguments: argparse.Namespace, repository: Repository) -> None:
    ids = repository.key_ids("root") | repository.key_ids("targets")
    for role, key_id in repository.sign(
        signers(arguments.keys, ids, passphrase_of(arguments.passphrase_file))
    ):
        print(f"draft/{role}.json signed by {key_id}")
    _print_drafts(repository)


def _publish(arguments: argparse.Namespace, repository: Repository) -> None:
    drafted = [role for role in ("root", "targets") if repository.missing(role)]
    ids = set().union(*(repository.key_ids(role) for role in (*drafted, "snapshot", "timestamp")))
    found = signers(arguments.keys, ids, passphrase_of(arguments.passphrase_file))
    if drafted:
        repository.sign(found)
    for name in publish(repository, found, timestamp_days=arguments.days):
        print(f"public/metadata/{name}")
    print("next: copy public/ to where it is served, timestamp.json last (docs/releasing.md)")


def _bundle(arguments: argparse.Namespace, repository: Repository) -> None:
    version = arguments.version or newest_version(repository, "stable")
    into: Path = arguments.to or Path(f"openclawd-{version}.bundle.tar")
    for path in write_bundle(repository, version, into):
        print(path)
    until = min(found.signed.expires for role in ROLES if (found := repository.published(role)) is not None)
    print(f"{into}, to be used until {until:%Y-%m-%d}: openclawd update run --bundle {into.name}")


def _status(_arguments: argparse.Namespace, repository: Repository) -> None:
    for role in ROLES:
        found = repository.published(role)
        if found is not None:
            days = (found.signed.expires - repository.now).days
            print(f"{role:<10} {found.signed.version:>4}   {days:>4} days left")
    targets = repository.published("targets")
    for path in sorted(targets.signed.targets) if targets is not None else ():
        print(path)
    _print_drafts(repository)


def _print_drafts(repository: Repository) -> None:
    for role in ("root", "targets"):
        if repository.drafted(role) is not None:
            lacking = repository.missing(role)
            state = f"lacks {lacking} of its signatures" if lacking else "is signed by enough keys"
            print(f"draft/{role}.json {state}")


def _made_s() -> int:
    """The second that everything in an archive is from: that of the commit, so that others get the same."""
    told = os.environ.get("SOURCE_DATE_EPOCH")
    if told is not None:
        return int(told)
    git = shutil.which("git")
    if git is None:
        return 0
    words = (git, "-C", ROOT, "log", "-1", "--format=%ct")
    said = subprocess.run(words, capture_output=True, text=True, check=False)
    return int(said.stdout) if said.returncode == 0 and said.stdout.strip() else 0
