"""What a gateway starts with when the file is broken."""

from pathlib import Path

import pytest

from openclawd.config.last_good import StartConfig, keep_last_good, start_config
from openclawd.config.load import load_config
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigError, UsageError
from openclawd.config.settings import Flags

GOOD = "{gateway: {port: 1234, auth: {token: 'T'}}} // good"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(state_dir=tmp_path, config_file=tmp_path / "openclaw.json")
    paths.own_dir.mkdir()
    paths.config_file.write_text(GOOD)
    keep_last_good(load_config(paths, {}))
    return paths


def started(paths: Paths, *, restarted: bool = False) -> StartConfig:
    return start_config(paths, {}, Flags(), restarted=restarted)


def test_a_file_that_can_be_gone_by_is(paths: Paths) -> None:
    paths.config_file.write_text("{gateway: {port: 1}}")
    begun = started(paths)
    assert (begun.settings.port, begun.problem) == (1, None)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"// and then the disk was full",
        b"{gateway: {port: 12",
        b"{gateway: {prot: 1}}",
        b"{gateway: {port: 'x'}}",
        b"{gateway: {bind: 'lan', auth: {mode: 'none'}}}",
        b"\xff\xfe{}",
        b"\0" * 4096,
        b"[]",
        b"{gateway: {auth: {token: '${NOT_SET}'}}}",
    ],
)
def test_any_other_start_is_with_the_last_good_one_and_leaves_the_file_alone(
    paths: Paths, broken: bytes
) -> None:
    paths.config_file.write_bytes(broken)
    begun = started(paths)
    assert (begun.settings.port, begun.loaded.raw) == (1234, GOOD)
    assert begun.problem is not None
    assert begun.problem.source == str(paths.config_file)
    assert paths.config_file.read_bytes() == broken


def test_a_file_that_is_gone_is_an_empty_one_at_a_first_start_and_not_in_a_restart(paths: Paths) -> None:
    paths.config_file.unlink()
    assert started(paths).problem is None
    begun = started(paths, restarted=True)
    assert begun.settings.port == 1234
    assert "is gone" in str(begun.problem)


def test_an_object_without_members_is_meant(paths: Paths) -> None:
    paths.config_file.write_text("{}")
    begun = started(paths)
    assert (begun.settings.port, begun.problem) == (18789, None)


def test_without_a_good_one_the_files_own_error_is_told(paths: Paths) -> None:
    paths.config_last_good.unlink()
    paths.config_file.write_text("{gateway: {port: 'x'}}")
    with pytest.raises(ConfigError, match=r"gateway\.port"):
        started(paths)


def test_a_good_one_that_is_none_any_more_does_not_hide_the_files_error(paths: Paths) -> None:
    paths.config_last_good.write_text("{gateway: ")
    paths.config_file.write_text("{gateway: {port: 'x'}}")
    with pytest.raises(ConfigError, match=r"gateway\.port"):
        started(paths)


def test_a_good_one_that_needs_a_new_token_is_not_used(paths: Paths) -> None:
    paths.config_last_good.write_text("{gateway: {port: 2}}")
    paths.config_file.write_text("{gateway: {port: 'x'}}")
    with pytest.raises(ConfigError, match=r"gateway\.port"):
        started(paths)


def test_a_wrong_flag_is_nothing_that_another_file_would_mend(paths: Paths) -> None:
    paths.config_file.write_text("{gateway: ")
    with pytest.raises(UsageError):
        start_config(paths, {}, Flags(bind="nowhere"))
    assert start_config(paths, {}, Flags(port=5)).settings.port == 5


@pytest.mark.parametrize(
    "kept", ["{gateway: {auth: {token: '${GONE_SINCE}'}}}", "{gateway: ", "{gateway: {prot: 1}}"]
)
def test_a_good_file_does_not_need_the_last_good_one(paths: Paths, kept: str) -> None:
    paths.config_last_good.write_text(kept)
    begun = started(paths)
    assert (begun.settings.port, begun.problem) == (1234, None)


def test_a_file_that_has_lost_its_settings_ends_in_the_command_that_brings_them_back(paths: Paths) -> None:
    paths.config_file.write_text("")
    problem = started(paths).problem
    assert str(problem).endswith(f"cp {paths.config_last_good} {paths.config_file}")
