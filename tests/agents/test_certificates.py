"""Which authorities are asked about a provider's certificate."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from openclawd.agents.certificates import client_context, first_of, has_authorities
from tests.support.certificate import server_certificate


def place(cafile: Path | None = None, capath: Path | None = None) -> ssl.DefaultVerifyPaths:
    # As `ssl.get_default_verify_paths` does, and not as it is typed: None is nothing there.
    file: Any = None if cafile is None else str(cafile)
    folder: Any = None if capath is None else str(capath)
    return ssl.DefaultVerifyPaths(file, folder, "SSL_CERT_FILE", "", "SSL_CERT_DIR", "")


def test_a_bundle_or_a_folder_of_hashed_certificates_is_enough(tmp_path: Path) -> None:
    bundle, folder = tmp_path / "bundle.pem", tmp_path / "certs"
    bundle.write_text("-----BEGIN CERTIFICATE-----")
    folder.mkdir()
    (folder / "3513523f.0").touch()
    assert has_authorities(place(cafile=bundle))
    assert has_authorities(place(capath=folder))


def test_a_place_that_this_system_does_not_fill_is_none(tmp_path: Path) -> None:
    empty, folder = tmp_path / "bundle.pem", tmp_path / "certs"
    empty.touch()
    folder.mkdir()
    (folder / "ca-certificates.crt").touch()
    assert not has_authorities(place())
    assert not has_authorities(place(cafile=empty, capath=folder))
    assert not has_authorities(place(cafile=tmp_path / "gone", capath=tmp_path / "gone too"))


def test_the_first_bundle_that_holds_something_is_taken(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("gone", "empty", "full", "later")]
    Path(names[1]).touch()
    for name in names[2:]:
        Path(name).write_text("-----BEGIN CERTIFICATE-----")
    assert first_of(names) == names[2]
    assert first_of(names[:2]) is None


def test_who_chooses_an_authority_gets_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, certificate = server_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    trusted = client_context({"SSL_CERT_FILE": str(certificate)}).get_ca_certs()
    assert [each["subject"] for each in trusted] == [((("commonName", "fake provider"),),)]
