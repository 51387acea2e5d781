"""The gateway's own key: made once, kept, never told."""

import hashlib
import stat
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest

from openclawd.auth.identity import IdentityFile, IdentityUnusable


def test_it_is_made_once_and_is_the_same_in_every_process(tmp_path: Path) -> None:
    path = tmp_path / "own" / "identity.pem"
    identity = IdentityFile(path).get()
    assert IdentityFile(path).get() == identity
    raw = urlsafe_b64decode(identity.public_key + "=")
    assert len(raw) == 32
    assert identity.device_id == hashlib.sha256(raw).hexdigest()


def test_only_its_owner_can_read_the_key(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    IdentityFile(path).get()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["identity.pem"]


RSA = """-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL0eSl3kVZ8yJt1mUMJjYiFHV5rGcQzN
-----END PUBLIC KEY-----
"""


@pytest.mark.parametrize("text", ["", "not a key", RSA])
def test_a_damaged_key_is_never_replaced_by_another(tmp_path: Path, text: str) -> None:
    path = tmp_path / "identity.pem"
    path.write_text(text)
    with pytest.raises(IdentityUnusable, match=r"identity\.pem holds no Ed25519 key"):
        IdentityFile(path).get()
    assert path.read_text() == text


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(IdentityUnusable, match="Not a directory"):
        IdentityFile(tmp_path / "file" / "identity.pem").get()
