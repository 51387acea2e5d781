"""Making drafts public, with a snapshot and a timestamp that lead to them."""

import shutil
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final, cast

from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from scripts.releasing.archives import open_to_all
from scripts.releasing.fault import Fault
from scripts.releasing.repository import DAYS, READABLE, Repository, write_metadata

# Signed again, rather than let it run out between two renewals.
_RENEWED_BEFORE: Final = 0.5


def publish(
    repository: Repository, signers: Iterable[Signer], *, timestamp_days: int = DAYS["timestamp"]
) -> list[str]:
    """Make the drafts public, and sign the snapshot and the timestamp; the files that are new.

    `signers`: of the snapshot and the timestamp. Raises Fault, with nothing published.
    """
    for role in ("root", "targets"):
        lacking = repository.missing(role)
        if lacking:
            keys = "signature" if lacking == 1 else "signatures"
            raise Fault(f"draft/{role}.json lacks {lacking} {keys}: scripts/release sign")
    targets = repository.drafted("targets") or repository.published("targets")
    if targets is None:
        raise Fault(f"{repository.folder} has no list of releases; make one: scripts/release init")
    new = _vouch(repository, repository.root(), targets, list(signers), timestamp_days)
    shutil.rmtree(repository.draft, ignore_errors=True)
    return new


def renew(
    repository: Repository, signers: Iterable[Signer], *, timestamp_days: int = DAYS["timestamp"]
) -> list[str]:
    """Sign a new timestamp for what is public, whatever is drafted meanwhile; the files that are new.

    The snapshot, too, when half of its time is over and its key is among the `signers`. Raises Fault.
    """
    root, targets = repository.public_root(), repository.published("targets")
    if targets is None:
        raise Fault(f"{repository.folder} has no list of releases; publish one: scripts/release publish")
    return _vouch(repository, root, targets, list(signers), timestamp_days)


def _vouch(
    repository: Repository,
    root: Metadata[Root],
    targets: Metadata[Targets],
    signers: list[Signer],
    timestamp_days: int,
) -> list[str]:
    """Write what is new of these, a snapshot that has them, and a timestamp that leads there, as the last."""
    snapshot = _snapshot(repository, targets, root, signers, timestamp_days)
    counted = _counted(repository, "timestamp", timestamp_days)
    timestamp = _signed(Timestamp(**counted, snapshot_meta=_meta(snapshot)), root, signers)
    named = [
        (f"{each.signed.version}.{role}.json", each)
        for role, each in (("root", root), ("targets", targets), ("snapshot", snapshot))
    ]
    for folder in (repository.folder, repository.metadata.parent, repository.metadata):
        open_to_all(folder)
    new = [(name, each) for name, each in named if not (repository.metadata / name).exists()]
    for name, each in (*new, ("timestamp.json", timestamp)):
        write_metadata(repository.metadata / name, each)
    return [*(name for name, _ in new), "timestamp.json"]


def _snapshot(
    repository: Repository,
    targets: Metadata[Targets],
    root: Metadata[Root],
    signers: list[Signer],
    timestamp_days: int,
) -> Metadata[Snapshot]:
    """The public one where it still says the truth, for long enough, and its keys are the root's.

    Who has its key renews it before half of its time is over; who has not may do without until it ends.
    """
    days = max(DAYS["snapshot"], timestamp_days)
    old = cast("Metadata[Snapshot] | None", repository.published("snapshot"))
    if old is not None and old.signed.meta["targets.json"].version == targets.signed.version:
        # A timestamp that outlives its snapshot would promise too much.
        enough = timedelta(days=timestamp_days)
        if any(each.public_key.keyid in root.signed.roles["snapshot"].keyids for each in signers):
            enough = max(enough, _RENEWED_BEFORE * timedelta(days=days))
        if old.signed.expires > repository.now + enough and _verifies(root.signed, old):
            return old
    meta = {"targets.json": _meta(targets)}
    made = Snapshot(**_counted(repository, "snapshot", days), meta=meta)
    return _signed(made, root, signers)


def _signed(what: Any, root: Metadata[Root], signers: list[Signer]) -> Metadata[Any]:
    made = Metadata(what)
    for signer in signers:
        if signer.public_key.keyid in root.signed.roles[what.type].keyids:
            made.sign(signer, append=True)
    result = root.signed.get_verification_result(what.type, made.signed_bytes, made.signatures)
    lacking = result.missing
    if lacking:
        raise Fault(f"the {what.type} cannot be signed: {lacking} of its keys are not in --keys")
    return made


def _counted(repository: Repository, role: str, days: int) -> dict[str, Any]:
    old = repository.published(role)
    version = 1 if old is None else old.signed.version + 1
    return {"version": version, "expires": repository.now + timedelta(days=days)}


def _verifies(root: Root, snapshot: Metadata[Snapshot]) -> bool:
    try:
        root.verify_delegate("snapshot", snapshot.signed_bytes, snapshot.signatures)
    except RepositoryError:
        return False
    return True


def _meta(of: Metadata[Any]) -> MetaFile:
    data = of.to_bytes(READABLE)
    return MetaFile.from_data(of.signed.version, data, ["sha256"])
