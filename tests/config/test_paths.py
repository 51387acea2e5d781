"""Where the files are (protocol.md 11.1)."""

from pathlib import Path

import pytest

from openclawd.config.paths import resolve_paths
from openclawd.config.problems import ConfigError

HOME = Path("/home/me")


def test_without_variables_everything_is_in_the_home() -> None:
    paths = resolve_paths({"HOME": "/home/me"})
    assert paths.config_file == HOME / ".openclaw/openclaw.json"
    assert paths.own_dir == HOME / ".openclaw/openclawd"
    assert paths.database == HOME / ".openclaw/openclawd/openclawd.sqlite3"
    assert paths.log_dir == HOME / ".openclaw/openclawd/logs"
    assert paths.lock_file == HOME / ".openclaw/openclawd/gateway.lock"
    assert paths.socket == HOME / ".openclaw/openclawd/gateway.sock"


def test_a_profile_has_its_own_state_directory() -> None:
    assert resolve_paths({"OPENCLAW_PROFILE": "work"}, HOME).state_dir == HOME / ".openclaw-work"
    assert resolve_paths({"OPENCLAW_PROFILE": "default"}, HOME).state_dir == HOME / ".openclaw"


@pytest.mark.parametrize("name", ["../x", "a/b", "-x", "a b", "x" * 65])
def test_a_profile_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="OPENCLAW_PROFILE"):
        resolve_paths({"OPENCLAW_PROFILE": name}, HOME)


def test_the_state_directory_goes_before_the_profile_and_the_home() -> None:
    environ = {"OPENCLAW_STATE_DIR": "/srv/oc", "OPENCLAW_PROFILE": "work", "OPENCLAW_HOME": "/elsewhere"}
    paths = resolve_paths(environ, HOME)
    assert paths.state_dir == Path("/srv/oc")
    assert paths.config_file == Path("/srv/oc/openclaw.json")


def test_the_config_file_may_be_anywhere() -> None:
    paths = resolve_paths({"OPENCLAW_CONFIG_PATH": "~/oc.json"}, HOME)
    assert paths.config_file == HOME / "oc.json"
    assert paths.state_dir == HOME / ".openclaw"


def test_openclaw_home_takes_the_place_of_the_home() -> None:
    assert resolve_paths({"OPENCLAW_HOME": "/data"}, HOME).state_dir == Path("/data/.openclaw")
    assert resolve_paths({"OPENCLAW_HOME": "~/data"}, HOME).state_dir == HOME / "data/.openclaw"


def test_relative_paths_become_absolute() -> None:
    assert resolve_paths({"OPENCLAW_STATE_DIR": "a/../b"}, HOME).state_dir == Path.cwd() / "b"


def test_a_blank_variable_counts_as_none() -> None:
    assert resolve_paths({"OPENCLAW_STATE_DIR": "  "}, HOME).state_dir == HOME / ".openclaw"


def test_the_socket_stays_in_the_state_directory_however_deep_that_is() -> None:
    deep = "/x" + "/deep" * 30
    assert resolve_paths({"OPENCLAW_STATE_DIR": deep}, HOME).socket == Path(deep, "openclawd/gateway.sock")


def test_the_certificate_has_the_place_that_stock_gives_it() -> None:
    assert resolve_paths({"OPENCLAW_STATE_DIR": "/srv/oc"}, HOME).tls_dir == Path("/srv/oc/gateway/tls")
