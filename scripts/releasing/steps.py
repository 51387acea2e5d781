"""What each command of scripts/release does, and says."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tuf.api.metadata import Metadata, Root

from openclawd.update.trust import ROOT_FILE, SOURCE_FILE
from scripts.releasing import publication
from scripts.releasing.archive import built
from scripts.releasing.changes import changes
from scripts.releasing.fault import Fault
from scripts.releasing.keys import ROLES, make_key, passphrase_of, public_keys, read_public, signers
from scripts.releasing.offline import newest_version, write_bundle
from scripts.releasing.origin import Origin, origin_of
from scripts.releasing.repository import Repository

Step = Callable[[argparse.Namespace, Repository], None]

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_DRAFTED: Final = ("root", "targets")
# Below so many days it is time: people with keys have to be found, or one has not been where it should.
_SOON_DAYS: Final = {"root": 60, "targets": 60, "snapshot": 30, "timestamp": 7}


def key(arguments: argparse.Namespace, _repository: Repository) -> None:
    made = make_key(arguments.keys, arguments.name, passphrase_of(arguments.passphrase_file, new=True))
    print(f"{arguments.keys / arguments.name}.key  keep it, and its passphrase, where nobody else is")
    print(f"{arguments.keys / arguments.name}.pub  {made.keyid}")


def init(arguments: argparse.Namespace, repository: Repository) -> None:
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


def embed(arguments: argparse.Namespace, repository: Repository) -> None:
    root = repository.public_root()
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


def add(arguments: argparse.Namespace, repository: Repository) -> None:
    folder = arguments.folder
    if folder is None:
        subprocess.run([ROOT / "packaging" / "build"], check=True)
        folder = ROOT / "dist" / "openclawd"
    origin = origin_of(folder)
    build = built(folder, origin.version)
    target = repository.add(
        build, arguments.channel, notes=arguments.notes, minimum=arguments.minimum, made_s=origin.made_s
    )
    glibc = f", glibc {build.glibc} or newer" if build.glibc else ""
    print(f"{target.path}: {target.length / 1e6:.1f} MB{glibc}")
    _print_doubts(origin, repository)
    print("next: scripts/release publish --keys DIR")


def withdraw(arguments: argparse.Namespace, repository: Repository) -> None:
    for path in repository.withdraw(arguments.version):
        print(f"without {path}")
    print("next: scripts/release publish --keys DIR")


def rotate(arguments: argparse.Namespace, repository: Repository) -> None:
    repository.rotate(
        arguments.role,
        add=[read_public(file) for file in arguments.add],
        revoke=[read_public(file).keyid for file in arguments.revoke],
        threshold=arguments.threshold,
    )
    _print_drafts(repository)


def extend(arguments: argparse.Namespace, repository: Repository) -> None:
    repository.extend(arguments.role)
    _print_drafts(repository)


def sign(arguments: argparse.Namespace, repository: Repository) -> None:
    repository.root()
    drafted = [role for role in _DRAFTED if repository.drafted(role) is not None]
    if not drafted:
        raise Fault("there is no draft to sign: scripts/release status")
    # Whoever signs sees what, before the passphrase is asked for.
    _print_drafts(repository)
    ids = set().union(*(repository.key_ids(role) for role in drafted))
    signed = repository.sign(signers(arguments.keys, ids, passphrase_of(arguments.passphrase_file)))
    if not signed:
        raise Fault(f"no key in {arguments.keys} may sign the {' or the '.join(drafted)}")
    for role, key_id in signed:
        print(f"draft/{role}.json signed by {key_id}")
    for role in drafted:
        print(_state(repository, role))


def publish(arguments: argparse.Namespace, repository: Repository) -> None:
    drafted = [role for role in _DRAFTED if repository.missing(role)]
    ids = set().union(*(repository.key_ids(role) for role in (*drafted, "snapshot", "timestamp")))
    found = signers(arguments.keys, ids, passphrase_of(arguments.passphrase_file))
    if drafted:
        repository.sign(found)
    _print_published(publication.publish(repository, found, timestamp_days=arguments.days), repository)


def renew(arguments: argparse.Namespace, repository: Repository) -> None:
    root: Metadata[Root] = repository.public_root()
    ids = {key_id for role in ("snapshot", "timestamp") for key_id in root.signed.roles[role].keyids}
    found = signers(arguments.keys, ids, passphrase_of(arguments.passphrase_file))
    _print_published(publication.renew(repository, found, timestamp_days=arguments.days), repository)


def bundle(arguments: argparse.Namespace, repository: Repository) -> None:
    version = arguments.version or newest_version(repository, "stable")
    into: Path = arguments.to or Path(f"openclawd-{version}.bundle.tar")
    for path in write_bundle(repository, version, into):
        print(path)
    until = min(found.signed.expires for role in ROLES if (found := repository.published(role)) is not None)
    print(f"{into}, to be used until {until:%Y-%m-%d}: openclawd update run --bundle {into.name}")


def status(_arguments: argparse.Namespace, repository: Repository) -> None:
    repository.root()
    for role in ROLES:
        found = repository.published(role)
        if found is not None:
            until = found.signed.expires
            days = (until - repository.now).days
            print(f"{role:<10} {found.signed.version:>4}   {days:>4} days left, to {until:%Y-%m-%d}")
    targets = repository.published("targets")
    for path in sorted(targets.signed.targets) if targets is not None else ():
        print(path)
    _print_drafts(repository)
    _print_soon(repository)


def _print_published(names: list[str], repository: Repository) -> None:
    for name in names:
        print(f"public/metadata/{name}")
    _print_soon(repository)
    print("next: copy public/ to where it is served, timestamp.json last (docs/releasing.md)")


def _print_drafts(repository: Repository) -> None:
    for role in _DRAFTED:
        draft, public = repository.drafted(role), repository.published(role)
        if draft is not None:
            print(f"draft/{role}.json, version {draft.signed.version}, to {draft.signed.expires:%Y-%m-%d}:")
            for line in changes(draft.signed, _signed(public)) or ["what is public, for longer"]:
                print(f"  {line}")
            print(_state(repository, role))


def _signed(metadata: Metadata[Any] | None) -> Any:
    return None if metadata is None else metadata.signed


def _state(repository: Repository, role: str) -> str:
    lacking = repository.missing(role)
    return f"draft/{role}.json " + (
        f"lacks {lacking} of its signatures" if lacking else "is signed by enough keys"
    )


def _print_soon(repository: Repository) -> None:
    """For whoever reads the mail of cron."""
    cures = {role: f"scripts/release extend {role}" for role in _DRAFTED} | {
        "snapshot": "scripts/release renew, with the snapshot's key",
        "timestamp": "scripts/release renew",
    }
    for role, soon in _SOON_DAYS.items():
        found = repository.published(role)
        days = soon if found is None else (found.signed.expires - repository.now).days
        if days < soon:
            how_long = f"for {days} more days" if days >= 0 else "no more"
            print(f"the {role} is believed {how_long}: {cures[role]}", file=sys.stderr)


def _print_doubts(origin: Origin, repository: Repository) -> None:
    """Of a build that can be published, and perhaps should not be."""
    if not origin.is_committed:
        print("it was built from files that no commit has", file=sys.stderr)
    roots = [file.read_bytes() for file in repository.every("root")]
    if origin.root not in roots:
        believes = "no keys" if origin.root is None else "other keys than this repository's"
        print(
            f"it believes {believes}: whoever has it can update no further, unless told whom to believe."
            " To mend that: scripts/release embed, commit, build anew",
            file=sys.stderr,
        )
