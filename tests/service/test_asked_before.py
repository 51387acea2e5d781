"""What a unit and a property list tell of the command that wrote them."""

import plistlib
from pathlib import Path

import attrs
import pytest

from openclawd.service.asked_before import AskedBefore, asked_of_list, asked_of_unit
from openclawd.service.unit import OWN_USER, ServiceSpec, service_text

GUARDED = ServiceSpec(program=("/opt/openclawd/guard",), system=True)


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        (GUARDED, AskedBefore()),
        (attrs.evolve(GUARDED, user="ada"), AskedBefore(run_as="ada")),
        (attrs.evolve(GUARDED, flags=("--port", "18801")), AskedBefore(port="18801")),
        (
            attrs.evolve(GUARDED, system=False, user=OWN_USER, credentials=(("token", "/srv/my token"),)),
            AskedBefore(token_file="/srv/my token"),
        ),
        (
            attrs.evolve(GUARDED, credentials=(("token", "/srv/100%/token"),)),
            AskedBefore(token_file="/srv/100%/token"),
        ),
        (
            attrs.evolve(GUARDED, flags=("--port", "1"), credentials=(("password", "/srv/password"),)),
            AskedBefore(port="1", password_file="/srv/password"),
        ),
    ],
)
def test_a_unit_tells_with_which_flags_it_was_installed(
    spec: ServiceSpec, asked: AskedBefore, tmp_path: Path
) -> None:
    file = tmp_path / "openclawd.service"
    file.write_text(service_text(spec))
    assert asked_of_unit(file) == asked


def test_a_property_list_tells_it_too(tmp_path: Path) -> None:
    file = tmp_path / "ai.openclawd.gateway.plist"
    words = ["/opt/openclawd/guard", "gateway", "--port", "18801", "--token-file", "/srv/my token"]
    file.write_bytes(plistlib.dumps({"UserName": "ada", "ProgramArguments": words}))
    assert asked_of_list(file) == AskedBefore("ada", "18801", "/srv/my token")


def test_where_nothing_is_installed_nothing_was_asked(tmp_path: Path) -> None:
    assert asked_of_unit(tmp_path / "none") == AskedBefore() == asked_of_list(tmp_path / "none")
