"""The line of `systemctl status` of a gateway that serves."""

from openclawd import __version__
from openclawd.daemon.serving import serving_words


def words(clients: int, trial: str | None = None, problem: str | None = None, *troubles: str) -> str:
    return serving_words(
        port=18789,
        bind="loopback",
        clients=clients,
        generation=3,
        on_trial_from=trial,
        problem=problem,
        troubles=troubles,
    )


def test_it_tells_where_to_whom_which_version_and_which_life() -> None:
    assert words(4) == f"listening on port 18789, loopback; 4 clients; openclawd {__version__}, generation 3"


def test_one_client_is_one_and_none_is_no_number() -> None:
    assert "; no clients;" in words(0)
    assert "; 1 client;" in words(1)


def test_a_trial_and_a_refused_restart_are_told() -> None:
    said = words(0, "0.5.2", "the disk is full")
    assert said.endswith("; on trial, or 0.5.2 comes back; restart refused: the disk is full")


def test_what_is_wrong_with_config_and_state_is_told() -> None:
    said = words(0, None, None, "the config file cannot be used: line 1", "Nothing can be kept: no space")
    assert said.endswith("; the config file cannot be used: line 1; Nothing can be kept: no space")


def test_a_refusal_that_a_warning_tells_already_is_told_once() -> None:
    said = words(0, None, "it is taken", "gateway.port needs a restart, which was refused: it is taken")
    assert said.count("it is taken") == 1
