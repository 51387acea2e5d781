"""Key files: `NAME.key`, the private half under a passphrase, and `NAME.pub`, which everybody may have.

A name begins with the role that the key is for: root-alice, targets, snapshot, timestamp-2.
"""

import getpass
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from scripts.releasing.fault import Fault

ROLES: Final = ("root", "targets", "snapshot", "timestamp")

Passphrase = Callable[[str], bytes]
"""Asked with the name of a key: its passphrase."""


def make_key(folder: Path, name: str, passphrase: Passphrase) -> SSlibKey:
    """Make both files; the public key. Never replaces one. Raises Fault, OSError."""
    if role_of(name) is None:
        raise Fault(f"a key is called by its role, {', '.join(ROLES)}, like root-alice; not {name!r}")
    private = Ed25519PrivateKey.generate()
    secret = passphrase(name)
    if not secret:
        raise Fault(f"{name}: a key without a passphrase is anybody's who finds the file")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    encoded = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(secret))
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(folder / f"{name}.key", encoded, 0o600)
    _write_new(folder / f"{name}.pub", public, 0o644)
    return SSlibKey.from_crypto(private.public_key())


def public_keys(folder: Path, role: str) -> dict[str, SSlibKey]:
    """The public keys there that are for a role, by name."""
    files = sorted(folder.glob("*.pub"))
    return {file.stem: read_public(file) for file in files if role_of(file.stem) == role}


def read_public(file: Path) -> SSlibKey:
    """Raises Fault for what is no ed25519 public key."""
    try:
        key = load_pem_public_key(file.read_bytes())
    except ValueError as error:
        raise Fault(f"{file} is no public key (PEM)") from error
    if not isinstance(key, Ed25519PublicKey):
        raise Fault(f"{file} is no ed25519 key")
    return SSlibKey.from_crypto(key)


def signers(folder: Path, key_ids: Iterable[str], passphrase: Passphrase) -> list[CryptoSigner]:
    """Those of the keys `key_ids` whose private halves are in the folder. Raises Fault for a passphrase that
    does not fit.
    """
    wanted = set(key_ids)
    found = []
    for file in sorted(folder.glob("*.key")):
        if role_of(file.stem) is None:
            continue
        public = file.with_suffix(".pub")
        # Without it (its owner gave it to the others), only the private half tells.
        if public.exists() and read_public(public).keyid not in wanted:
            continue
        try:
            private = load_pem_private_key(file.read_bytes(), passphrase(file.stem))
        except (ValueError, TypeError) as error:
            raise Fault(f"{file}: the passphrase does not fit") from error
        signer = CryptoSigner(private)
        if signer.public_key.keyid in wanted:
            found.append(signer)
    return found


def passphrase_of(file: Path | None, *, new: bool = False) -> Passphrase:
    """From a file, or from the terminal: asked once for each key, twice for one that is made."""
    if file is not None:
        said = file.read_bytes().rstrip(b"\r\n")
        return lambda _: said

    def ask(name: str) -> bytes:
        try:
            given = getpass.getpass(f"Passphrase of {name}: ")
            if new and getpass.getpass("Once more: ") != given:
                raise Fault("those were two different ones")
        except EOFError:
            raise Fault(
                f"nobody is there to be asked for the passphrase of {name}: --passphrase-file"
            ) from None
        return given.encode()

    return ask


def role_of(name: str) -> str | None:
    """The role that a key of this name is for."""
    return next((role for role in ROLES if name == role or name.startswith(f"{role}-")), None)


def _write_new(file: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise Fault(f"{file} is there already; a key is never replaced, make one with another name") from None
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
