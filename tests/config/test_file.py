"""The file of a running gateway, read and replaced by its clients."""

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openclawd.config.file import BaseHashMissing, BaseHashStale, ConfigFile, CurrentFile
from openclawd.config.load import ConfigError, LoadedConfig, load_config
from openclawd.config.paths import Paths
from openclawd.config.reading import parse
from openclawd.config.settings import resolve_settings

SECRET = "{gateway: {auth: {token: 'S3CRET'}}} // mine\n"
SHOWN = '{gateway: {port: 1234, auth: {token: "__OPENCLAW_REDACTED__"}}} // mine\n'

Make = Callable[[str | None], ConfigFile]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """The file with a text, as a gateway without flags has it."""
    paths = Paths(state_dir=tmp_path, config_file=tmp_path / "openclaw.json")
    environ = {"HOME": str(tmp_path), "PORT_NAME": "x"}

    def check(loaded: LoadedConfig) -> object:
        return resolve_settings(loaded, environ)

    def made(text: str | None) -> ConfigFile:
        if text is not None:
            paths.config_file.write_text(text)
        return ConfigFile(load_config(paths, environ), check=check)

    return made


def on_disk(file: ConfigFile) -> str:
    return file.applied.paths.config_file.read_text()


def replace(file: ConfigFile, text: str) -> CurrentFile:
    return file.replace(text, file.read().hash)


def refused(file: ConfigFile, text: str) -> list[str]:
    """The problems of a text; nothing may have been written."""
    before = file.applied.paths.config_file.read_bytes()
    with pytest.raises(ConfigError) as error:
        replace(file, text)
    assert file.applied.paths.config_file.read_bytes() == before
    return [problem.text() for problem in error.value.problems]


def test_the_text_is_written_as_it_was_sent_with_the_secrets_put_back(make: Make) -> None:
    file = make(SECRET)
    current = replace(file, SHOWN)
    assert on_disk(file) == "{gateway: {port: 1234, auth: {token: 'S3CRET'}}} // mine\n"
    assert current == file.read()
    assert current.problems == ()


def test_only_its_owner_can_read_it_and_the_one_before_is_kept(make: Make) -> None:
    file = make(SECRET)
    replace(file, SHOWN)
    paths = file.applied.paths
    assert stat.S_IMODE(paths.config_file.stat().st_mode) == 0o600
    assert paths.config_backup.read_text() == SECRET


def test_what_the_gateway_runs_with_stays_until_it_starts_again(make: Make) -> None:
    file = make(SECRET)
    current = replace(file, SHOWN)
    assert file.applied.config.gateway.port == 18789
    assert current.hash != file.applied.hash


def test_an_editor_that_began_with_another_text_is_sent_back(make: Make) -> None:
    file = make(SECRET)
    hash_before = file.read().hash
    file.applied.paths.config_file.write_text("{} // by hand, meanwhile")
    with pytest.raises(BaseHashStale):
        file.replace("{}", hash_before)
    with pytest.raises(BaseHashMissing):
        file.replace("{}", None)
    assert on_disk(file) == "{} // by hand, meanwhile"


def test_where_there_is_no_file_no_hash_is_needed(make: Make) -> None:
    file = make(None)
    assert not file.read().exists
    assert file.replace("{gateway: {port: 1}}", None).exists
    assert on_disk(file) == "{gateway: {port: 1}}"


def test_every_problem_of_a_text_is_named(make: Make) -> None:
    text = "{gateway: {prot: 1,\n bind: 'moon'},\n agents: 5}"
    assert refused(make(SECRET), text) == [
        "line 1: gateway.prot: no such key (did you mean gateway.port?)",
        'line 2: gateway.bind is "moon", expected one of auto, lan, loopback, custom, tailnet',
        "line 3: agents is 5, expected an object",
    ]


def test_what_the_next_start_would_refuse_is_not_written(make: Make) -> None:
    (problem,) = refused(make(SECRET), "{gateway: {bind: 'lan', auth: {mode: 'none'}}}")
    assert "without auth" in problem


@pytest.mark.parametrize("text", ["{", "[]", "{gateway: {port: }}"])
def test_what_is_no_config_at_all_is_not_written(make: Make, text: str) -> None:
    assert len(refused(make(SECRET), text)) == 1


