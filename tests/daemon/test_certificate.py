"""The gateway's certificate: made, read, renewed, reloaded; and what is said when it cannot be."""

import logging
import shutil
import ssl
import stat
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from openclawd.config.settings import TlsSettings
from openclawd.daemon.certificate import CHECKED_EVERY_S, Certificates, check_certificate
from openclawd.daemon.certificate_files import CertificateUnusable, fingerprint_in
from openclawd.daemon.refusal import StartRefused
from openclawd.net.tls_handshake import accept_tls

NAMES = ("localhost", "box.local", "127.0.0.1", "::1", "192.0.2.7")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
PEM = serialization.Encoding.PEM


class Clock:
    """The wall clock, in milliseconds."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return int(self.now.timestamp() * 1000)


@attrs.frozen
class Place:
    """Where the files are."""

    tls: TlsSettings
    clock: Clock

    def certificates(self, names: tuple[str, ...] = NAMES, **change: Any) -> Certificates:
        return Certificates(attrs.evolve(self.tls, **change), lambda: names, self.clock)

    @property
    def parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.tls.certificate.read_bytes())

    def refusal(self, **change: Any) -> str:
        with pytest.raises(StartRefused) as caught:
            self.certificates(**change)
        assert caught.value.exit_code == 78
        return str(caught.value)

    def put_another(self, lasts: timedelta = timedelta(days=365), **more: Any) -> None:
        """A pair of somebody else's making."""
        pair = issue("mine", lasts=lasts, **more)
        self.tls.certificate.parent.mkdir(parents=True, exist_ok=True)
        self.tls.certificate.write_bytes(pair.certificate.public_bytes(PEM))
        self.tls.key.write_bytes(pair.key_pem)
        self.tls.key.chmod(0o600)


