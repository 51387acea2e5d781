"""`Authorization: Bearer`: who may, who may not, and who has to wait."""

import json
import logging
from http import HTTPStatus

import attrs
import pytest
import trio
from trio.testing import MockClock

from openclawd.auth.bearer import BearerVerdict
from openclawd.auth.charges import Charge
from openclawd.auth.credentials import SharedAuth
from openclawd.auth.locality import Locality, Peer
from openclawd.auth.policy import Policy
from openclawd.auth.tries import Kind, Outcome, Source, Verdict
from openclawd.net.bearer import Bearers
from openclawd.net.guard import Caller
from openclawd.net.http import Request, Response
from openclawd.net.refusal_log import RefusalLog

ALLOWED = BearerVerdict(ok=True)


def refused(reason: str = "token_mismatch", *, delay_ms: int = 0, retry_after_ms: int = 0) -> BearerVerdict:
    outcome = Outcome.EMPTY if retry_after_ms else Outcome.EXAMINE
    verdict = Verdict(outcome, delay_ms=delay_ms, retry_after_ms=retry_after_ms)
    return BearerVerdict(ok=False, reason=reason, charge=Charge(Source("192.168.1.20"), Kind.TOKEN, verdict))


@attrs.define
class Judge:
    verdict: BearerVerdict = ALLOWED
    policy: Policy = attrs.field(factory=lambda: Policy(SharedAuth("token")))
    asked: list[str | None] = attrs.field(factory=list)

    def judge_bearer(self, _peer: Peer, credential: str | None, _now_ms: int) -> BearerVerdict:
        self.asked.append(credential)
        return self.verdict


CALLER = Caller(Peer("192.168.1.20"), Locality("192.168.1.20", "gw", is_local=False), is_owner=False)


async def refusal(judge: Judge, authorization: str | None) -> Response | None:
    log = RefusalLog(logging.getLogger("openclawd.test"), now_s=lambda: 0.0)
    headers = () if authorization is None else (("authorization", authorization),)
    request = Request("GET", "/metrics", "/metrics", {}, headers)
    return await Bearers(judge, now_ms=lambda: 0, refusals=log).refusal(request, CALLER)


@pytest.mark.parametrize(
    ("authorization", "credential"),
    [
        ("Bearer secret", "secret"),
        ("bearer   secret ", "secret"),
        ("BEARER two words", "two words"),
        (None, None),
        ("Bearer", None),
        ("Bearer  ", None),
        ("secret", None),
        ("Basic c2VjcmV0", None),
    ],
)
async def test_the_judge_gets_what_was_presented(authorization: str | None, credential: str | None) -> None:
    judge = Judge()
    assert await refusal(judge, authorization) is None
    assert judge.asked == [credential]


async def test_who_may_not_gets_stocks_401(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "openclawd.test")
    answer = await refusal(Judge(refused()), "Bearer wrong")
    assert answer is not None
    assert answer.status is HTTPStatus.UNAUTHORIZED
    assert ("WWW-Authenticate", "Bearer") in answer.headers
    assert json.loads(answer.body) == {"error": {"message": "Unauthorized", "type": "unauthorized"}}
    fields = vars(caplog.records[0])["fields"]
    assert (fields["reason"], fields["presented"], fields["path"]) == ("token_mismatch", "bearer", "/metrics")
    assert fields["next"] == "openclawd dashboard"
    assert "wrong" not in str(fields)


async def test_who_guessed_too_often_gets_stocks_429() -> None:
    answer = await refusal(Judge(refused("rate_limited", retry_after_ms=29_001)), "Bearer x")
    assert answer is not None
    assert answer.status is HTTPStatus.TOO_MANY_REQUESTS
    assert ("Retry-After", "30") in answer.headers
    assert json.loads(answer.body) == {
        "error": {
            "message": "Too many failed authentication attempts. Please try again later.",
            "type": "rate_limited",
        }
    }


@pytest.mark.parametrize("ok", [True, False])
async def test_right_and_wrong_are_answered_after_the_same_time(autojump_clock: MockClock, ok: bool) -> None:
    began_s = trio.current_time()
    await refusal(Judge(attrs.evolve(refused(delay_ms=4000), ok=ok)), "Bearer x")
    assert trio.current_time() - began_s == pytest.approx(4.0)


async def test_a_secret_that_was_changed_meanwhile_is_none(autojump_clock: MockClock) -> None:
    judge = Judge(attrs.evolve(refused("", delay_ms=4000), ok=True))

    async def change() -> None:
        judge.policy = Policy(SharedAuth("token"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        answer = await refusal(judge, "Bearer old")
    assert answer is not None
    assert answer.status is HTTPStatus.UNAUTHORIZED
