"""`config set` and `config unset` change one value, and only to something that works."""

import stat

import pytest

from tests.cli.conftest import Shell

CONFIG = """{
  // kept
  gateway: { port: 19001, auth: { token: 'abc/def+0123' } },
}
"""


def test_set_changes_one_value_and_nothing_else(shell: Shell) -> None:
    file = shell.write_config(CONFIG)
    ran = shell("config", "set", "gateway.port", "19002")
    assert (ran.code, ran.err) == (0, "")
    assert "next start" in ran.out
    assert file.read_text() == CONFIG.replace("19001", "19002")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("word", "written"),
    [("lan", '"lan"'), ("'lan'", '"lan"'), ('"lan"', '"lan"')],
)
def test_a_text_needs_no_quotes(shell: Shell, word: str, written: str) -> None:
    file = shell.write_config(CONFIG)
    assert shell("config", "set", "gateway.bind", word).code == 0
    assert f"bind: {written}" in file.read_text()


def test_lists_and_objects_are_json5(shell: Shell) -> None:
    shell.write_config(CONFIG)
    assert shell("config", "set", "agents.list", "[{id: 'main', name: 'Molly',}]").code == 0
    assert shell("config", "get", "agents.list.0.name").out == "Molly\n"


@pytest.mark.parametrize("text", ["", "a: b", "1, port: 2", "18 789", "$HOME/x"])
def test_any_other_text_is_a_text(shell: Shell, text: str) -> None:
    shell.write_config(CONFIG)
    assert shell("config", "set", "ui.assistant.name", text).code == 0
    assert shell("config", "get", "ui.assistant.name", "--json").json == text


def test_set_makes_the_file_where_there_is_none(shell: Shell) -> None:
    assert shell("config", "set", "logging.level", "debug", "--json").json["changed"] is True
    assert shell("config", "get", "logging.level").out == "debug\n"


def test_a_wrong_value_is_refused_and_the_file_left_alone(shell: Shell) -> None:
    file = shell.write_config(CONFIG)
    ran = shell("config", "set", "gateway.port", "many")
    assert ran.code == 78
    assert 'gateway.port is "many", expected an integer from 1 to 65535' in ran.err
    assert shell("config", "set", "gateway.prot", "1").code == 78
    assert file.read_text() == CONFIG


def test_what_the_gateway_would_not_start_with_is_refused(shell: Shell) -> None:
    file = shell.write_config('{ gateway: { auth: { mode: "none" } } }')
    ran = shell("config", "set", "gateway.bind", "lan")
    assert ran.code == 78
    assert "without auth" in ran.err
    assert "lan" not in file.read_text()


def test_two_problems_can_be_mended_one_after_the_other(shell: Shell) -> None:
    shell.write_config("{ gateway: { port: 'x', bind: 'moon' } }")
    assert shell("config", "set", "gateway.port", "19003").code == 0
    assert shell("config", "unset", "gateway.bind").code == 0
    assert shell("config", "validate").code == 0


def test_unset_removes_a_value_with_its_comma(shell: Shell) -> None:
    file = shell.write_config(CONFIG)
    assert shell("config", "unset", "gateway.port").code == 0
    assert file.read_text() == CONFIG.replace("port: 19001, ", "")


def test_unset_of_what_is_not_set_says_so(shell: Shell) -> None:
    shell.write_config(CONFIG)
    ran = shell("config", "unset", "gateway.bind")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("gateway.bind is not set")


def test_the_same_value_changes_nothing(shell: Shell) -> None:
    shell.write_config(CONFIG)
    ran = shell("config", "set", "gateway.port", "19001")
    assert (ran.code, ran.out) == (0, "gateway.port has this value already.\n")


def test_a_file_that_is_no_json5_is_not_edited(shell: Shell) -> None:
    file = shell.write_config("{ gateway: ")
    ran = shell("config", "set", "gateway.port", "1")
    assert ran.code == 1
    assert "cannot be edited" in ran.err
    assert file.read_text() == "{ gateway: "


@pytest.mark.parametrize("left", ["", "// the disk was full\n"])
@pytest.mark.parametrize("edit", [("set", "ui.assistant.name", "Bob"), ("unset", "gateway.port")])
def test_a_file_that_has_lost_its_settings_is_not_edited(
    shell: Shell, left: str, edit: tuple[str, ...]
) -> None:
    file = shell.write_config(left)
    kept = file.parent / "openclawd" / "config.last-good.json"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(CONFIG)
    for words in (("config", *edit), ("config", "validate")):
        ran = shell(*words)
        assert ran.code == 78
        assert "the file is empty, and had settings" in ran.out + ran.err
        assert f"cp {kept} {file}" in ran.out + ran.err
    assert file.read_text() == left