@attrs.frozen
class Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def issue(
    name: str, *, by: Pair | None = None, lasts: timedelta = timedelta(days=365), ca: bool = False
) -> Pair:
    """A certificate for localhost, self-signed or by another."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + lasts)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    return Pair(builder.sign(key if by is None else by.key, hashes.SHA256()), key)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "gateway" / "tls"
    tls = TlsSettings(folder / "gateway-cert.pem", folder / "gateway-key.pem", None, make=True)
    return Place(tls, Clock())


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "openclawd.tls")
    return lambda: [record.message for record in caplog.records]


# --- made on first use


def test_one_is_made_for_the_names_and_addresses_with_a_key_that_nobody_else_can_read(place: Place) -> None:
    certificates = place.certificates()
    made = place.parsed
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "box.local"]
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    assert addresses == ["127.0.0.1", "::1", "192.0.2.7"]
    public = made.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"
    assert made.not_valid_before_utc < NOW < made.not_valid_after_utc <= NOW + timedelta(days=825)
    assert stat.S_IMODE(place.tls.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.tls.key.parent.stat().st_mode) == 0o700
    assert certificates.fingerprint == made.fingerprint(hashes.SHA256()).hex(":").upper()


def test_the_next_start_finds_the_same_one(place: Place, said: Callable[[], list[str]]) -> None:
    assert place.certificates().fingerprint == place.certificates().fingerprint
    assert said() == ["certificate made", "certificate", "certificate"]


def test_a_crash_between_key_and_certificate_costs_nothing(place: Place) -> None:
    place.certificates()
    key = place.tls.key.read_bytes()
    place.tls.certificate.unlink()
    place.certificates()
    assert place.tls.key.read_bytes() == key


def test_names_that_it_lacks_are_told_and_change_nothing(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    before = place.certificates().fingerprint
    assert place.certificates((*NAMES, "new.local")).fingerprint == before
    (told,) = [record for record in caplog.records if record.message == "certificate lacks names"]
    assert vars(told)["fields"]["names"] == "new.local"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_the_command_of_openssl_shows_the_same_fingerprint(place: Place) -> None:
    fingerprint = place.certificates().fingerprint
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(place.tls.certificate)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.strip().partition("=")[2] == fingerprint
    assert fingerprint_in(place.tls.certificate.read_bytes()) == fingerprint


# --- renewed


async def test_ours_is_renewed_two_months_before_it_expires_and_keeps_its_key(
    place: Place, autojump_clock: trio.testing.MockClock, said: Callable[[], list[str]]
) -> None:
    certificates = place.certificates()
    first, key = certificates.fingerprint, place.tls.key.read_bytes()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(certificates.keep_fresh)
        place.clock.now = place.parsed.not_valid_after_utc - timedelta(days=61)
        await trio.sleep(CHECKED_EVERY_S * 1.5)
        assert certificates.fingerprint == first
        place.clock.now += timedelta(days=2)
        await trio.sleep(CHECKED_EVERY_S)
        assert certificates.fingerprint != first
        nursery.cancel_scope.cancel()
    assert place.tls.key.read_bytes() == key
    assert place.parsed.not_valid_after_utc > place.clock.now + timedelta(days=700)
    assert said()[-1] == "certificate renewed"


def test_one_that_expired_while_nothing_ran_is_renewed_at_the_start(place: Place) -> None:
    first = place.certificates().fingerprint
    place.clock.now += timedelta(days=900)
    assert place.certificates().fingerprint != first


async def test_another_ones_is_never_replaced_but_warned_of(
    place: Place, autojump_clock: trio.testing.MockClock, said: Callable[[], list[str]]
) -> None:
    place.put_another(lasts=timedelta(days=10))
    before = place.tls.certificate.read_bytes()
    certificates = place.certificates()
    with trio.move_on_after(CHECKED_EVERY_S * 1.5):
        await certificates.keep_fresh()
    assert place.tls.certificate.read_bytes() == before
    assert said() == ["certificate", "certificate expires"]


def test_without_auto_generate_not_even_ours_is_replaced(place: Place) -> None:
    first = place.certificates().fingerprint
    place.clock.now += timedelta(days=790)
    assert place.certificates(make=False).fingerprint == first


# --- reloaded


def test_another_certificate_counts_from_the_reload_on(place: Place, said: Callable[[], list[str]]) -> None:
    certificates = place.certificates()
    before = certificates.fingerprint, certificates.context
    assert not certificates.reload()
    place.put_another()
    assert certificates.reload()
    assert certificates.fingerprint != before[0]
    assert certificates.context is not before[1]
    assert said()[-1] == "certificate changed"


def test_other_files_may_be_named_at_a_reload(place: Place, tmp_path: Path) -> None:
    certificates = place.certificates()
    other = Place(
        attrs.evolve(place.tls, certificate=tmp_path / "c.pem", key=tmp_path / "k.pem"), place.clock
    )
    other.put_another()
    assert certificates.reload(other.tls)
    assert certificates.fingerprint == fingerprint_in(other.tls.certificate.read_bytes())


@pytest.mark.parametrize("file", ["certificate", "key"])
def test_a_broken_one_keeps_the_old_and_says_so(
    place: Place, file: str, said: Callable[[], list[str]]
) -> None:
    certificates = place.certificates()
    before = certificates.fingerprint, certificates.context
    getattr(place.tls, file).write_text("half a file")
    with pytest.raises(CertificateUnusable):
        certificates.reload()
    assert (certificates.fingerprint, certificates.context) == before
    assert said()[-1] == "certificate kept"


# --- what a start refuses


def test_a_missing_one_that_may_not_be_made_is_refused_with_the_command_that_lets_it(place: Place) -> None:
    text = place.refusal(make=False)
    assert text.startswith(f"{place.tls.certificate} is missing.")
    assert text.endswith("openclawd config set gateway.tls.autoGenerate true")
    assert not place.tls.certificate.exists()


def test_a_certificate_without_its_key_is_refused(place: Place) -> None:
    place.put_another()
    place.tls.key.unlink()
    assert place.refusal().startswith(f"{place.tls.key} is missing.")


def test_a_key_of_another_certificate_is_refused(place: Place) -> None:
    place.put_another()
    place.tls.key.write_bytes(issue("other").key_pem)
    assert "is not the key of" in place.refusal()


def test_a_key_that_nothing_can_be_made_for_is_refused_and_kept(place: Place) -> None:
    place.tls.key.parent.mkdir(parents=True)
    place.tls.key.write_text("mine")
    assert f"mv {place.tls.key} {place.tls.key}.old" in place.refusal()
    assert place.tls.key.read_text() == "mine"


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_passphrase(place: Place) -> None:
    place.put_another()
    key = serialization.load_pem_private_key(place.tls.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        secret = key.private_bytes(PEM, form, serialization.BestAvailableEncryption(b"x"))
        place.tls.key.write_bytes(secret)
        assert "is encrypted" in place.refusal()


@pytest.mark.parametrize(
    "text", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_a_certificate_is_refused(place: Place, text: str) -> None:
    place.put_another()
    place.tls.certificate.write_text(text)
    assert f"{place.tls.certificate} holds no certificate" in place.refusal()


def test_a_folder_in_the_place_of_a_file_is_refused(place: Place) -> None:
    place.tls.certificate.mkdir(parents=True)
    assert f"{place.tls.certificate} cannot be read: Is a directory" in place.refusal()


def test_authorities_that_are_none_are_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    text = place.refusal(authorities=tmp_path / "ca.pem")
    assert text.endswith("openclawd config unset gateway.tls.caPath")


def test_a_place_where_nothing_can_be_written_is_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "gateway").write_text("a file")
    assert place.refusal().startswith("No certificate can be made: ")


def test_what_a_start_would_make_is_not_made_by_looking(place: Place) -> None:
    check_certificate(place.tls)
    assert not place.tls.certificate.exists()
    place.put_another()
    check_certificate(place.tls)
    place.tls.key.write_text("broken")
    with pytest.raises(StartRefused):
        check_certificate(place.tls)


@pytest.mark.parametrize("spoil", ["a file in the folder's place", "a key that is none"])
def test_what_a_start_could_not_make_is_told_by_looking(place: Place, spoil: str) -> None:
    folder = place.tls.key.parent
    if spoil == "a key that is none":
        folder.mkdir(parents=True)
        place.tls.key.write_text("mine")
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.write_text("a file")

    with pytest.raises(StartRefused) as caught:
        check_certificate(place.tls)

    assert str(caught.value).splitlines()[-1] == place.refusal().splitlines()[-1]


def test_a_key_that_others_can_read_is_warned_of(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.put_another()
    place.tls.key.chmod(0o644)
    place.certificates()
    (told,) = [record for record in caplog.records if record.message == "others can read the key"]
    assert vars(told)["fields"]["hint"] == f"chmod 600 {place.tls.key}"


# --- what clients are shown


async def test_the_authorities_between_are_sent_along(place: Place, tmp_path: Path) -> None:
    root = issue("root", ca=True)
    between = issue("between", by=root, ca=True)
    leaf = issue("leaf", by=between)
    place.tls.certificate.parent.mkdir(parents=True)
    place.tls.certificate.write_bytes(leaf.certificate.public_bytes(PEM))
    place.tls.key.write_bytes(leaf.key_pem)
    place.tls.key.chmod(0o600)
    (tmp_path / "ca.pem").write_bytes(between.certificate.public_bytes(PEM))
    client = ssl.create_default_context(cadata=root.certificate.public_bytes(PEM).decode())
    client.verify_flags |= 0x200000  # X509_V_FLAG_NO_CHECK_TIME: this is no test of the clock
    for authorities, trusted in ((None, False), (tmp_path / "ca.pem", True)):
        context = place.certificates(authorities=authorities).context
        assert await is_trusted(context, client) == trusted


async def is_trusted(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Whether a handshake between the two gets through."""
    told: list[object] = []
    ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())

    async def serve() -> None:
        with suppress(trio.BrokenResourceError):
            await accept_tls(ours, server, told.append)

    async with ours, theirs, trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        try:
            await trio.SSLStream(theirs, client, server_hostname="localhost").do_handshake()
        except trio.BrokenResourceError:
            await theirs.aclose()
            return False
        return True
    raise AssertionError
