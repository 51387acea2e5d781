"""The witness is believed when it is silent, so it is shown what it must see."""

import pytest

from tests.browser.pages import Visitor
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

ELSEWHERE = "https://elsewhere.invalid"


@pytest.mark.parametrize(
    ("deed", "seen"),
    [
        (f"new Image().src = '{ELSEWHERE}/pixel.png'", "Content Security Policy"),
        (
            "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))",
            "inline script",
        ),
        (f"fetch('{ELSEWHERE}').catch(() => {{}})", "Content Security Policy"),
        (f"void new WebSocket('{ELSEWHERE.replace('http', 'ws')}')", ""),
        ("void setTimeout(() => { throw new Error('lost') })", "page error: lost"),
        ("console.error('trouble')", "console error: trouble"),
        ("void setTimeout(() => alert('boo'))", "dialog: boo"),
    ],
)
def test_the_witness_sees(visitor: Visitor, gateway: GatewayProcess, deed: str, seen: str) -> None:
    chat = visitor.open(gateway.url)
    chat.page.evaluate(f"() => {{ try {{ {deed} }} catch {{ console.error('caught') }} }}")
    chat.page.wait_for_timeout(100)
    with pytest.raises(AssertionError, match=seen):
        chat.witness.check()
    chat.witness.allow(".*")
