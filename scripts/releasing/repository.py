"""A TUF repository of plain files, and what is being prepared for it.

    public/metadata/   1.root.json, 2.root.json, ..., N.targets.json, N.snapshot.json, timestamp.json
    public/targets/    stable/<sha256>.openclawd-0.7.0-linux-x86_64.tar.gz
    draft/             root.json, targets.json: the next ones, until enough keys have signed them

Who holds a key signs the drafts where that key is, and hands them on; a draft becomes public when its
threshold is met. The snapshot and the timestamp are made with each publication. What is public is never
changed, only added to, but for timestamp.json, which is replaced last: whoever reads meanwhile reads the old
state, or the new one.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import attrs
from securesystemslib.signer import Signer, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, TargetFile, Targets
from tuf.api.serialization.json import JSONSerializer

from openclawd.slots.durable import write_durably
from openclawd.update.releases import release_of
from scripts.releasing.archive import Built
from scripts.releasing.archives import Archives, sha256
from scripts.releasing.fault import Fault
from scripts.releasing.keys import ROLES

DAYS: Final[Mapping[str, int]] = {"root": 365, "targets": 365, "snapshot": 60, "timestamp": 14}
"""For how long what a role signs is believed. A timestamp bounds how long an attacker may hide a release."""

READABLE: Final = JSONSerializer(compact=False)

_NUMBERED: Final = re.compile(r"(\d+)\.[a-z]+\.json")


@attrs.frozen(eq=False, repr=False)
class Repository:
    """One folder; `now` is the time that expiry is counted from."""

    folder: Path
    now: datetime

    @property
    def metadata(self) -> Path:
        return self.folder / "public" / "metadata"

    @property
    def draft(self) -> Path:
        return self.folder / "draft"

    # --- what is there

    def published(self, role: str) -> Metadata[Any] | None:
        """The newest public metadata of a role."""
        if role == "timestamp":
            return _read(self.metadata / "timestamp.json")
        files = self.every(role)
        return _read(files[-1]) if files else None

    def every(self, role: str) -> list[Path]:
        """All its public files, the oldest first; not what a died writer or a medium's system put beside."""
        named = [(_NUMBERED.fullmatch(file.name), file) for file in self.metadata.glob(f"*.{role}.json")]
        return [file for _, file in sorted((int(match[1]), file) for match, file in named if match)]

    def drafted(self, role: str) -> Metadata[Any] | None:
        """What is being prepared; not what a publication that died has left here."""
        draft, public = _read(self.draft / f"{role}.json"), self.published(role)
        is_new = draft is not None and (public is None or draft.signed.version > public.signed.version)
        return draft if is_new else None

    def root(self) -> Metadata[Root]:
        """The root that counts for what is signed now: the draft, where there is one. Raises Fault."""
        found = self.drafted("root") or self.published("root")
        if found is None:
            raise Fault(f"{self.folder} is no repository; make one: scripts/release init")
        return cast("Metadata[Root]", found)

    def public_root(self) -> Metadata[Root]:
        """The root that counts for who updates now. Raises Fault."""
        found = self.published("root")
        if found is None:
            self.root()
            raise Fault(f"{self.folder} has no public root; make it: scripts/release publish")
        return cast("Metadata[Root]", found)

    def key_ids(self, role: str) -> set[str]:
        """Whose signature under a draft (or the next snapshot, the next timestamp) means something."""
        ids = set(self.root().signed.roles[role].keyids)
        old = self.published("root")
        if role == "root" and old is not None:
            # A new root is one by the word of the old one's keys, too.
            ids |= set(old.signed.roles[role].keyids)
        return ids

    # --- what is prepared

    def begin(self, keys: Mapping[str, Iterable[SSlibKey]], root_threshold: int) -> None:
        """Draft the first root and an empty list of releases. Raises Fault."""
        if self.published("root") is not None or self.drafted("root") is not None:
            raise Fault(f"{self.folder} is a repository already")
        root = Root(expires=self._until("root"), consistent_snapshot=True)
        for role in ROLES:
            for key in keys[role]:
                root.add_key(key, role)
            root.roles[role].threshold = root_threshold if role == "root" else 1
        _check_thresholds(root)
        self._write_draft("root", Metadata(root))
        self._write_draft("targets", Metadata(Targets(expires=self._until("targets"))))

    def add(
        self, build: Built, channel: str, *, notes: str | None, minimum: str | None, made_s: int
    ) -> TargetFile:
        """Pack a build, and draft the list that has it; in the draft it takes the place of an earlier one.
        Raises Fault where that version is there with other bytes, and for what hosts would not take.
        """
        path = f"{channel}/{build.name}"
        custom = build.custom(notes=notes, minimum=minimum)
        if release_of(path, 1, custom) is None:
            raise Fault(f"no machine would take {path} for a release: {custom}")
        draft = self._next("targets")
        old = draft.signed.targets.pop(path, None)
        public = self._public_hashes(build.name)
        target = self._archives.make(build, channel, made_s=made_s)
        if (public | _hashes(draft.signed, build.name)) - {sha256(target)}:
            self._archives.remove(target)
            raise Fault(f"{build.version} is there already; what has changed needs another version")
        target.unrecognized_fields["custom"] = custom
        if old is not None and sha256(old) not in public | {sha256(target)}:
            self._archives.remove(old)
        draft.signed.targets[path] = target
        self._write_draft("targets", draft)
        return target

    def withdraw(self, version: str) -> list[str]:
        """Draft the list without a version; the targets that it loses. Who has it keeps it."""
        draft = self._next("targets")
        gone = [
            path for path, target in draft.signed.targets.items() if target.custom.get("version") == version
        ]
        if not gone:
            raise Fault(f"there is no {version} to withdraw")
        for path in gone:
            target = draft.signed.targets.pop(path)
            if not self._public_hashes(path.rpartition("/")[2]):
                self._archives.remove(target)
        self._write_draft("targets", draft)
        return gone

    def rotate(
        self, role: str, *, add: Iterable[SSlibKey], revoke: Iterable[str], threshold: int | None
    ) -> None:
        """Draft a root with other keys for a role. Raises Fault."""
        draft = self._next("root")
        for key in add:
            draft.signed.add_key(key, role)
        for key_id in revoke:
            try:
                draft.signed.revoke_key(key_id, role)
            except ValueError as error:
                raise Fault(f"{role} has no key {key_id}") from error
        if threshold is not None:
            draft.signed.roles[role].threshold = threshold
        _check_thresholds(draft.signed)
        self._write_draft("root", draft)
        if role == "targets":
            # Nobody believes what only the old keys have signed.
            self.extend("targets")

    def extend(self, role: str) -> None:
        """Draft the same once more, for another while."""
        self._write_draft(role, self._next(role))

    def sign(self, signers: Iterable[Signer]) -> list[tuple[str, str]]:
        """Put under the drafts what these keys may sign; which role, by which key."""
        signed = []
        for role in ("root", "targets"):
            draft = self.drafted(role)
            if draft is None:
                continue
            for signer in signers:
                if signer.public_key.keyid in self.key_ids(role):
                    draft.sign(signer, append=True)
                    signed.append((role, signer.public_key.keyid))
            write_metadata(self.draft / f"{role}.json", draft)
        return signed

    def missing(self, role: str) -> int:
        """How many signatures a draft still needs. 0 where there is no draft."""
        draft = self.drafted(role)
        if draft is None:
            return 0
        if role == "root":
            old = cast("Metadata[Root] | None", self.published("root"))
            result = draft.signed.get_root_verification_result(
                old.signed if old is not None else None, draft.signed_bytes, draft.signatures
            )
            return int(max(result.first.missing, result.second.missing))
        result = self.root().signed.get_verification_result(role, draft.signed_bytes, draft.signatures)
        return int(result.missing)

    # --- inside

    @property
    def _archives(self) -> Archives:
        return Archives(self.folder / "public" / "targets")

    def _public_hashes(self, name: str) -> set[str]:
        """Of all archives that were ever public under a name, in any channel."""
        lists = [found for file in self.every("targets") if (found := _read(file)) is not None]
        return set().union(*(_hashes(each.signed, name) for each in lists))

    def _next(self, role: str) -> Metadata[Any]:
        """The draft of a role, or a new one: the public one's successor. Nobody has signed it."""
        draft = self.drafted(role)
        if draft is None:
            draft = self.published(role)
            if draft is None:
                raise Fault(f"{self.folder} is no repository; make one: scripts/release init")
            draft.signed.version += 1
        draft.signed.expires = self._until(role)
        draft.signatures.clear()
        return draft

    def _write_draft(self, role: str, draft: Metadata[Any]) -> None:
        self.draft.mkdir(parents=True, exist_ok=True)
        write_metadata(self.draft / f"{role}.json", draft)

    def _until(self, role: str) -> datetime:
        return self.now + timedelta(days=DAYS[role])


def _hashes(targets: Targets, name: str) -> set[str]:
    """Of the archives of a name, in any channel."""
    return {sha256(each) for path, each in targets.targets.items() if path.rpartition("/")[2] == name}


def _check_thresholds(root: Root) -> None:
    for role in ROLES:
        keys, threshold = len(root.roles[role].keyids), root.roles[role].threshold
        if not 1 <= threshold <= keys:
            raise Fault(f"{role}: {threshold} of {keys} keys cannot be")


def _read(file: Path) -> Metadata[Any] | None:
    if not file.exists():
        return None
    try:
        return Metadata.from_bytes(file.read_bytes())
    except RepositoryError as error:
        raise Fault(f"{file} is no metadata: {error}") from error


def write_metadata(file: Path, metadata: Metadata[Any]) -> None:
    """For all to read, and on the disk when this returns."""
    write_durably(file, metadata.to_bytes(READABLE))
