"""The file as it is read: typed, strict, and with all that is wrong at once."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.agents.roster import roster
from openclawd.config.load import ConfigError, ConfigProblem, LoadedConfig, load_config, load_text
from openclawd.config.paths import Paths, resolve_paths

PATHS = Paths(state_dir=Path("/home/me/.openclaw"), config_file=Path("/home/me/.openclaw/openclaw.json"))


def load(text: str, **environ: str) -> LoadedConfig:
    return load_text(PATHS, text, environ)


def problems(text: str, **environ: str) -> tuple[ConfigProblem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(text, **environ)
    return caught.value.problems


def said(text: str, **environ: str) -> list[str]:
    return [problem.text() for problem in problems(text, **environ)]


# --- the file


def test_a_missing_file_is_an_empty_configuration(tmp_path: Path) -> None:
    loaded = load_config(resolve_paths({}, tmp_path), {})
    assert not loaded.exists
    assert loaded.config.gateway.port == 18789
    assert loaded.config.gateway.bind == "loopback"
    assert loaded.config.gateway.mode == "local"
    assert loaded.document == {}
    assert loaded.notices == ()


def test_the_hash_is_of_the_files_bytes(tmp_path: Path) -> None:
    paths = resolve_paths({"OPENCLAW_CONFIG_PATH": str(tmp_path / "x.json")}, tmp_path)
    paths.config_file.write_bytes(b"\xef\xbb\xbf{}\r\n")
    loaded = load_config(paths, {})
    assert loaded.exists
    assert loaded.raw == "\ufeff{}\r\n"
    assert loaded.hash == hashlib.sha256(b"\xef\xbb\xbf{}\r\n").hexdigest()


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_what_is_not_a_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "openclaw.json"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(ConfigError, match=r"not a file|[Dd]irectory"):
        load_config(Paths(state_dir=tmp_path, config_file=path), {})


@given(st.binary())
def test_arbitrary_bytes_load_or_raise_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary.json"
    path.write_bytes(data)
    with contextlib.suppress(ConfigError):
        load_config(Paths(state_dir=path.parent, config_file=path), {})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["gateway", "auth", "models", "providers", "agents", "list", "entries", "env", "vars"]
            )
            | st.sampled_from(
                ["port", "token", "controlUi", "defaults", "model", "id", "headers", "$include", "${A}"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["gateway", "agents", "models", "env", "session", "ui", "openclawd"]), JSON_VALUES
    )
)
def test_arbitrary_documents_load_or_raise_a_config_error(document: dict[str, object]) -> None:
    with contextlib.suppress(ConfigError):
        load(json.dumps(document))


# --- what is wrong


def test_every_problem_is_told_with_path_value_line_and_what_was_expected() -> None:
    text = """{
      gateway: {
        port: "18789",
        bind: "everywhere",
        auth: { mode: "tokn" },
        trustedProxies: ["10.0.0.0/8", "proxy"],
      },
      agents: { list: [{ id: "main" }, { id: 7 }] },
      session: { mainKey: null },
    }"""
    network = 'an IP address or network like "10.0.0.1" or "10.0.0.0/8"'
    assert said(text) == [
        'line 3: gateway.port is "18789", expected an integer from 1 to 65535',
        'line 4: gateway.bind is "everywhere", expected one of auto, lan, loopback, custom, tailnet',
        'line 5: gateway.auth.mode is "tokn", expected one of none, token, password, trusted-proxy',
        f'line 6: gateway.trustedProxies[1] is "proxy", expected {network}',
        "line 8: agents.list[1].id is 7, expected an agent id, a string that is not empty",
        "line 9: session.mainKey is null, expected a string that is not empty",
    ]


@pytest.mark.parametrize("innermost", ["1", "'x'", ""])
def test_as_deep_as_may_be_a_problem_still_has_its_line(innermost: str) -> None:
    deep = "[" * 62 + innermost + "]" * 62
    text = f"{{ui: {{a: {deep}}}, gateway: {{\n port: 0}}}}"
    assert said(text) == ["line 2: gateway.port is 0, expected an integer from 1 to 65535"]


@pytest.mark.parametrize("key", ["a", '"a"'])
def test_what_is_too_deep_is_told_with_its_line(key: str) -> None:
    deep = "[" * 64 + "]" * 64
    assert said(f"{{\n{key}: {deep}}}") == ["line 2: nested more than 64 levels deep"]


def test_the_text_names_the_file_and_ends_in_the_command_that_helps() -> None:
    with pytest.raises(ConfigError) as caught:
        load("{gateway: {port: 0}}")
    assert caught.value.text() == (
        "/home/me/.openclaw/openclaw.json:\n"
        "  line 1: gateway.port is 0, expected an integer from 1 to 65535\n"
        "Put it right, then check with: openclawd config validate"
    )


@pytest.mark.parametrize("value", ["true", "18789.5", "0", "65536", "null", "[]", "{}", "'1'", "NaN"])
def test_nothing_is_coerced_into_a_port(value: str) -> None:
    (problem,) = problems("{gateway: {port: " + value + "}}")
    assert problem.path == "gateway.port"
    assert problem.expected == "an integer from 1 to 65535"


@pytest.mark.parametrize("value", ["0", "'true'", "1", "null"])
def test_nothing_is_coerced_into_a_boolean(value: str) -> None:
    assert problems("{gateway: {controlUi: {enabled: " + value + "}}}")[0].expected == "true or false"


@pytest.mark.parametrize("value", ["Infinity", "NaN", "-1", "1" + 400 * "0", "true", "'1'", "null"])
def test_a_price_is_a_number_that_can_be_reckoned_with(value: str) -> None:
    tier = f"{{input: 1, output: 2, range: [{value}]}}"
    cost = f"{{input: {value}, output: 1, tieredPricing: [{tier}]}}"
    text = f"{{models: {{providers: {{x: {{baseUrl: 'http://h', models: [{{id: 'm', cost: {cost}}}]}}}}}}}}"
    at = "models.providers.x.models[0].cost"
    found = {(each.path, each.expected) for each in problems(text)}
    assert (f"{at}.tieredPricing[0].range[0]", "a number of 0 or more") in found


def test_a_count_is_one_that_can_be_told() -> None:
    model = "{id: 'm', contextWindow: 1e30}"
    text = f"{{models: {{providers: {{x: {{baseUrl: 'http://h', models: [{model}]}}}}}}}}"
    assert [each.expected for each in problems(text)] == ["an integer of 1 or more"]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("gateway: {prot: 1}", "gateway.port"),
        ("gatway: {}", "gateway"),
        ("gateway: {Port: 1}", "gateway.port"),
    ],
)
def test_a_misspelt_key_comes_with_the_one_that_was_meant(key: str, meant: str) -> None:
    (problem,) = problems("{" + key + "}")
    assert problem.hint == f"did you mean {meant}?"


def test_an_unknown_key_of_the_gateway_is_an_error() -> None:
    assert said("{gateway: {zzz: 1}}") == ["line 1: gateway.zzz: no such key"]
    assert said("{zzz: 1}") == ["line 1: zzz: no such key"]
    assert said("{openclawd: {zzz: 1}}") == ["line 1: openclawd.zzz: no such key"]


@pytest.mark.parametrize(
    "text",
    [
        "{gateway: {auth: {token: 12345678}}}",
        "{models: {providers: {x: {baseUrl: 'http://h', apiKey: [12345678]}}}}",
        "{env: {OPENAI_API_KEY: 12345678}}",
        "{models: {providers: {x: {baseUrl: 'http://h', headers: {Authorization: 12345678}}}}}",
    ],
)
def test_a_secret_of_the_wrong_type_is_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert "12345678" not in caught.value.text()


def test_an_include_is_refused_rather_than_ignored() -> None:
    assert "$include is not supported" in said("{gateway: {$include: './gateway.json5'}}")[0]
    assert "$include is not supported" in said("{$include: './all.json5'}")[0]


def test_a_provider_without_an_address_is_told_what_it_needs() -> None:
    assert said("{models: {providers: {'my.own': {}}}}") == [
        "line 1: models.providers['my.own']: needs baseUrl"
    ]


# --- what is kept


def test_stock_keys_that_are_not_read_are_named_in_one_notice() -> None:
    text = """{
      meta: {lastTouchedVersion: "2026.2.26"},
      gateway: {reload: {mode: "hot", deferralTimeoutMs: 1}, auth: {identityScopes: {}}},
      agents: {defaults: {heartbeat: {every: "2h"}}},
      channels: {telegram: {botToken: "${NOT_SET}"}},
    }"""
    names = (
        "gateway.reload.deferralTimeoutMs, gateway.auth.identityScopes, agents.defaults.heartbeat, channels"
    )
    assert load(text).notices == (f"kept for stock and not used here: {names}",)


def test_unread_gateway_keys_are_still_checked() -> None:
    assert said("{gateway: {reload: {mdoe: 'hot'}}}") == [
        "line 1: gateway.reload.mdoe: no such key (did you mean gateway.reload.mode?)"
    ]
    assert said("{gateway: {reload: {mode: 'warm'}}}") == [
        'line 1: gateway.reload.mode is "warm", expected one of off, restart, hot, hybrid'
    ]


def test_keys_of_later_releases_are_kept_where_stock_adds_them() -> None:
    loaded = load(
        "{agents: {defaults: {brandNew: 1}}, models: {providers: {x: {baseUrl: 'http://h', region: 'eu'}}}}"
    )
    assert loaded.notices[0].endswith("agents.defaults.brandNew, models.providers.x.region")


@pytest.mark.parametrize(
    "key",
    [
        "agents: {defaults: {pdfModel: 'x/y', pdfMaxPages: 3}}",
        "agents: {list: [{id: 'a', models: {}}, {id: 'b', cwd: '/x'}]}",
        "models: {providers: {x: {baseUrl: 'http://h', modelz2go: 1}}}",
    ],
)
def test_a_key_that_resembles_ours_but_is_no_slip_of_it_is_kept(key: str) -> None:
    assert load("{" + key + "}").notices


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("agents: {defaults: {modle: 'x/y'}}", "agents.defaults.model"),
        ("agents: {list: [{id: 'a', worspace: '/x'}]}", "agents.list[0].workspace"),
        ("session: {mainkey: 'x'}", "session.mainKey"),
    ],
)
def test_a_slip_is_told_where_stock_adds_keys_too(key: str, meant: str) -> None:
    (problem,) = problems("{" + key + "}")
    assert problem.hint == f"did you mean {meant}?"


def test_what_is_not_used_of_every_model_is_named_once() -> None:
    loaded = load(
        """{
          agents: {defaults: {thinkingDefault: 'low'}},
          models: {providers: {x: {baseUrl: 'http://h', models: [{id: 'a', api: 'y'}, {id: 'b', api: 'y'}]}}},
        }"""
    )
    assert loaded.notices[0].endswith("agents.defaults.thinkingDefault, models.providers.x.models[].api")


def test_quiet_hours_are_two_times_of_the_day() -> None:
    update = load("{openclawd: {update: {quietHours: '22:00-07:30', everyHours: 6}}}").config.openclawd.update
    assert (update.quiet_hours, update.every_hours) == ("22:00-07:30", 6)


@pytest.mark.parametrize(
    "times",
    [
        "22-7",
        "24:00-07:00",
        "22:60-07:00",
        "7:00-8:00",
        "07:00-07:00",
        "\u0660\u0667:00-08:00",
        "07:00",
        "07:00-08:00\n",
    ],
)
def test_other_times_are_refused_with_what_was_expected(times: str) -> None:
    (problem,) = said(json.dumps({"openclawd": {"update": {"quietHours": times}}}))
    assert "quietHours" in problem
    assert 'expected two times of the day like "22:00-07:00"' in problem


def test_an_empty_string_says_as_much_as_none() -> None:
    config = load(
        """{
          gateway: {customBindHost: '', controlUi: {root: ''}, auth: {token: ''}},
          agents: {defaults: {model: '', workspace: ' '}},
          session: {mainKey: ''},
          openclawd: {publicOrigin: '', update: {quietHours: ''}},
        }"""
    ).config
    assert attrs.asdict(config) == attrs.asdict(load("{}").config)
    assert said("{gateway: {port: '', bind: '', trustedProxies: ''}}")
    assert "expected a URL" in said("{models: {providers: {x: {baseUrl: ''}}}}")[0]


@pytest.mark.parametrize(
    ("given_id", "agent_id"),
    [("Work", "work"), (" My Agent! ", "my-agent"), ("日本", "main"), ("a" * 70, "a" * 64), ("_x", "_x")],
)
def test_any_string_can_be_an_agents_id_and_becomes_what_stock_makes_of_it(
    given_id: str, agent_id: str
) -> None:
    (agent,) = load(json.dumps({"agents": {"list": [{"id": given_id}]}})).config.agents.roster
    assert agent.id == agent_id


def test_of_two_agents_that_are_called_the_same_the_first_counts() -> None:
    agents = roster(
        load("{agents: {list: [{id: 'My Agent', name: 'A'}, {id: 'my-agent', name: 'B'}]}}").config,
        Path("/state"),
    )
    assert [(agent.agent_id, agent.name) for agent in agents.all] == [("my-agent", "A")]


def test_both_wire_generations_say_who_the_agents_are() -> None:
    v3 = load("{agents: {list: [{id: 'Main', model: 'openai/gpt'}, {id: 'work', default: true}]}}")
    v4 = load("{agents: {entries: {Main: {model: {primary: 'openai/gpt'}}, work: {default: true}}}}")
    assert [*map(attrs.asdict, v3.config.agents.roster)] == [*map(attrs.asdict, v4.config.agents.roster)]
    assert [agent.id for agent in v4.config.agents.roster] == ["main", "work"]
    assert v4.config.agents.roster[0].model.primary == "openai/gpt"


# --- variables


def test_a_variable_fills_a_string_that_is_read() -> None:
    loaded = load(
        """{
          gateway: {auth: {token: '${T}'}},
          models: {providers: {x: {baseUrl: 'http://${H}/v1', apiKey: '$${T}'}}},
        }""",
        T="s3cret",
        H="host",
    )
    token = loaded.config.gateway.auth.token
    provider = loaded.config.models.providers["x"]
    assert token is not None
    assert token.reveal() == "s3cret"
    assert provider.base_url == "http://host/v1"
    assert provider.api_key is not None
    assert provider.api_key.reveal() == "${T}"
    assert loaded.document["gateway"] == {"auth": {"token": "${T}"}}


@pytest.mark.parametrize("environ", [{}, {"MY_KEY": ""}])
def test_a_missing_variable_is_named(environ: dict[str, str]) -> None:
    text = "{\n gateway: {auth: {token: '${MY_KEY}'}}}"
    assert said(text, **environ) == ["line 2: gateway.auth.token: the environment variable MY_KEY is not set"]


def test_the_files_own_variables_count_where_the_environment_has_none() -> None:
    text = """{
      env: {A: 'file', vars: {B: 'file', C: '${A}'}, shellEnv: {enabled: true}},
      gateway: {auth: {token: '${B}'}},
    }"""
    loaded = load(text, A="process", B=" ")
    assert loaded.environ == {"A": "process", "B": "file", "C": "process"}
    assert loaded.config.gateway.auth.token is not None
    assert loaded.config.gateway.auth.token.reveal() == "file"


def test_a_providers_secret_from_elsewhere_counts_as_none_and_is_named() -> None:
    reference = "{source: 'exec', provider: 'vault', id: 'a/b'}"
    provider = "{baseUrl: 'http://h', apiKey: REF, headers: {'X-Key': REF, 'X-Other': 'o'}}".replace(
        "REF", reference
    )
    loaded = load("{models: {providers: {x: " + provider + "}}}")
    assert loaded.config.models.providers["x"].api_key is None
    assert list(loaded.config.models.providers["x"].headers) == ["X-Other"]
    assert len(loaded.notices) == 1
    assert "models.providers.x.apiKey, models.providers.x.headers.X-Key" in loaded.notices[0]
    assert "not read" in loaded.notices[0]


def test_stocks_reference_to_a_variable_is_followed_and_the_gateways_own_must_be_one() -> None:
    reference = "{source: 'SOURCE', provider: 'default', id: 'K'}"
    text = "{models: {providers: {x: {baseUrl: 'http://h', apiKey: " + reference + "}}}}"
    loaded = load(text.replace("SOURCE", "env"), K="s3cret")
    key = loaded.config.models.providers["x"].api_key
    assert key is not None
    assert key.reveal() == "s3cret"
    assert "not set" in said(text.replace("SOURCE", "env"))[0]
    own = "{gateway: {auth: {token: " + reference.replace("SOURCE", "exec") + "}}}"
    assert "is supported here" in said(own, K="x")[0]


def test_printing_what_was_loaded_shows_no_secret() -> None:
    loaded = load("{gateway: {auth: {token: 's3cret'}}, env: {K: 's3cret'}}", X="s3cret")
    assert "s3cret" not in repr(loaded)
