"""Settings that count at once: which do, which wait, and who has to go."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from openclawd.agents.catalog import Catalog
from openclawd.agents.facts import GatewayFacts
from openclawd.agents.roster import Roster, roster
from openclawd.auth.admission import Admission
from openclawd.auth.limiter import Limiter
from openclawd.auth.policy import Policy
from openclawd.auth.tries import LimitRules
from openclawd.config.file import ConfigFile
from openclawd.config.load import ConfigError, load_config
from openclawd.config.model import Config
from openclawd.config.paths import Paths
from openclawd.config.rotation import NotRotatable
from openclawd.config.schema_lookup import NEEDS_RESTART, lookup
from openclawd.config.settings import ControlUiSettings, Flags, GatewaySettings, resolve_settings
from openclawd.daemon.access import AT_START, AT_START_PAGE, LIVE, LIVE_PAGE, TLS, Access, Started
from openclawd.daemon.policy import admission_policy, limit_rules
from openclawd.daemon.sections import Sections
from openclawd.gateway.client import Client
from openclawd.gateway.clients import Clients
from openclawd.protocol.closes import Close

OLD = "0123456789abcdef0123456789abcdef0123456789abcdef"
NEW = "fedcba9876543210fedcba9876543210fedcba9876543210"
PROXY = "{bind: 'lan', trustedProxies: ['10.0.0.1'], auth: {mode: 'trusted-proxy', "


def no_facts() -> GatewayFacts:
    raise AssertionError("nobody is asked anything here")


@attrs.define(eq=False)
class Guest:
    """As much of a client as a dismissal needs."""

    credential: str
    wire_generation: int = 4
    end_with: Close | None = None

    def end(self, close: Close) -> None:
        self.end_with = close


@attrs.define
class Judge:
    """As much of an admission as a change needs."""

    policy: Policy
    changes: int = 0

    def change(self, policy: Policy) -> None:
        self.policy = policy
        self.changes += 1


@attrs.define
class Room:
    """A gateway that was started with a file, and who is in it."""

    access: Access
    file: Path
    config_file: ConfigFile
    judge: Judge
    limiter: Limiter
    clients: Clients
    agents: Roster
    catalog: Catalog
    timeouts: list[int]
    levels: list[str]
    told: list[tuple[str, ...]]

    def write(self, gateway: str, more: str = "") -> None:
        self.file.write_text("{gateway: " + gateway + more + "} // by hand")

    def enter(self, credential: str, wire_generation: int = 4) -> Guest:
        guest = Guest(credential, wire_generation)
        self.clients.add(cast(Client, guest), lambda _close: None)
        return guest

    async def reload(self, gateway: str, more: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
        self.write(gateway, more)
        reloaded = await self.access.reload()
        return reloaded.applied, reloaded.restart_required


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Room]:
    def started(gateway: str = "{auth: {token: '" + OLD + "'}}", **flags: Any) -> Room:
        file = tmp_path / "openclaw.json"
        file.write_text("{gateway: " + gateway + "}")
        loaded = load_config(Paths(state_dir=tmp_path, config_file=file), {})
        settings = resolve_settings(loaded, {}, Flags(**flags))
        config_file = ConfigFile(loaded, check=lambda each: resolve_settings(each, {}, Flags(**flags)))
        judge = Judge(admission_policy(settings))
        limiter = Limiter(limit_rules(settings), secret_key=b"k" * 32)
        clients = Clients()
        agents = roster(loaded.config, tmp_path)
        catalog = Catalog(loaded.config, loaded.environ, no_facts)
        timeouts: list[int] = []
        levels: list[str] = []
        told: list[tuple[str, ...]] = []
        (tmp_path / "openclawd").mkdir(exist_ok=True)
        access = Access(
            Started(loaded, settings, Flags(**flags)),
            config_file=config_file,
            admission=cast(Admission, judge),
            limiter=limiter,
            clients=clients,
            now_ms=lambda: 0,
            sections=Sections(
                loaded,
                agents=agents,
                catalog=catalog,
                set_run_timeout_ms=timeouts.append,
                set_log_level=levels.append,
            ),
            warned=lambda: told.append(access.warnings),
        )
        return Room(
            access, file, config_file, judge, limiter, clients, agents, catalog, timeouts, levels, told
        )

    return started


Start = Callable[..., Room]


# --- what counts at once


async def test_another_token_counts_at_once_and_sends_away_who_came_with_the_old_one(start: Start) -> None:
    room = start()
    by_token, old_page = room.enter("token"), room.enter("token", wire_generation=3)
    staying = [room.enter(credential) for credential in ("device-token", "local-socket")]
    assert await room.reload("{auth: {token: '" + NEW + "'}}") == (("gateway.auth.token",), ())
    token = room.judge.policy.shared.token
    assert token is not None
    assert token.reveal() == NEW
    assert by_token.end_with == Close(4001, "gateway auth changed")
    assert old_page.end_with == Close(1008, "gateway auth changed")
    assert [guest.end_with for guest in staying] == [None, None]


@pytest.mark.parametrize(
    ("before", "after", "void"),
    [
        ("{auth: {password: 'one'}}", "{auth: {password: 'two'}}", "password"),
        ("{auth: {password: 'one'}}", "{auth: {mode: 'token', token: 'x', password: 'one'}}", "password"),
        ("{auth: {mode: 'none'}}", "{auth: {token: 'x'}}", "none"),
        ("{auth: {token: 'x'}}", "{auth: {token: 'x', password: 'one'}}", "token"),
        (
            PROXY + "trustedProxy: {userHeader: 'a'}}}",
            PROXY + "trustedProxy: {userHeader: 'a', allowUsers: ['b']}}}",
            "trusted-proxy",
        ),
    ],
)
async def test_who_came_in_by_what_is_void_has_to_go(
    start: Start, before: str, after: str, void: str
) -> None:
    room = start(before)
    guests = [room.enter(each) for each in ("token", "password", "none", "trusted-proxy", "device-token")]
    await room.reload(after)
    assert [guest.credential for guest in guests if guest.end_with is not None] == [void]


async def test_limits_and_origins_and_proxies_count_at_once_and_nobody_has_to_go(start: Start) -> None:
    room = start()
    guest = room.enter("token")
    applied, waiting = await room.reload(
        "{auth: {token: '" + OLD + "', rateLimit: {maxAttempts: 3, windowMs: 900000, exemptLoopback: false}},"
        " trustedProxies: ['10.0.0.1'], controlUi: {allowedOrigins: ['https://a.example']}}"
    )
    assert applied == (
        "gateway.auth.rateLimit",
        "gateway.trustedProxies",
        "gateway.controlUi.allowedOrigins",
    )
    assert waiting == ()
    assert room.limiter.rules == LimitRules(tries=3, refill_ms=900_000, exempt_loopback=False)
    assert room.judge.policy.origins.allowed == ("https://a.example",)
    assert guest.end_with is None


async def test_the_tries_come_back_in_the_longer_of_window_and_lockout(start: Start) -> None:
    assert start("{auth: {token: 'x'}}").limiter.rules == LimitRules(10, 300_000, exempt_loopback=True)
    assert start("{auth: {rateLimit: {lockoutMs: 1000}}}").limiter.rules.refill_ms == 60_000


async def test_a_file_that_says_the_same_changes_nothing_and_is_what_runs(start: Start) -> None:
    room = start()
    assert await room.reload("{auth: {token: '" + OLD + "'}}") == ((), ())
    assert room.judge.changes == 0
    assert room.config_file.applied.hash == room.config_file.read().hash


async def test_agents_models_runs_and_the_log_go_by_the_file_at_once(start: Start) -> None:
    room = start()
    applied, waiting = await room.reload(
        "{auth: {token: '" + OLD + "'}}",
        ", agents: {defaults: {timeoutSeconds: 5}, list: [{id: 'main', name: 'Ann'}, {id: 'two'}]}"
        ", models: {providers: {home: {baseUrl: 'http://127.0.0.1:9/v1', models: [{id: 'm'}]}}}"
        ", logging: {level: 'debug'}, ui: {assistant: {avatar: 'A'}}, env: {ANTHROPIC_API_KEY: 'k'}",
    )
    assert (applied, waiting) == (("agents", "models", "ui", "logging", "env"), ())
    assert [(each.agent_id, each.name, each.avatar) for each in room.agents.all] == [
        ("main", "Ann", "A"),
        ("two", None, "A"),
    ]
    assert str(room.catalog.default()) == "home/m"
    assert [each.key_from for each in room.catalog.providers() if each.name == "anthropic"] == ["env"]
    assert (room.timeouts, room.levels) == ([5000], ["debug"])


async def test_how_long_a_restart_waits_counts_at_once(start: Start) -> None:
    room = start()
    own = ", openclawd: {restart: {drainMs: 5}}"
    assert await room.reload("{auth: {token: '" + OLD + "'}}", own) == (("openclawd.restart",), ())
    assert room.access.loaded.config.openclawd.restart.drain_ms == 5


@pytest.mark.parametrize(
    ("mode", "restarts"), [("hybrid", True), ("restart", True), ("hot", False), ("off", False)]
)
async def test_whether_the_gateway_restarts_by_itself_is_said(
    start: Start, mode: str, restarts: bool
) -> None:
    room = start()
    room.write("{port: 1024, auth: {token: '" + OLD + "'}, reload: {mode: '" + mode + "'}}")
    reloaded = await room.access.reload()
    assert (reloaded.restart_required, reloaded.restarts) == (("gateway.port",), restarts)


async def test_a_flag_that_counts_in_place_of_the_file_is_named(start: Start) -> None:
    room = start(port=1023)
    room.write("{port: 1024, auth: {token: '" + OLD + "'}}")
    reloaded = await room.access.reload()
    assert reloaded.restart_required == ()
    assert reloaded.overridden == {"gateway.port": "--port"}


# --- what waits


async def test_what_needs_a_start_is_named_and_the_rest_counts(start: Start) -> None:
    room = start()
    applied, waiting = await room.reload(
        "{port: 1024, auth: {token: '" + NEW + "'}, controlUi: {basePath: 'ui'}}",
        ", agents: {list: [{id: 'other'}]}, session: {mainKey: 'home'}",
    )
    assert applied == ("gateway.auth.token",)
    assert waiting == ("gateway.port", "gateway.controlUi.basePath", "session", "agents")
    assert room.agents.default_id == "main"
    assert (room.access.settings.port, room.access.settings.control_ui.base_path) == (18789, "")
    assert room.config_file.applied.hash != room.config_file.read().hash
    # Taken back, nothing waits any more.
    assert await room.reload("{auth: {token: '" + NEW + "'}}") == (("agents",), ())


async def test_a_gateway_that_listens_on_the_network_is_not_opened(start: Start) -> None:
    room = start("{bind: 'lan', auth: {token: '" + OLD + "'}}")
    guest = room.enter("token")
    applied, waiting = await room.reload("{bind: 'loopback', auth: {mode: 'none'}}")
    assert (applied, waiting) == ((), ("gateway.auth.mode", "gateway.bind"))
    assert room.judge.policy.shared.mode == "token"
    assert guest.end_with is None


async def test_on_loopback_it_is_opened_at_once(start: Start) -> None:
    room = start()
    assert (await room.reload("{auth: {mode: 'none'}}"))[0] == ("gateway.auth.mode", "gateway.auth.token")
    assert room.judge.policy.shared.mode == "none"


async def test_without_a_token_in_the_file_the_one_in_force_stays_until_the_next_start(start: Start) -> None:
    room = start()
    guest = room.enter("token")
    assert await room.reload("{}") == ((), ("gateway.auth.token",))
    assert room.judge.policy.shared.configured is not None
    assert guest.end_with is None


async def test_the_token_of_the_command_line_goes_before_the_files(start: Start) -> None:
    room = start(token=OLD)
    assert await room.reload("{auth: {token: '" + NEW + "'}}") == ((), ())


async def test_a_token_file_is_read_again(start: Start, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(OLD)
    room = start("{}", token_file=str(tmp_path / "token"))
    (tmp_path / "token").write_text(NEW)
    assert await room.reload("{}") == (("gateway.auth.token",), ())
    (tmp_path / "token").unlink()
    with pytest.raises(ConfigError):
        await room.access.reload()


@pytest.mark.parametrize(
    "broken", ["{port: 'x'", "{port: 'x'}", "{prot: 1}", "{bind: 'lan', auth: {mode: 'none'}}"]
)
async def test_a_file_that_no_gateway_starts_with_changes_nothing(
    start: Start, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    room = start()
    guest = room.enter("token")
    room.write(broken)
    with caplog.at_level(logging.WARNING), pytest.raises(ConfigError):
        await room.access.reload()
    assert [record.message for record in caplog.records] == ["config not applied"]
    assert (room.judge.changes, guest.end_with) == (0, None)
    assert OLD not in caplog.text


async def test_a_broken_file_is_a_warning_until_it_is_mended_and_logged_once(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    room = start()
    for _ in range(3):
        room.write("{port: 'x'}")
        with pytest.raises(ConfigError):
            await room.access.reload()
    (warning,) = room.access.warnings
    assert 'gateway.port is "x"' in warning
    assert [record.message for record in caplog.records] == ["config not applied"]
    await room.reload("{auth: {token: '" + OLD + "'}}")
    assert room.access.warnings == ()
    assert room.told == [(warning,), ()]


@pytest.mark.parametrize("content", [None, "", "  // cut off here"])
async def test_a_file_that_has_gone_or_says_nothing_any_more_changes_nothing(
    start: Start, content: str | None
) -> None:
    room = start()
    room.file.unlink() if content is None else room.file.write_text(content)
    with pytest.raises(ConfigError, match="and had settings"):
        await room.access.reload()
    assert room.judge.policy.shared.token is not None
    room.file.write_text("{}")
    assert (await room.access.reload()).restart_required == ("gateway.auth.token",)


async def test_the_last_file_that_could_be_gone_by_is_kept(start: Start, tmp_path: Path) -> None:
    room = start()
    await room.access.keep_last_good()
    kept = tmp_path / "openclawd" / "config.last-good.json"
    assert kept.read_text() == room.file.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    await room.reload("{auth: {token: '" + NEW + "'}}")
    good = kept.read_text()
    assert NEW in good
    room.write("{port: 'x'}")
    with pytest.raises(ConfigError):
        await room.access.reload()
    assert kept.read_text() == good


async def test_a_good_file_that_cannot_be_kept_is_gone_by_all_the_same(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    room = start()
    (tmp_path / "openclawd").rmdir()
    assert (await room.reload("{auth: {token: '" + NEW + "'}}"))[0] == ("gateway.auth.token",)
    assert "last good config not kept" in caplog.text


@pytest.mark.parametrize("tls", ["{enabled: true}", "{enabled: true, certPath: '/c.pem'}"])
async def test_tls_is_switched_on_by_a_start_only(start: Start, tls: str) -> None:
    applied, waiting = await start().reload("{auth: {token: '" + OLD + "'}, tls: " + tls + "}")
    assert (applied, waiting) == ((), ("gateway.tls.enabled",))


def test_every_setting_either_counts_at_once_or_waits() -> None:
    page = {field.name for field in attrs.fields(ControlUiSettings)}
    own = {field.name for field in attrs.fields(GatewaySettings)} - {"control_ui"}
    assert {*LIVE, *AT_START} == own
    assert not LIVE.keys() & AT_START.keys()
    assert {*LIVE_PAGE, *AT_START_PAGE} == page
    assert {field.name for field in attrs.fields(Config)} == {
        *("gateway", "openclawd", "agents", "models", "session", "ui", "logging", "env", "update")
    }


# --- another token


async def test_a_new_token_is_written_and_in_force_and_leaves_the_comments(start: Start) -> None:
    room = start()
    room.file.write_text("{gateway: {auth: {token: '" + OLD + "' /* June */}}}")
    guest = room.enter("token")
    assert (await room.access.rotate_token()).applied == ("gateway.auth.token",)
    token = room.judge.policy.shared.token
    assert token is not None
    assert (len(token.reveal()), token.reveal() == OLD) == (48, False)
    assert room.file.read_text() == '{gateway: {auth: {token: "' + token.reveal() + '" /* June */}}}'
    assert guest.end_with is not None


@pytest.mark.parametrize("flag", ["token", "token_file"])
async def test_a_token_that_was_given_at_the_start_is_not_changed(
    start: Start, tmp_path: Path, flag: str
) -> None:
    (tmp_path / "token").write_text(OLD)
    room = start("{}", **{flag: OLD if flag == "token" else str(tmp_path / "token")})
    before = room.file.read_text()
    with pytest.raises(NotRotatable, match=f"given with --{flag.replace('_', '-')} when"):
        await room.access.rotate_token()
    assert room.file.read_text() == before
    assert room.judge.changes == 0


def test_forms_are_told_of_every_key_whether_it_needs_a_restart() -> None:
    asked = {*AT_START.values(), *AT_START_PAGE.values(), f"{TLS}.enabled", "session"}
    assert asked == NEEDS_RESTART
    kinds = {key: (lookup(key) or {})["reloadKind"] for key in (*asked, *LIVE.values(), *LIVE_PAGE.values())}
    assert {key for key, kind in kinds.items() if kind == "restart"} == asked | {TLS}