@pytest.mark.parametrize("text", [" ", "// cut off here", "/* all of it */\n"])
def test_a_text_that_says_nothing_does_not_empty_the_file(make: Make, text: str) -> None:
    (problem,) = refused(make(SECRET), text)
    assert "{}" in problem
    file = make("// nothing yet")
    replace(file, text)
    assert on_disk(file) == text


def test_all_settings_can_be_removed_by_who_says_so(make: Make) -> None:
    file = make(SECRET)
    replace(file, "{}")
    assert on_disk(file) == "{}"


def test_a_placeholder_without_a_secret_behind_it_is_refused(make: Make) -> None:
    (problem,) = refused(make("{}"), SHOWN)
    assert problem.startswith("line 1: gateway.auth.token: stands for a secret")


@pytest.mark.parametrize("broken", ["{gateway: {port: 'x'}}", "{", "{bad: 1}", "\x00"])
def test_a_file_that_was_broken_by_hand_is_shown_and_can_be_mended(make: Make, broken: str) -> None:
    file = make(SECRET)
    file.applied.paths.config_file.write_text(broken)
    current = file.read()
    assert (current.exists, current.raw) == (True, broken)
    assert current.problems
    assert file.replace("{}", current.hash).problems == ()


def test_bytes_that_are_no_text_have_a_hash_too(make: Make) -> None:
    file = make(SECRET)
    file.applied.paths.config_file.write_bytes(b"\xff\xfe")
    current = file.read()
    assert current.raw == ""
    assert "not UTF-8" in current.problems[0].text()
    assert file.replace("{}", current.hash).problems == ()


def test_a_variable_that_only_the_old_file_brought_along_is_missed(make: Make) -> None:
    file = make("{env: {MY_TOKEN: 'abc'}, gateway: {auth: {token: '${MY_TOKEN}'}}}")
    (problem,) = refused(file, "{gateway: {auth: {token: '${MY_TOKEN}'}}}")
    assert "MY_TOKEN is not set" in problem


def test_an_edit_is_made_of_the_text_as_it_is_now(make: Make) -> None:
    file = make(SECRET)
    file.edit(lambda text: text.replace("mine", "ours"))
    assert on_disk(file) == SECRET.replace("mine", "ours")
    assert stat.S_IMODE(file.applied.paths.config_file.stat().st_mode) == 0o600


def test_an_edit_that_no_gateway_would_start_with_is_not_written(make: Make) -> None:
    file = make(SECRET)
    with pytest.raises(ConfigError):
        file.edit(lambda _: "{gateway: {port: 'x'}}")
    file.applied.paths.config_file.write_text("{gateway: ")
    with pytest.raises(ConfigError):
        file.edit(lambda _: "{}")
    assert on_disk(file) == "{gateway: "


def test_the_hash_that_is_shown_knows_no_secret_and_follows_what_is_applied(make: Make) -> None:
    file = make(SECRET)
    before = file.applied_shown_hash
    assert before == file.read().shown_hash
    file.edit(lambda text: text.replace("S3CRET", "0THER"))
    assert file.read().shown_hash == before
    file.edit(lambda text: text.replace("mine", "ours"))
    assert (file.read().shown_hash != before, file.applied_shown_hash == before) == (True, True)
    file.apply(file.load())
    assert file.applied_shown_hash == file.read().shown_hash


# --- patches


def patch(file: ConfigFile, text: str, *, replaced: tuple[str, ...] | None = ()) -> tuple[str, ...]:
    return file.patch(text, file.read().hash, replaced)[1]


def test_a_patch_changes_what_it_names_and_keeps_covered_secrets(make: Make) -> None:
    file = make(SECRET)
    covered = "{gateway: {port: 5, auth: {token: '__OPENCLAW_REDACTED__'}}}"
    assert patch(file, covered) == ("gateway.port",)
    assert on_disk(file) == "{gateway: {auth: {token: 'S3CRET'}, port: 5}} // mine\n"


def test_a_patch_that_says_nothing_new_writes_nothing(make: Make) -> None:
    file = make(SECRET)
    inode = file.applied.paths.config_file.stat().st_ino
    assert patch(file, "{gateway: {auth: {token: 'S3CRET'}}}") == ()
    assert file.applied.paths.config_file.stat().st_ino == inode
    assert not file.applied.paths.config_backup.exists()


