"""The guard before the routes: what it answers to whom it refuses, and what the log says."""

import logging
from http import HTTPStatus
from typing import Any

import attrs
import pytest

from openclawd.auth.credentials import SharedAuth
from openclawd.auth.locality import Peer, peer_from_headers
from openclawd.auth.origins import OriginRules
from openclawd.auth.policy import Policy
from openclawd.net.guard import Caller, Guard
from openclawd.net.http import Request, Response
from openclawd.net.refusal_log import RefusalLog

OWN_UID = 1000


@attrs.define
class House:
    policy: Policy = attrs.field(factory=lambda: Policy(SharedAuth("token"), own_uid=OWN_UID))
    guard: Guard = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        log = RefusalLog(logging.getLogger("openclawd.test"), now_s=lambda: 0.0)
        self.guard = Guard(lambda: self.policy, log)

    def ask(
        self, path: str = "/", method: str = "GET", *, unix_uid: int | None = None, **headers: str
    ) -> Caller | Response:
        """A request of 127.0.0.1 to localhost, with these headers: `sec_fetch_site="none"`."""
        named = {"host": "localhost"} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(method, path, path, {}, tuple(named.items()))
        peer: Peer = attrs.evolve(peer_from_headers("127.0.0.1", 1, named.items()), unix_uid=unix_uid)
        return self.guard.admit(request, peer)

    def refusal(self, *arguments: Any, **headers: Any) -> Response:
        answer = self.ask(*arguments, **headers)
        assert isinstance(answer, Response)
        return answer


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "openclawd.test")


def test_who_passes_is_known_to_the_routes(house: House) -> None:
    caller = house.ask()
    assert isinstance(caller, Caller)
    assert caller.locality.is_local
    assert not caller.is_owner
    on_socket = house.ask(unix_uid=OWN_UID)
    assert isinstance(on_socket, Caller)
    assert on_socket.is_owner
    other = house.ask(unix_uid=OWN_UID + 1)
    assert isinstance(other, Caller)
    assert not other.is_owner
    assert not other.locality.is_local


def test_an_unknown_name_is_answered_with_the_command_that_makes_it_known(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    answer = house.refusal("/chat", host="claw.example.com:18789")
    assert answer.status is HTTPStatus.MISDIRECTED_REQUEST
    text = answer.body.decode()
    assert "claw.example.com" in text
    assert text.endswith("\n\n  openclawd config set openclawd.publicOrigin http://claw.example.com:18789\n")
    (record,) = caplog.records
    assert record.message == "refused"
    assert vars(record)["fields"] == {
        "reason": "host-not-known",
        "address": "127.0.0.1",
        "host": "claw.example.com:18789",
        "method": "GET",
        "path": "/chat",
        "next": "if the name is yours: openclawd config set openclawd.publicOrigin http://claw.example.com:18789",
    }


def test_the_command_does_what_it_says(house: House) -> None:
    house.policy = attrs.evolve(
        house.policy, origins=OriginRules(public_origin="http://claw.example.com:18789")
    )
    assert isinstance(house.ask(host="claw.example.com:18789"), Caller)
    assert isinstance(
        house.ask(method="POST", host="claw.example.com:18789", origin="http://claw.example.com:18789"),
        Caller,
    )


def test_a_browser_gets_a_page_that_can_do_nothing(house: House) -> None:
    answer = house.refusal(host="evil.example", accept="text/html,*/*;q=0.8")
    headers = dict(answer.headers)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert b"<pre>openclawd config set openclawd.publicOrigin https://evil.example</pre>" in answer.body


@pytest.mark.parametrize("header", ["host", "origin"])
def test_what_a_stranger_wrote_is_text_on_the_page_and_no_part_of_a_command(
    house: House, header: str
) -> None:
    evil = 'a"><script>alert(1)</script>;reboot $(id)'
    answer = house.refusal(accept="text/html", **{header: evil})
    assert b"<script" not in answer.body
    assert b"&lt;script&gt;" in answer.body
    assert b"<pre>openclawd dashboard</pre>" in answer.body


def test_a_header_of_any_length_takes_a_line_of_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.refusal(origin="https://" + "a" * 10_000, path="/" + "b" * 10_000)
    (record,) = caplog.records
    assert len(str(vars(record)["fields"])) < 1000


@pytest.mark.parametrize(
    ("headers", "reason", "command"),
    [
        (
            {"origin": "https://gw.example.com"},
            "origin-not-allowed",
            "openclawd config set openclawd.publicOrigin https://gw.example.com",
        ),
        ({"origin": "null"}, "origin-not-allowed", "openclawd dashboard"),
        ({"sec_fetch_site": "cross-site"}, "cross-site-request", "openclawd dashboard"),
        ({"sec_fetch_site": "same-origin", "sec_fetch_dest": "iframe"}, "framed", "openclawd dashboard"),
    ],
)
def test_every_other_refusal_is_a_403_with_the_next_step(
    house: House, caplog: pytest.LogCaptureFixture, headers: dict[str, str], reason: str, command: str
) -> None:
    answer = house.refusal(**headers)
    assert answer.status is HTTPStatus.FORBIDDEN
    assert answer.body.decode().endswith(f"\n\n  {command}\n")
    fields = vars(caplog.records[0])["fields"]
    assert (fields["reason"], fields["next"].removeprefix("if the page is yours: ")) == (reason, command)


@pytest.mark.parametrize("path", ["/health", "/healthz", "/ready", "/readyz"])
def test_probes_are_answered_under_any_name(house: House, path: str) -> None:
    assert isinstance(house.ask(path, host="10-0-0-7.pods.example"), Caller)
    assert isinstance(house.ask(f"{path}/x", host="10-0-0-7.pods.example"), Response)
    assert isinstance(house.ask(path, origin="https://evil.example"), Response)
