"""Flags, file and environment brought together, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from openclawd.config.load import ConfigError, LoadedConfig, UsageError, load_text
from openclawd.config.paths import Paths
from openclawd.config.settings import Flags, GatewaySettings, overridden, resolve_settings

PATHS = Paths(state_dir=Path("/home/me/.openclaw"), config_file=Path("/home/me/.openclaw/openclaw.json"))


def load(gateway: str) -> LoadedConfig:
    return load_text(PATHS, "{gateway: " + gateway + "}", {})


def resolve(
    gateway: str = "{}", environ: dict[str, str] | None = None, **flags: str | int
) -> GatewaySettings:
    return resolve_settings(load(gateway), environ or {}, Flags(**flags))  # type: ignore[arg-type] # by name


def refusal(gateway: str = "{}", environ: dict[str, str] | None = None, **flags: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(gateway, environ, **flags)
    assert not isinstance(caught.value, UsageError)
    return caught.value.text()


def revealed(settings: GatewaySettings) -> tuple[str | None, str | None]:
    token, password = settings.token, settings.password
    return (token.reveal() if token else None, password.reveal() if password else None)


# --- the port


def test_the_port_is_the_flags_then_the_environments_then_the_files() -> None:
    environ = {"OPENCLAW_GATEWAY_PORT": "2", "CLAWDBOT_GATEWAY_PORT": "3"}
    assert resolve("{port: 4}", environ, port=1).port == 1
    assert resolve("{port: 4}", environ, port="1").port == 1
    assert resolve("{port: 4}", environ).port == 2
    assert resolve("{port: 4}", {"CLAWDBOT_GATEWAY_PORT": "3"}).port == 3
    assert resolve("{port: 4}", {"OPENCLAW_GATEWAY_PORT": " "}).port == 4
    assert resolve().port == 18789


@pytest.mark.parametrize("port", ["0", "65536", "abc", "", "1.5", "-1", "٣", "9" * 5000])
def test_a_wrong_port_names_where_it_came_from(port: str) -> None:
    with pytest.raises(UsageError, match=r"--port is .* expected an integer from 1 to 65535"):
        resolve(port=port)
    if port:
        assert "OPENCLAW_GATEWAY_PORT is" in refusal(environ={"OPENCLAW_GATEWAY_PORT": port})


@pytest.mark.parametrize(
    ("environ", "flags", "above"),
    [
        ({}, Flags(), {}),
        # The file's secrets go before the environment's; its port does not.
        (
            {"OPENCLAW_GATEWAY_TOKEN": "t", "CLAWDBOT_GATEWAY_PORT": "1"},
            Flags(),
            {"gateway.port": "CLAWDBOT_GATEWAY_PORT"},
        ),
        ({"OPENCLAW_GATEWAY_PORT": "1"}, Flags(port=2), {"gateway.port": "--port"}),
        (
            {},
            Flags(bind="lan", auth="password", token="t", password_file="f"),
            {
                "gateway.bind": "--bind",
                "gateway.auth.mode": "--auth",
                "gateway.auth.token": "--token",
                "gateway.auth.password": "--password-file",
            },
        ),
    ],
)
def test_what_counts_in_place_of_the_file_is_known_by_its_name(
    environ: dict[str, str], flags: Flags, above: dict[str, str]
) -> None:
    assert overridden(environ, flags) == above


def test_wrong_words_of_flags_are_usage_errors_and_all_are_told() -> None:
    with pytest.raises(UsageError) as caught:
        resolve(bind="everywhere", auth="cookie", port=0)
    text = caught.value.text()
    assert "--bind is 'everywhere', expected one of auto, lan, loopback, custom, tailnet" in text
    assert "--auth is 'cookie', expected one of none, token, password, trusted-proxy" in text
    assert "--port is 0" in text
    assert text.endswith("openclawd gateway --help")


# --- secrets


def test_a_secret_is_the_flags_then_the_files_then_the_environments(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    environ = {"OPENCLAW_GATEWAY_TOKEN": "from-env"}
    config = "{auth: {token: 'from-config'}}"
    assert revealed(resolve(config, environ, token="from-flag", token_file=str(file)))[0] == "from-flag"
    assert revealed(resolve(config, environ, token_file=str(file)))[0] == "from-file"
    assert revealed(resolve(config, environ))[0] == "from-config"
    assert revealed(resolve("{}", environ))[0] == "from-env"
    assert revealed(resolve("{}", {"CLAWDBOT_GATEWAY_TOKEN": "legacy"}))[0] == "legacy"
    assert revealed(resolve("{auth: {token: ' '}}", environ))[0] == "from-env"
    assert revealed(resolve())[0] is None


def test_a_password_may_come_from_a_file_and_hold_spaces(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("correct horse\n")
    settings = resolve(password_file=str(file))
    assert (settings.auth_mode, revealed(settings)) == ("password", (None, "correct horse"))


def test_the_spaces_of_a_password_are_part_of_it_and_those_around_a_token_are_not(tmp_path: Path) -> None:
    spaced = "  correct horse "
    file = tmp_path / "password"
    file.write_text(f"{spaced}\r\n")
    for settings in (
        resolve("{auth: {password: '" + spaced + "'}}"),
        resolve("{}", {"OPENCLAW_GATEWAY_PASSWORD": spaced}),
        resolve(password=spaced),
        resolve(password_file=str(file)),
    ):
        assert revealed(settings)[1] == spaced
    assert revealed(resolve("{auth: {token: ' t '}}"))[0] == "t"
    assert revealed(resolve(token_file=str(file)))[0] == "correct horse"
    assert revealed(resolve("{auth: {password: '  '}}"))[1] is None


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"\xff"])
def test_a_secret_file_that_holds_no_secret_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="--token-file"):
        resolve(token_file=str(file))


def test_a_missing_secret_file_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="No such file"):
        resolve(token_file="/nowhere/token")


def test_an_empty_secret_on_the_command_line_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--token"):
        resolve(token="")


# --- the mode


def test_the_mode_is_password_when_one_is_configured_and_token_otherwise() -> None:
    assert resolve().auth_mode == "token"
    assert resolve("{auth: {token: 'x'}}").auth_mode == "token"
    assert resolve("{auth: {token: 'x', password: 'y'}}").auth_mode == "password"
    assert resolve("{}", {"OPENCLAW_GATEWAY_PASSWORD": "y"}).auth_mode == "password"


def test_what_is_said_outright_goes_before_what_is_derived() -> None:
    environ = {"OPENCLAW_GATEWAY_PASSWORD": "y"}
    assert resolve("{auth: {mode: 'token'}}", environ).auth_mode == "token"
    assert resolve("{auth: {mode: 'token'}}", environ, auth="none").auth_mode == "none"
    assert resolve("{}", environ, token="x").auth_mode == "token"
    assert resolve("{}", environ, token="x", password="y").auth_mode == "password"


def test_password_mode_without_a_password_is_refused() -> None:
    assert "mode password needs a password" in refusal("{auth: {mode: 'password'}}")


# --- a proxy that authenticates the users

PROXY = "mode: 'trusted-proxy', trustedProxy: {userHeader: 'X-User', allowUsers: ['ann']}"


def test_a_proxy_of_another_machine_needs_no_secret_here() -> None:
    settings = resolve("{bind: 'lan', auth: {" + PROXY + "}, trustedProxies: ['10.0.0.5']}")
    assert (settings.auth_mode, settings.trusted_proxy.allow_users) == ("trusted-proxy", ("ann",))
    assert resolve("{bind: 'lan', auth: {trustedProxy: {userHeader: 'u'}}, trustedProxies: ['10.0.0.5']}",
                   auth="trusted-proxy").auth_mode == "trusted-proxy"  # fmt: skip


def test_a_proxy_on_this_machine_must_be_trusted_outright() -> None:
    here = "{auth: {mode: 'trusted-proxy', trustedProxy: {userHeader: 'u', allowLoopback: true}},"
    for proxies in ("['127.0.0.1']", "['::1']", "['0.0.0.0/0']"):
        assert resolve(here + f"trustedProxies: {proxies}}}").auth_mode == "trusted-proxy"


@pytest.mark.parametrize(
    ("gateway", "said"),
    [
        (
            "{bind: 'lan', auth: {mode: 'trusted-proxy'}, trustedProxies: ['10.0.0.5']}",
            "gateway.auth.trustedProxy.userHeader: mode trusted-proxy needs the header",
        ),
        (
            "{bind: 'lan', auth: {" + PROXY + "}}",
            "gateway.trustedProxies: mode trusted-proxy needs the proxies",
        ),
        (
            "{auth: {" + PROXY + "}, trustedProxies: ['10.0.0.5']}",
            "gateway.trustedProxies: no proxy here can reach a loopback bind",
        ),
        (
            "{auth: {" + PROXY + "}, trustedProxies: ['127.0.0.1']}",
            "gateway.auth.trustedProxy.allowLoopback: a proxy on this machine is not trusted",
        ),
        (
            "{bind: 'lan', auth: {" + PROXY + ", identityScopes: {}}, trustedProxies: ['10.0.0.5']}",
            "gateway.auth.identityScopes: is not supported here, and would narrow who may come in",
        ),
        (
            "{bind: 'lan', auth: {mode: 'trusted-proxy', trustedProxy: {cloudflareAccessOidc: {}}}}",
            "gateway.auth.trustedProxy.cloudflareAccessOidc: is not supported here",
        ),
    ],
)
def test_a_proxy_that_would_let_in_nobody_or_too_many_is_refused(gateway: str, said: str) -> None:
    assert said in refusal(gateway)


# --- what wrong secrets cost


def test_the_limits_are_stocks_where_the_file_says_nothing() -> None:
    limits = resolve().rate_limit
    assert (limits.max_attempts, limits.window_ms, limits.lockout_ms) == (10, 60_000, 300_000)
    assert limits.exempt_loopback
    assert resolve("{auth: {rateLimit: {maxAttempts: 3}}}").rate_limit.max_attempts == 3


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "'10'"])
def test_a_limit_is_a_whole_number_from_one_up(value: str) -> None:
    with pytest.raises(ConfigError, match=r"rateLimit.maxAttempts is .* an integer of 1 or more"):
        load("{auth: {rateLimit: {maxAttempts: " + value + "}}}")


# --- the bind


@pytest.mark.parametrize("bind", ["lan", "tailnet", "auto"])
@pytest.mark.parametrize("auth", ["none", "token"])
def test_a_bind_beyond_loopback_without_auth_is_refused(bind: str, auth: str) -> None:
    text = refusal("{bind: '" + bind + "', auth: {mode: '" + auth + "'}}")
    assert f"Refusing to bind gateway to {bind} without auth." in text
    assert text.endswith("openclawd config validate")


def test_a_bind_beyond_loopback_with_a_secret_is_fine() -> None:
    assert resolve("{auth: {token: 'x'}}", bind="lan").bind == "lan"
    assert resolve("{bind: 'lan'}", {"OPENCLAW_GATEWAY_PASSWORD": "x"}).bind == "lan"


def test_loopback_needs_no_secret_yet() -> None:
    assert resolve("{auth: {mode: 'none'}}").auth_mode == "none"
    assert resolve("{bind: 'custom', customBindHost: '127.0.0.2', auth: {mode: 'none'}}").bind == "custom"


def test_a_custom_bind_needs_an_address() -> None:
    assert "gateway.customBindHost: bind custom needs an address here" in refusal("{bind: 'custom'}")
    assert "Refusing to bind gateway to custom" in refusal("{bind: 'custom', customBindHost: '10.0.0.1'}")


# --- what is not supported


@pytest.mark.parametrize(
    ("gateway", "said"),
    [
        ("{mode: 'remote'}", "gateway.mode: a gateway of mode remote runs elsewhere"),
        ("{tailscale: {mode: 'funnel'}}", "gateway.tailscale.mode: funnel is not supported"),
    ],
)
def test_what_would_be_unsafe_to_ignore_is_refused_with_its_line(gateway: str, said: str) -> None:
    assert f"line 1: {said}" in refusal(gateway)


def test_a_configuration_that_cannot_start_can_still_be_read() -> None:
    assert load("{mode: 'remote'}").config.gateway.mode == "remote"


# --- the page


@pytest.mark.parametrize(("given", "kept"), [("", ""), ("/", ""), ("ui", "/ui"), ("/a/b/", "/a/b")])
def test_the_base_path_begins_with_a_slash_and_ends_without(given: str, kept: str) -> None:
    assert resolve("{controlUi: {basePath: '" + given + "'}}").control_ui.base_path == kept


def test_another_pages_folder_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    paths = Paths(state_dir=tmp_path, config_file=tmp_path / "openclaw.json")
    text = "{gateway: {controlUi: {root: 'ROOT'}}}"
    for root in ("page", "~/page", str(tmp_path / "page")):
        loaded = load_text(paths, text.replace("ROOT", root), {})
        assert resolve_settings(loaded, {"HOME": str(tmp_path)}).control_ui.root == tmp_path / "page"
    with pytest.raises(ConfigError, match="is not a folder"):
        resolve_settings(load_text(paths, text.replace("ROOT", "nowhere"), {}), {})


def test_printing_flags_and_settings_shows_no_secret() -> None:
    flags = Flags(token="s3cret", password="s3cret")
    assert "s3cret" not in repr(flags) + repr(resolve_settings(load("{}"), {}, flags))


# --- TLS


def test_without_paths_the_certificate_is_where_stock_has_it() -> None:
    assert resolve().tls is None
    tls = resolve("{tls: {enabled: true}}").tls
    assert tls is not None
    folder = PATHS.state_dir / "gateway" / "tls"
    assert (tls.certificate, tls.key) == (folder / "gateway-cert.pem", folder / "gateway-key.pem")
    assert (tls.authorities, tls.make) == (None, True)


def test_paths_of_the_certificate_stand_beside_the_file_or_in_the_home() -> None:
    paths = "certPath: 'c.pem', keyPath: '~/k.pem', caPath: '/ca.pem'"
    tls = resolve("{tls: {enabled: true, autoGenerate: false, " + paths + "}}", {"HOME": "/home/me"}).tls
    assert tls is not None
    assert (tls.certificate, tls.key) == (PATHS.state_dir / "c.pem", Path("/home/me/k.pem"))
    assert (tls.authorities, tls.make) == (Path("/ca.pem"), False)


@pytest.mark.parametrize(
    "text",
    [
        "ab" * 32,
        "AB" * 32,
        ":".join(["AB"] * 32),
        "sha256:" + "ab" * 32,
        "SHA256 Fingerprint=" + ":".join(["AB"] * 32),
    ],
)
def test_a_fingerprint_may_be_written_as_any_tool_shows_it(text: str) -> None:
    loaded = load("{remote: {tlsFingerprint: '" + text + "'}}")
    assert loaded.config.gateway.remote.tls_fingerprint == "ab" * 32


@pytest.mark.parametrize("text", ["ab" * 31, "ab" * 33, "sha1:" + "ab" * 20, "xy" * 32])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"tlsFingerprint .* SHA-256 fingerprint"):
        load("{remote: {tlsFingerprint: '" + text + "'}}")
