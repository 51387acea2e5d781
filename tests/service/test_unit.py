"""The text of a unit, as a function of what the gateway is to be."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.service.hardening import CONFINED, LEFT_OUT, confinement
from openclawd.service.unit import (
    ServiceSpec,
    credential_name,
    literal,
    loaded_credentials,
    quoted,
    service_text,
    socket_text,
    unit_name,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "install.md"
GUARD = ("/opt/openclawd/guard",)


def lines(spec: ServiceSpec) -> list[str]:
    return service_text(spec).splitlines()


def test_a_users_unit_starts_through_the_guard_which_also_looks_after_an_end() -> None:
    unit = lines(ServiceSpec(program=("%h/.local/lib/openclawd/guard",)))
    assert "ExecStart=%h/.local/lib/openclawd/guard gateway" in unit
    assert "ExecStopPost=%h/.local/lib/openclawd/guard stopped --user %n" in unit
    assert "WantedBy=default.target" in unit


def test_only_root_decides_which_version_the_systems_unit_runs() -> None:
    unit = lines(ServiceSpec(program=GUARD, system=True))
    assert "ExecStartPre=+/opt/openclawd/guard settle" in unit
    assert "ExecStopPost=+/opt/openclawd/guard stopped %n" in unit
    assert "ExecStart=/opt/openclawd/guard gateway" in unit
    assert "WantedBy=multi-user.target" in unit


def test_what_a_package_replaces_has_no_guard() -> None:
    unit = service_text(ServiceSpec(program=("/usr/bin/openclawd",), guarded=False))
    assert "ExecStart=/usr/bin/openclawd gateway\n" in unit
    assert "ExecStartPre" not in unit
    assert "ExecStopPost" not in unit


def test_the_systems_unit_has_a_user_and_a_state_of_its_own() -> None:
    unit = lines(ServiceSpec(program=GUARD, system=True, profile="work"))
    assert "User=openclawd" in unit
    assert "StateDirectory=openclawd-work" in unit
    assert "Environment=OPENCLAW_STATE_DIR=%S/openclawd-work" in unit


def test_a_persons_gateway_in_the_systems_unit_keeps_its_place_in_the_home() -> None:
    unit = service_text(ServiceSpec(program=GUARD, system=True, user="ada", profile="work"))
    assert "User=ada\n" in unit
    assert "Environment=OPENCLAW_PROFILE=work\n" in unit
    assert "StateDirectory" not in unit
    assert "ProtectHome" not in unit


def test_each_profile_has_a_unit_and_keys_of_its_own() -> None:
    unit = lines(ServiceSpec(program=GUARD, profile="work"))
    assert "Environment=OPENCLAW_PROFILE=work" in unit
    assert "EnvironmentFile=-%E/openclawd/environment-work" in unit
    assert "SyslogIdentifier=openclawd-work" in unit
    assert (unit_name("work"), unit_name(None)) == ("openclawd-work", "openclawd")


def test_a_secret_is_a_credential_whose_file_the_gateway_is_told() -> None:
    unit = lines(ServiceSpec(program=GUARD, credentials=(("token", "/etc/gateway/token"),)))
    assert "LoadCredential=gateway-token:/etc/gateway/token" in unit
    exec_start = next(line for line in unit if line.startswith("ExecStart="))
    assert exec_start.endswith(" gateway --token-file ${CREDENTIALS_DIRECTORY}/gateway-token")


def test_a_percent_sign_in_a_secrets_path_is_no_specifier() -> None:
    unit = service_text(ServiceSpec(program=GUARD, credentials=(("token", "/srv/100%h/token"),)))
    assert "LoadCredential=gateway-token:/srv/100%%h/token" in unit.splitlines()
    assert loaded_credentials(unit) == {credential_name("token"): "/srv/100%h/token"}


def test_the_same_gateway_has_the_same_text() -> None:
    spec = ServiceSpec(program=GUARD, system=True)
    assert service_text(spec) == service_text(spec)


def test_every_directive_of_the_unit_has_its_reason_above_it() -> None:
    unit = lines(ServiceSpec(program=GUARD, system=True))
    for directive in confinement(252, "%S/openclawd"):
        index = unit.index(f"{directive.name}={directive.value}")
        assert unit[index - 1] == f"# {directive.reason}"


@pytest.mark.parametrize("since", sorted({each.since for each in CONFINED} - {0}))
def test_a_directive_is_left_to_a_systemd_that_knows_it(since: int) -> None:
    newer = {(each.name, each.value) for each in CONFINED if each.since == since}
    told = {(each.name, each.value) for each in confinement(since - 1, "")}
    assert not newer & told


def test_what_is_left_out_is_really_left_out() -> None:
    names = {each.name for each in confinement(10_000, "")}
    for left in LEFT_OUT:
        for word in left.name.replace(",", " ").split():
            name, _, value = word.partition("=")
            assert name not in names or value
            assert (name, value) not in {(each.name, each.value) for each in CONFINED}


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1))
def test_a_path_of_any_kind_comes_out_of_systemds_quotes_as_it_went_in(text: str) -> None:
    assert unquoted(quoted(literal(text))).replace("%%", "%").replace("$$", "$") == text


def unquoted(word: str) -> str:
    """systemd.syntax(7), Quoting: a word in double quotes, where a backslash means the next character."""
    if not word.startswith('"'):
        assert not set(word) & set("\"'\\ \t")
        return word
    assert word.endswith('"')
    inside, characters = "", iter(word[1:-1])
    for character in characters:
        assert character != '"'
        inside += next(characters) if character == "\\" else character
    return inside


def test_a_socket_unit_listens_where_it_is_told_to() -> None:
    unit = socket_text("openclawd", ["127.0.0.1:18789"]).splitlines()
    assert "ListenStream=127.0.0.1:18789" in unit
    assert "WantedBy=sockets.target" in unit


def test_the_document_says_what_is_left_out_and_why() -> None:
    rows = dict(re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|$", DOCUMENT.read_text(), re.MULTILINE))
    for left in LEFT_OUT:
        names = ", ".join(f"`{name}`" for name in left.name.split(", "))
        assert rows[names] == left.reason
