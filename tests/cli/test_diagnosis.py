"""What a browser or a command met, and the one command that mends it."""

import pytest

from openclawd.cli.diagnosis import SKEW_FAILED_MS, SKEW_NOTED_MS, Diagnosis
from openclawd.cli.finding import Verdict
from openclawd.cli.place import Place, place_of
from openclawd.cli.replay import Handshake, Page

HTML = {"content-type": "text/html; charset=utf-8"}
HERE = Diagnosis(Place("127.0.0.1", 18789), here=True)
THERE = Diagnosis(Place("gw.example", 443, tls=True), here=False)
ADMITTED = Handshake(hello={}, skew_ms=0)


def refused(code: str, message: str = "unauthorized", **more: object) -> Handshake:
    error = {"code": "INVALID_REQUEST", "message": message, "details": {"code": code}, **more}
    return Handshake(skew_ms=0, error=error, close=(1008, message))


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("http://127.0.0.1:18789/", "http://127.0.0.1:18789", "127.0.0.1:18789"),
        ("https://GW.example/claw/", "https://gw.example", "gw.example"),
        ("wss://gw.example:443/", "https://gw.example", "gw.example"),
        ("ws://[::1]:80", "http://[::1]", "[::1]"),
        ("https://gw.example:8443", "https://gw.example:8443", "gw.example:8443"),
    ],
)
def test_an_address_gives_the_origin_and_the_host_that_a_browser_sends(
    url: str, origin: str, authority: str
) -> None:
    place = place_of(url)
    assert (place.origin, place.authority) == (origin, authority)


@pytest.mark.parametrize(
    ("page", "cure"),
    [
        (Page(200, HTML, "<title>openclawd</title>"), None),
        (Page(404, HTML, ""), "openclawd dashboard"),
        (Page(502, HTML, "bad gateway"), "openclawd gateway status"),
        (Page(302, {"location": "/claw/"}, ""), "openclawd doctor --url /claw/"),
        (
            Page(421, HTML, "<h1>Unknown &lt;name&gt;</h1><p>why</p><pre>openclawd config set a b</pre>"),
            "openclawd config set a b",
        ),
        (
            Page(400, {}, "This port speaks TLS only. Use https://x"),
            "openclawd doctor --url https://127.0.0.1:18789/",
        ),
    ],
)
def test_a_page_that_does_not_come_gets_its_cure(page: Page, cure: str | None) -> None:
    found = HERE.page(page)
    assert found.cure == cure
    assert found.verdict is (Verdict.OK if cure is None else Verdict.FAILED)


def test_the_words_of_a_refusal_page_are_shown_as_text() -> None:
    found = HERE.page(Page(403, HTML, "<h1>Not &lt;you&gt;</h1><p>Because.</p><pre>openclawd x</pre>"))
    assert found.said == "Not <you>\nBecause."


@pytest.mark.parametrize(
    ("skew_ms", "verdict"),
    [
        (0, Verdict.OK),
        (-(SKEW_NOTED_MS - 1), Verdict.OK),
        (SKEW_NOTED_MS, Verdict.NOTE),
        (-SKEW_FAILED_MS, Verdict.FAILED),
    ],
)
def test_a_clock_that_is_far_off_is_said_before_devices_are_refused_for_it(
    skew_ms: int, verdict: Verdict
) -> None:
    found = HERE.clock(Handshake(skew_ms=skew_ms))
    assert found is not None
    assert found.verdict is verdict


@pytest.mark.parametrize(
    ("handshake", "cure"),
    [
        (refused("AUTH_RATE_LIMITED", retryAfterMs=30_000), "openclawd gateway limits --clear-all"),
        (
            refused("X", "origin not allowed (…)"),
            "openclawd config set openclawd.publicOrigin https://gw.example",
        ),
        (refused("AUTH_TOKEN_NOT_CONFIGURED"), "openclawd gateway token rotate"),
        (refused("SOMETHING_NEW"), "openclawd logs"),
        (Handshake(skew_ms=0, close=(1008, "slow")), "openclawd logs"),
        (Handshake(), "openclawd status"),
    ],
)
def test_a_refusal_elsewhere_is_mended_on_the_gateways_machine(handshake: Handshake, cure: str) -> None:
    found = THERE.entry("browser", handshake, None, with_secret=True)
    assert (found.verdict, found.cure) == (Verdict.FAILED, f"on the gateway's machine: {cure}")


def test_a_mismatch_elsewhere_asks_for_the_right_secret_in_a_file() -> None:
    for code, flag in (
        ("AUTH_TOKEN_MISMATCH", "--token-file"),
        ("AUTH_PASSWORD_MISMATCH", "--password-file"),
    ):
        found = THERE.entry("browser", refused(code), None, with_secret=True)
        assert found.cure == f"give the gateway's own: openclawd doctor --url https://gw.example {flag} FILE"


def test_a_limit_says_when_it_opens() -> None:
    limited = refused("AUTH_RATE_LIMITED", retryAfterMs=30_000)
    assert THERE.entry("browser", limited, None, with_secret=True).said.endswith("it opens again in 30 s")


@pytest.mark.parametrize("code", ["AUTH_TOKEN_MISSING", "AUTH_PASSWORD_MISSING", "DEVICE_IDENTITY_REQUIRED"])
def test_being_asked_for_a_secret_is_well_when_none_was_shown(code: str) -> None:
    assert THERE.entry("browser", refused(code), None, with_secret=False).verdict is Verdict.OK
    assert THERE.entry("browser", refused(code), None, with_secret=True).verdict is Verdict.FAILED


def test_the_gateways_own_record_knows_best() -> None:
    record = {"reason": "rate_limited", "source": "origin:x", "next": "openclawd gateway limits --clear x"}
    found = HERE.entry("browser", refused("AUTH_RATE_LIMITED"), record, with_secret=True)
    assert found.cure == record["next"]
    assert found.record == {"reason": "rate_limited", "source": "origin:x"}


def test_without_a_record_what_the_client_was_told_is_shown() -> None:
    found = THERE.entry("browser", refused("AUTH_TOKEN_MISMATCH", "no"), None, with_secret=True)
    assert found.record == {
        "message": "no",
        "code": "AUTH_TOKEN_MISMATCH",
        "closeCode": 1008,
        "closeReason": "no",
    }


def test_an_admission_says_by_what() -> None:
    assert (
        HERE.entry("browser", ADMITTED, {"credential": "token"}, with_secret=True).said == "admitted by token"
    )
    assert THERE.entry("browser", ADMITTED, None, with_secret=True).said == "admitted"


@pytest.mark.parametrize(
    ("handshake", "words"),
    [
        (Handshake(status=404), "does not pass the upgrade on"),
        (Handshake(status=503), "stopping, or full"),
        (Handshake(skew_ms=0, close=(1013, "gateway busy")), "closed: 1013 gateway busy"),
    ],
)
def test_who_gets_no_answer_learns_where_it_ended(handshake: Handshake, words: str) -> None:
    assert words in THERE.entry("browser", handshake, None, with_secret=False).said
