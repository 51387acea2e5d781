"""What a machine remembers of the signatures: it outlives failures, other repositories and vandals."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from openclawd.slots.layout import Installation
from openclawd.update.staged import CannotUpdate
from tests.update.released import Releases, UpdatingHost, new_releases
from tests.update.test_attacks import edited
from tests.update.web_server import WebServer, missing


def modes(installation: Installation) -> set[int]:
    files = [file for file in installation.metadata.rglob("*.json") if file.is_file()]
    assert len(files) > 3
    return {file.stat().st_mode & 0o777 for file in files}


def test_what_was_seen_can_be_read_by_the_service(server: WebServer, host: UpdatingHost) -> None:
    host.fetch(server.url)
    assert modes(host.installation) == {0o644}


def test_what_was_seen_before_a_look_broke_off_can_be_read_too(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    """Or the service's own look would end at a file of root's."""
    host.fetch(server.url)
    releases.release("1.1.0")
    server.bad["snapshot.json"] = missing
    with pytest.raises(CannotUpdate, match="404"):
        host.fetch(server.url)
    assert modes(host.installation) == {0o644}


def test_what_a_dead_updater_began_to_write_goes(server: WebServer, host: UpdatingHost) -> None:
    host.installation.metadata.mkdir()
    (host.installation.metadata / "tmpx1y2z3").write_bytes(b"half")
    host.fetch(server.url)
    assert not (host.installation.metadata / "tmpx1y2z3").exists()


def no_folder(metadata: Path) -> None:
    shutil.rmtree(metadata)
    metadata.write_bytes(b"")


def nowhere(metadata: Path) -> None:
    shutil.rmtree(metadata)
    metadata.symlink_to(metadata.parent / "nowhere")


def folder_for_a_file(metadata: Path) -> None:
    (metadata / "timestamp.json").unlink()
    (metadata / "timestamp.json").mkdir()


def folder_for_a_link(metadata: Path) -> None:
    (metadata / "root.json").unlink()
    (metadata / "root.json").mkdir()


def file_for_a_folder(metadata: Path) -> None:
    shutil.rmtree(metadata / "root_history")
    (metadata / "root_history").write_bytes(b"")


SPOILT = (no_folder, nowhere, folder_for_a_file, folder_for_a_link, file_for_a_folder)


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda each: each.__name__)
def test_a_memory_that_is_spoilt_is_named_with_what_helps(
    releases: Releases, server: WebServer, host: UpdatingHost, spoil: Any
) -> None:
    host.fetch(server.url)
    releases.release("1.1.0")
    seen = host.installation.metadata
    spoil(seen)
    with pytest.raises(CannotUpdate) as refused:
        host.fetch(server.url)
    assert str(seen) in refused.value.reason
    assert refused.value.cure.endswith(f"rm -r {seen}")
    # It does help.
    (shutil.rmtree if seen.is_dir() else Path.unlink)(seen)
    assert host.fetch(server.url) is not None


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"null"])
def test_a_memory_of_something_else_is_none(
    releases: Releases, server: WebServer, host: UpdatingHost, content: bytes
) -> None:
    host.fetch(server.url)
    releases.release("1.1.0")
    for file in host.installation.metadata.rglob("*.json"):
        file.write_bytes(content)
    assert host.fetch(server.url) is not None


def test_who_moves_to_other_releases_and_back_is_not_held_by_what_was_seen(
    releases: Releases, server: WebServer, host: UpdatingHost, tmp_path: Path
) -> None:
    """Both begin at root 1, and the others are at a later timestamp."""
    others = new_releases(tmp_path / "others")
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        others.release(version)
    ours = releases.root
    assert host.fetch(server.url) is None
    (host.built_in / "root.json").write_bytes(others.root)
    with WebServer(others.public).serving() as elsewhere:
        assert host.fetch(elsewhere.url) is not None
    (host.built_in / "root.json").write_bytes(ours)
    releases.release("1.4.0")
    back = host.fetch(server.url)
    assert back is not None
    assert back.version == "1.4.0"


def test_a_thief_who_ran_ahead_with_the_online_keys_is_left_behind_by_new_keys(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    """Fast-forward: what the stolen keys signed is newer than anything that comes after."""
    metadata = releases.public / "metadata"

    def ahead(what: Any) -> None:
        what.version = 2**30
        what.meta["targets.json"].version = 2**30

    def lead(what: Any) -> None:
        what.version = 2**30
        what.snapshot_meta.version = 2**30
        what.snapshot_meta.hashes = what.snapshot_meta.length = None

    honest = shutil.copytree(releases.public, releases.folder / "honest")
    snapshot = metadata / f"{2**30}.snapshot.json"
    shutil.copy(metadata / "2.snapshot.json", snapshot)
    edited(snapshot, ahead, releases.keys["snapshot"])
    edited(metadata / "timestamp.json", lead, releases.keys["timestamp"])
    with pytest.raises(CannotUpdate):
        host.fetch(server.url)
    # What is served is put right, and the host still waits for more than it has seen.
    shutil.rmtree(releases.public)
    honest.rename(releases.public)
    releases.release("1.1.0")
    with pytest.raises(CannotUpdate, match="older state than this machine has seen"):
        host.fetch(server.url)
    for role in ("snapshot", "timestamp"):
        stolen, new = releases.keys[role][0], CryptoSigner.generate_ed25519()
        releases.repository.rotate(
            role, add=[new.public_key], revoke=[stolen.public_key.keyid], threshold=None
        )
        releases.keys[role] = [new]
    releases.publish()
    assert host.fetch(server.url) is not None


def test_no_name_of_a_target_is_one_on_the_disk(
    releases: Releases, server: WebServer, host: UpdatingHost
) -> None:
    """Whoever signs can be deceived: by a name with a zero byte in it, or one that no disk takes."""
    path = releases.add("1.1.0")
    draft = releases.repository.draft / "targets.json"

    def rename(what: Any) -> None:
        what.targets["stable/\0" + "x" * 300 + ".tar.gz"] = what.targets.pop(path)

    edited(draft, rename, [])
    releases.publish()
    with pytest.raises(CannotUpdate, match="answers 404"):
        host.fetch(server.url)
