"""Which certificate a command trusts, as the command line and the config say it."""

import pytest

from tests.cli.conftest import Shell

PIN = "ab" * 32


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tls-fingerprint", PIN), "--tls-fingerprint: it goes with --url"),
        (("--tls-fingerprint", PIN, "--url", "ws://127.0.0.1:1"), "a ws:// URL has no TLS"),
        (
            ("--tls-fingerprint", "abc", "--url", "wss://127.0.0.1:1"),
            "the SHA-256 fingerprint of a certificate",
        ),
    ],
)
def test_a_fingerprint_that_can_mean_nothing_is_a_wrong_command_line(
    shell: Shell, words: tuple[str, ...], said: str
) -> None:
    ran = shell("health", *words)
    assert ran.code == 2
    assert said in ran.err


def test_with_tls_and_no_certificate_yet_no_gateway_is_running(shell: Shell, unused_port: int) -> None:
    shell.write_config("{gateway: {tls: {enabled: true}}}")
    for words in (("health",), ("health", "--port", str(unused_port))):
        ran = shell(*words)
        assert ran.code == 1
        assert ran.err.endswith("Start it: openclawd gateway\n")


def test_the_link_of_a_gateway_that_does_not_run_is_https_too(shell: Shell) -> None:
    shell.write_config("{gateway: {tls: {enabled: true}, auth: {token: 'x'}}}")
    ran = shell("dashboard")
    assert ran.code == 1
    assert "There is no certificate yet" in ran.err


def test_a_broken_config_does_not_keep_a_command_from_a_gateway_that_it_names(
    shell: Shell, unused_port: int
) -> None:
    shell.write_config("{gateway: {")
    ran = shell("health", "--url", f"wss://127.0.0.1:{unused_port}")
    assert ran.code == 1
    assert f"Nothing listens at wss://127.0.0.1:{unused_port}" in ran.err
