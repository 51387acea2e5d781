"""The witness is believed when it is silent, so it is shown what it must see."""

import pytest

from tests.browser.pages import Visitor
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

ELSEWHERE = "https://elsewhere.invalid"
DEEDS = {
    f"new Image().src = '{ELSEWHERE}/pixel.png'": "Content Security Policy",
    "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))": "inline script",
    f"fetch('{ELSEWHERE}/report').catch(() => 0)": f"{ELSEWHERE}/report",
    "new WebSocket('wss://elsewhere.invalid/spy')": "wss://elsewhere.invalid/spy",
    "setTimeout(() => { throw new Error('lost'); })": "page error: lost",
    "console.error('trouble')": "console error: trouble",
    "setTimeout(() => alert('boo'))": "dialog: boo",
}


def test_the_witness_sees_what_no_page_may_do(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.open(gateway.url)
    chat.witness.check()
    for deed in DEEDS:
        chat.page.evaluate(f"() => {{ {deed}; }}")
    # Let what was set off come to pass.
    chat.page.wait_for_timeout(300)
    with pytest.raises(AssertionError) as caught:
        chat.witness.check()
    assert [seen for seen in DEEDS.values() if seen not in str(caught.value)] == []
    chat.witness.allow(".*")