def test_a_patch_needs_the_hash_of_what_it_began_with(make: Make) -> None:
    file = make(SECRET)
    with pytest.raises(BaseHashMissing):
        file.patch("{gateway: {port: 5}}", None)
    with pytest.raises(BaseHashStale):
        file.patch("{gateway: {port: 5}}", "0" * 64)
    assert on_disk(file) == SECRET
    # What the page keeps there for itself has one writer that counts: the last.
    assert file.patch("{ui: {prefs: {theme: 'dark'}}}", None)[1] == ("ui.prefs.theme",)


@pytest.mark.parametrize(
    "wrong", ["{gateway: {port: 'x'}}", "{gateway: ", "[]", "{models: {providers: {a: {apiKey: 5}}}}"]
)
def test_a_patch_that_no_gateway_would_start_with_is_not_written(make: Make, wrong: str) -> None:
    file = make(SECRET)
    with pytest.raises(ConfigError):
        patch(file, wrong)
    assert on_disk(file) == SECRET


def test_a_broken_file_is_not_patched(make: Make) -> None:
    file = make(SECRET)
    file.applied.paths.config_file.write_text("{gateway: ")
    with pytest.raises(ConfigError):
        patch(file, "{gateway: {port: 5}}")


# --- what must not be lost


@pytest.mark.parametrize("left", ["", "// the disk was full\n", None])
def test_a_file_that_has_lost_its_settings_is_not_patched(make: Make, left: str | None) -> None:
    file = make(SECRET)
    path = file.applied.paths.config_file
    path.unlink() if left is None else path.write_text(left)
    with pytest.raises(ConfigError, match="had settings"):
        patch(file, "{ui: {assistant: {name: 'x'}}}")
    with pytest.raises(ConfigError, match="had settings"):
        file.edit(lambda _: "{gateway: {auth: {token: 'NEW'}}}")
    assert (path.read_text() if path.exists() else None) == left
    assert [problem.text()[:8] for problem in file.read().problems] == ["the file"]


def test_a_text_that_has_lost_most_of_the_settings_is_refused(make: Make) -> None:
    agents = ", ".join(f"{{id: 'agent-{number}', name: 'Somebody {number}'}}" for number in range(40))
    file = make(f"{{agents: {{list: [{agents}]}}, gateway: {{port: 1234}}}}")
    (problem,) = refused(file, "{gateway: {port: 1234}}")
    assert "as if it were a part of them" in problem
    # Who names what is to go means it.
    assert patch(file, "{agents: null}", replaced=None) == ("agents.list",)
    assert on_disk(file) == "{gateway: {port: 1234}}"


def test_a_form_that_was_filled_in_while_the_file_was_empty_does_not_replace_the_settings(make: Make) -> None:
    agents = ", ".join(f"{{id: 'agent-{number}', name: 'Somebody {number}'}}" for number in range(40))
    file = make(f"{{agents: {{list: [{agents}]}}, gateway: {{port: 1234}}}}")
    for broken in ("", "{agents: "):
        file.applied.paths.config_file.write_text(broken)
        (problem,) = refused(file, "{gateway: {port: 1234}}")
        assert "as if it were a part of them" in problem


def test_what_an_editor_saves_at_the_same_moment_stays(make: Make) -> None:
    file = make(SECRET)
    path = file.applied.paths.config_file

    def change(text: str) -> str:
        path.write_text("{} // saved by hand, just now")
        return text.replace("mine", "ours")

    with pytest.raises(BaseHashStale):
        file.edit(change)
    assert on_disk(file) == "{} // saved by hand, just now"


def test_of_many_writers_in_many_processes_none_loses_what_it_wrote(make: Make) -> None:
    file = make("{}")
    path = file.applied.paths.config_file
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from openclawd.config.atomic import alone_with, write_atomic\n"
        "from openclawd.config.edit import set_value\n"
        "path, name = Path(sys.argv[1]), sys.argv[2]\n"
        "for count in range(8):\n"
        "    with alone_with(path):\n"
        "        text = set_value(path.read_text(), ['env', f'{name}{count}'], 'x')\n"
        "        write_atomic(path, text, backup=path.with_suffix('.bak'))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), name]) for name in ("A", "B", "C")]
    for count in range(8):
        while True:
            try:
                file.patch(f"{{env: {{MINE{count}: 'x'}}}}", file.read().hash)
            except BaseHashStale:
                continue  # as a client does: look again, and ask again
            break
    assert [writer.wait(timeout=30) for writer in writers] == [0, 0, 0]
    names = {f"{name}{count}" for name in ("A", "B", "C", "MINE") for count in range(8)}
    assert parse(on_disk(file)) == {"env": dict.fromkeys(names, "x")}
