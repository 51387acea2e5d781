"""A repository of releases as scripts/release makes one, of programs that are two lines of shell."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import attrs
from securesystemslib.signer import CryptoSigner

from openclawd.config.model import Config, Own, OwnUpdate
from openclawd.slots.layout import Installation
from openclawd.slots.progress import Progress
from openclawd.update.fetch import fetch
from openclawd.update.releases import Host, this_host
from openclawd.update.staged import Staged
from scripts.releasing.archive import Built
from scripts.releasing.keys import ROLES
from scripts.releasing.publication import publish
from scripts.releasing.repository import Repository

BUILT_S = 1_700_000_000
ROOM = 1_000_000


@attrs.define
class Releases:
    """A repository and all of its keys, which nobody would have in one place."""

    folder: Path
    keys: dict[str, list[CryptoSigner]]
    days_ago: float = 0.0

    @property
    def public(self) -> Path:
        return self.folder / "repository" / "public"

    @property
    def repository(self) -> Repository:
        return Repository(self.folder / "repository", datetime.now(UTC) - timedelta(days=self.days_ago))

    @property
    def root(self) -> bytes:
        """What the first programs were built with."""
        return (self.public / "metadata" / "1.root.json").read_bytes()

    @property
    def signers(self) -> list[CryptoSigner]:
        return [signer for role in self.keys.values() for signer in role]

    def publish(self) -> None:
        self.repository.sign(self.signers)
        publish(self.repository, self.signers)

    def add(
        self,
        version: str,
        *,
        channel: str = "stable",
        host: Host | None = None,
        files: Mapping[str, str] | None = None,
        notes: str | None = None,
        minimum: str | None = None,
        room: int = ROOM,
    ) -> str:
        """Put a version into the draft; the path of its target."""
        host = host or this_host()
        made = self.folder / "built" / f"{version}-{host.machine}"
        write_program(made, version, files or {})
        build = Built(made, version, host.system, host.machine, host.glibc, room)
        repository = self.repository
        return repository.add(build, channel, notes=notes, minimum=minimum, made_s=BUILT_S).path

    def release(self, version: str, *, channel: str = "stable") -> str:
        """The same, signed and published."""
        path = self.add(version, channel=channel)
        self.publish()
        return path


def write_program(folder: Path, version: str, files: Mapping[str, str]) -> None:
    (folder / "_internal").mkdir(parents=True)
    program = folder / "openclawd"
    program.write_text(f"#!/bin/sh\necho openclawd {version}\n")
    program.chmod(0o755)
    (folder / "_internal" / "data").write_text(version * 1000)
    for name, text in files.items():
        (folder / name).write_text(text)


def new_releases(folder: Path, *, days_ago: float = 0.0) -> Releases:
    """One without a version in it: root by two of three keys, a key for each other role."""
    counts = dict.fromkeys(ROLES, 1) | {"root": 3}
    keys = {role: [CryptoSigner.generate_ed25519() for _ in range(count)] for role, count in counts.items()}
    releases = Releases(folder, keys, days_ago)
    releases.repository.begin({role: [each.public_key for each in keys[role]] for role in ROLES}, 2)
    releases.publish()
    return releases


def new_installation(root: Path, version: str) -> Installation:
    """One in which `version` is current."""
    installation = Installation(root)
    write_program(installation.slot(version), version, {})
    installation.update.mkdir()
    installation.swap(version)
    return installation


@attrs.frozen
class UpdatingHost:
    """A machine that updates: its installation, and the root that its program was built with."""

    installation: Installation
    built_in: Path
    told: list[Progress] = attrs.field(factory=list)

    def fetch(
        self,
        *urls: str,
        wanted: str | None = None,
        channel: Literal["stable", "beta", "dev"] = "stable",
        bundle: Path | None = None,
    ) -> Staged | None:
        config = Config(
            update=attrs.evolve(Config().update, channel=channel),
            openclawd=Own(update=OwnUpdate(urls=urls)),  # type: ignore[arg-type]
        )
        nowhere = self.installation.root / "openclaw.json"
        return fetch(
            self.installation,
            config,
            nowhere,
            wanted,
            self.told.append,
            bundle=bundle,
            built_in=self.built_in,
        )

    def left_behind(self) -> set[str]:
        """What an update that came to nothing has no business to leave."""
        found = {path.name for path in self.installation.versions.iterdir()}
        found |= {path.name for path in self.installation.download.glob("*")}
        return found - {self.installation.current_version()}


def new_host(folder: Path, root: bytes, version: str = "1.0.0") -> UpdatingHost:
    built_in = folder / "built-in"
    built_in.mkdir(parents=True)
    (built_in / "root.json").write_bytes(root)
    return UpdatingHost(new_installation(folder / "installation", version), built_in)
