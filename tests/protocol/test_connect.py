"""`connect.params`: v3's fields, v4's additions, nothing else."""

import pytest

from openclawd.protocol.codec import InvalidValue, structure
from openclawd.protocol.connect import ConnectParams

MINIMAL: dict[str, object] = {
    "minProtocol": 3,
    "maxProtocol": 3,
    "client": {"id": "cli", "version": "1.0.0", "platform": "linux", "mode": "cli"},
}


def test_what_is_absent_has_the_stock_defaults() -> None:
    params = structure(MINIMAL, ConnectParams)
    assert (params.role, params.scopes, params.caps) == ("operator", (), ())
    assert params.auth is None
    assert params.device is None


def test_a_full_v4_connect_fits() -> None:
    params = structure(
        {
            "minProtocol": 4,
            "maxProtocol": 4,
            "client": {
                "id": "openclaw-tui",
                "version": "1",
                "platform": "linux",
                "mode": "worker",
                "displayName": "d",
                "deviceFamily": "f",
                "modelIdentifier": "m",
                "instanceId": "i",
                "buildId": "b",
                "timeZone": "Europe/Berlin",
            },
            "caps": ["tool-events"],
            "commands": ["camera.snap"],
            "permissions": {"camera": True},
            "pathEnv": "/bin",
            "computerUse": {"anything": [1]},
            "workerRuns": {"bundleHash": "a" * 64, "openclawVersion": "1", "protocolFeatures": []},
            "modelCatalog": {"sessionKey": "main"},
            "role": "node",
            "scopes": ["operator.read"],
            "device": {"id": "d", "publicKey": "k", "signature": "s", "signedAt": 0, "nonce": "n"},
            "auth": {"token": "t", "deviceToken": "d", "password": "p", "bootstrapToken": "b"},
            "locale": "de",
            "userAgent": "u",
        },
        ConnectParams,
    )
    assert params.client.time_zone == "Europe/Berlin"


def test_resume_is_a_position_or_the_question_for_one() -> None:
    resume = structure({**MINIMAL, "resume": {"epoch": "e", "seq": 0}}, ConnectParams).resume
    assert resume is not None
    assert (resume.epoch, resume.seq) == ("e", 0)
    asked = structure({**MINIMAL, "resume": {}}, ConnectParams).resume
    assert asked is not None
    assert (asked.epoch, asked.seq) == (None, None)


@pytest.mark.parametrize(
    "resume",
    [
        None,
        [],
        {"seq": -1},
        {"seq": "1"},
        {"seq": 1.0},
        {"seq": None},
        {"epoch": ""},
        {"epoch": "e" * 129},
        {"epoch": "e", "seq": 1, "more": 1},
    ],
    ids=str,
)
def test_a_position_of_another_form_is_refused(resume: object) -> None:
    with pytest.raises(InvalidValue):
        structure({**MINIMAL, "resume": resume}, ConnectParams)


def test_an_unknown_client_is_refused_in_the_stock_words() -> None:
    client = {"id": "bogus", "version": "1", "platform": "linux", "mode": "cli"}
    with pytest.raises(InvalidValue) as caught:
        structure({**MINIMAL, "client": client}, ConnectParams)
    assert caught.value.text() == (
        "at /client/id: must be equal to constant; at /client/id: must match a schema in anyOf"
    )


def test_no_secret_shows_in_a_repr() -> None:
    auth = {"token": "canary1", "deviceToken": "canary2", "password": "canary3", "bootstrapToken": "canary4"}
    assert "canary" not in repr(structure({**MINIMAL, "auth": auth}, ConnectParams))
