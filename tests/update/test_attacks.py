"""Whoever has the server, or some of the keys, gets nothing installed that the others have not signed."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from openclawd.config.model import Config, HttpUrl, Own, OwnUpdate
from openclawd.update.fetch import latest
from openclawd.update.staged import CannotUpdate
from scripts.releasing.publication import publish
from tests.update.released import Releases, UpdatingHost, new_host, new_releases
from tests.update.web_server import WebServer


def edited(file: Path, change: Callable[[Any], None], signers: list[CryptoSigner]) -> None:
    """Change what a metadata file says, and have it signed by whoever is at hand."""
    metadata: Metadata[Any] = Metadata.from_file(str(file))
    change(metadata.signed)
    metadata.signatures.clear()
    for signer in signers:
        metadata.sign(signer, append=True)
    metadata.to_file(str(file))


def refused(host: UpdatingHost, server: WebServer, says: str) -> None:
    with pytest.raises(CannotUpdate, match=says):
        host.fetch(server.url)
    assert host.left_behind() == set()


def test_a_repository_of_somebody_else(
    releases: Releases, server: WebServer, host: UpdatingHost, tmp_path: Path
) -> None:
    other = new_releases(tmp_path / "other")
    other.release("6.6.6")
    server.folder = other.public
    refused(host, server, "not signed by the keys")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_role_signed_by_somebody_else(
    releases: Releases, server: WebServer, host: UpdatingHost, role: str
) -> None:
    mine = CryptoSigner.generate_ed25519()
    # Whoever signs the roles above it with it: so that only this signature can be what is wrong.
    releases.add("6.6.6")
    releases.repository.sign(releases.signers)
    publish(releases.repository, releases.signers)
    newest = releases.repository.published(role)
    assert newest is not None
    name = "timestamp.json" if role == "timestamp" else f"{newest.signed.version}.{role}.json"
    edited(releases.public / "metadata" / name, lambda _: None, [mine])
    with pytest.raises(CannotUpdate, match=r"not signed by the keys|not the one that was signed"):
        host.fetch(server.url)
    assert host.left_behind() == set()


def test_a_signature_under_other_words(releases: Releases, server: WebServer, host: UpdatingHost) -> None:
    file = releases.public / "metadata" / "timestamp.json"
    file.write_bytes(file.read_bytes().replace(b'"version": 2', b'"version": 7'))
    refused(host, server, "not signed by the keys")


def test_the_timestamp_key_alone_cannot_add_a_version(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    """As a server has it that renews by itself: it was broken into."""
    releases.add("6.6.6")
    releases.repository.sign(releases.keys["timestamp"])
    draft = releases.repository.draft / "targets.json"
    shutil.copy(draft, releases.public / "metadata" / "3.targets.json")
    stolen = releases.keys["timestamp"]

    def version(what: Any) -> None:
        what.meta["targets.json"].version = 3
        what.meta["targets.json"].hashes = what.meta["targets.json"].length = None
        what.version = 3

    snapshot = releases.public / "metadata" / "3.snapshot.json"
    shutil.copy(releases.public / "metadata" / "2.snapshot.json", snapshot)
    edited(snapshot, version, stolen)

    def lead(what: Any) -> None:
        what.version = 9
        what.snapshot_meta.version = 3
        what.snapshot_meta.hashes = what.snapshot_meta.length = None

    edited(releases.public / "metadata" / "timestamp.json", lead, stolen)
    refused(host, server, "not signed by the keys")


def test_what_was_seen_before_is_not_taken_back(
    releases: Releases, server: WebServer, host: UpdatingHost, tmp_path: Path
) -> None:
    old = shutil.copytree(releases.public, tmp_path / "old")
    releases.release("0.5.0")
    host.fetch(server.url)
    server.folder = old
    refused(host, server, "older state than this machine has seen")


def test_whoever_only_looks_is_not_shown_an_older_state_either(
    releases: Releases, server: WebServer, host: UpdatingHost, tmp_path: Path
) -> None:
    old = shutil.copytree(releases.public, tmp_path / "old")
    releases.release("0.5.0")
    host.fetch(server.url)
    server.folder = old
    config = Config(openclawd=Own(update=OwnUpdate(urls=(HttpUrl(server.url),))))
    with pytest.raises(CannotUpdate, match="older state than this machine has seen"):
        latest(host.installation, config, tmp_path / "none", "1.0.0", built_in=host.built_in)


def test_an_older_list_under_a_new_timestamp(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    """Mix and match: every file is signed, and they do not belong together."""
    releases.release("1.1.0")
    metadata = releases.public / "metadata"
    shutil.copy(metadata / "2.targets.json", metadata / "3.targets.json")
    refused(host, server, r"not the one that was signed|older state")


def test_an_older_snapshot_under_a_new_timestamp(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    host.fetch(server.url)
    releases.release("1.1.0")
    metadata = releases.public / "metadata"
    shutil.copy(metadata / "2.snapshot.json", metadata / "3.snapshot.json")
    refused(host, server, r"not the one that was signed|older state")


def test_a_place_that_stands_still_is_believed_until_its_timestamp_expires(tmp_path: Path) -> None:
    frozen = new_releases(tmp_path / "release", days_ago=15)
    frozen.release("1.1.0")
    host = new_host(tmp_path / "host", frozen.root)
    with WebServer(frozen.public).serving() as server:
        refused(host, server, "expired .*this machine's clock says")


@pytest.mark.parametrize("role", ["snapshot", "targets", "root"])
def test_nothing_that_has_expired_is_believed(tmp_path: Path, role: str) -> None:
    releases = new_releases(tmp_path / "release", days_ago=400)
    releases.release("1.1.0")
    # All that lies in front of it on the way is fresh.
    releases.days_ago = 0
    fresh = {"root": (), "targets": ("root",), "snapshot": ("root", "targets")}[role]
    for each in fresh:
        releases.repository.extend(each)
    if role == "snapshot":
        releases.publish()
        newest = releases.repository.published("snapshot")
        assert newest is not None
        edit_expiry(releases, newest.signed.version)
    else:
        releases.publish()
    host = new_host(tmp_path / "host", releases.root)
    with WebServer(releases.public).serving() as server:
        refused(host, server, "expired")


def edit_expiry(releases: Releases, version: int) -> None:
    """A snapshot of yesterday, and a timestamp of today that leads to it."""
    metadata = releases.public / "metadata"

    def expire(what: Any) -> None:
        what.expires = datetime.now(UTC) - timedelta(days=1)

    def forget(what: Any) -> None:
        what.snapshot_meta.hashes = what.snapshot_meta.length = None

    edited(metadata / f"{version}.snapshot.json", expire, releases.keys["snapshot"])
    edited(metadata / "timestamp.json", forget, releases.keys["timestamp"])


def test_an_expired_root_leads_to_the_next_one(tmp_path: Path) -> None:
    """A program that lay in a drawer for two years."""
    releases = new_releases(tmp_path / "release", days_ago=700)
    root = releases.root
    releases.days_ago = 0
    releases.repository.extend("root")
    releases.repository.extend("targets")
    releases.release("1.1.0")
    host = new_host(tmp_path / "host", root)
    with WebServer(releases.public).serving() as server:
        assert host.fetch(server.url) is not None


def test_new_keys_are_followed_from_root_to_root(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    for role in ("root", "targets", "snapshot", "timestamp"):
        old, new = releases.keys[role][0], CryptoSigner.generate_ed25519()
        releases.repository.rotate(role, add=[new.public_key], revoke=[old.public_key.keyid], threshold=None)
        releases.keys[role].append(new)
        releases.publish()
        releases.keys[role].remove(old)
    releases.release("1.1.0")
    assert host.fetch(server.url) is not None
    assert releases.repository.root().signed.version == 5


def test_all_the_keys_of_the_root_may_change_at_once(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    old, new = releases.keys["root"], [CryptoSigner.generate_ed25519() for _ in range(2)]
    releases.repository.rotate(
        "root",
        add=[each.public_key for each in new],
        revoke=[each.public_key.keyid for each in old],
        threshold=2,
    )
    releases.keys["root"] = [*old[:2], *new]
    releases.publish()
    releases.keys["root"] = new
    releases.release("1.1.0")
    assert host.fetch(server.url) is not None


def test_a_key_that_was_revoked_signs_nothing_any_more(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    lost, new = releases.keys["targets"][0], CryptoSigner.generate_ed25519()
    releases.repository.rotate(
        "targets", add=[new.public_key], revoke=[lost.public_key.keyid], threshold=None
    )
    releases.keys["targets"] = [new]
    releases.publish()
    newest = releases.repository.published("targets")
    assert newest is not None
    edited(releases.public / "metadata" / f"{newest.signed.version}.targets.json", lambda _: None, [lost])
    with pytest.raises(CannotUpdate):
        host.fetch(server.url)
    assert host.left_behind() == set()


def test_a_root_that_one_of_two_signed_is_none(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    mine = CryptoSigner.generate_ed25519()
    metadata = releases.public / "metadata"
    shutil.copy(metadata / "1.root.json", metadata / "2.root.json")

    def usurp(root: Any) -> None:
        root.version = 2
        root.add_key(mine.public_key, "timestamp")

    edited(metadata / "2.root.json", usurp, [releases.keys["root"][0]])
    refused(host, server, "not signed by the keys")


def test_the_same_signature_twice_counts_once(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    """Under another key id: the threshold is of keys, not of signatures."""
    metadata = releases.public / "metadata"
    shutil.copy(metadata / "1.root.json", metadata / "2.root.json")
    one = releases.keys["root"][0]

    def next_version(root: Any) -> None:
        root.version = 2

    edited(metadata / "2.root.json", next_version, [one])
    found: Metadata[Any] = Metadata.from_file(str(metadata / "2.root.json"))
    signature = found.signatures[one.public_key.keyid]
    other = releases.keys["root"][1].public_key.keyid
    found.signatures[other] = type(signature)(other, signature.signature)
    found.to_file(str(metadata / "2.root.json"))
    refused(host, server, "not signed by the keys")


def test_a_target_that_says_nothing_of_itself_is_no_version(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    path = releases.add("6.6.6")
    draft = releases.repository.draft / "targets.json"
    edited(draft, lambda what: what.targets[path].unrecognized_fields.clear(), [])
    releases.publish()
    assert host.fetch(server.url) is None
