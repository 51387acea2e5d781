"""What was shown with its secrets covered and came back so is whole again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.config.covered import StillCovered, uncovered
from openclawd.config.reading import parse
from openclawd.config.redact import REDACTED, redact, redact_text

FILE = """{
  // the token was hunter-22 before
  gateway: { auth: { token: 'S3CRET', password: "o\\u0074her" } },
  models: { providers: {
    a: { baseUrl: "https://me:pass@host/v1", apiKey: "key-a", headers: { "X-One": "one" } },
    b: { baseUrl: "https://b/v1", apiKey: '${B_KEY}', models: [{ id: "m", maxTokens: 5 }] },
  } },
  hooks: { tokens: ["t1", "t2"], list: [{ id: "x", token: "tx" }, { id: "y", token: "ty" }] },
}
"""


def shown(text: str) -> str:
    return redact_text(text, parse(text))


def test_the_raw_text_as_it_was_shown_becomes_the_file_again() -> None:
    assert "S3CRET" not in shown(FILE)
    assert "hunter-22" not in shown(FILE).replace("hunter-22 before", "")
    assert uncovered(shown(FILE), FILE) == FILE


def test_the_document_as_it_was_shown_says_the_same_again() -> None:
    sent = json.dumps(redact(parse(FILE)))
    assert REDACTED in sent
    assert parse(uncovered(sent, FILE)) == parse(FILE)


def test_an_edit_beside_the_secrets_stays() -> None:
    sent = shown(FILE).replace("https://b/v1", "https://c/v1")
    assert uncovered(sent, FILE) == FILE.replace("https://b/v1", "https://c/v1")


def test_a_new_secret_is_taken_as_it_is() -> None:
    sent = shown(FILE).replace(f'token: "{REDACTED}", password', 'token: "fresh", password')
    assert parse(uncovered(sent, FILE))["gateway"] == {"auth": {"token": "fresh", "password": "other"}}


def test_a_comment_gets_its_words_back() -> None:
    text = "{ a: 1, // token: one\n b: 2, // token: two\n}"
    sent = shown(text)
    assert "one" not in sent
    assert uncovered(sent.replace("a: 1", 'a: 1, c: "x"'), text) == text.replace("a: 1", 'a: 1, c: "x"')


def test_an_item_is_the_same_item_by_its_id_wherever_it_stands() -> None:
    sent = redact(parse(FILE))
    hooks: Any = sent["hooks"]
    hooks["list"].reverse()
    hooks["list"].insert(0, {"id": "new"})
    whole: Any = parse(uncovered(json.dumps(sent), FILE))
    assert whole["hooks"]["list"] == [{"id": "new"}, {"id": "y", "token": "ty"}, {"id": "x", "token": "tx"}]


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        # no such place in the file
        ({"gateway": {"remote": {"token": REDACTED}}}, "gateway.remote.token"),
        # another provider's key is not this one's
        ({"models": {"providers": {"renamed": {"apiKey": REDACTED}}}}, "models.providers.renamed.apiKey"),
        # nobody can tell which of two is left
        ({"hooks": {"tokens": [REDACTED]}}, "hooks.tokens[0]"),
        ({"hooks": {"list": [{"id": "z", "token": REDACTED}]}}, "hooks.list[0].token"),
        # an object stands there
        ({"gateway": {"auth": REDACTED}}, "gateway.auth"),
    ],
)
def test_no_place_gets_the_secret_of_another(sent: object, place: str) -> None:
    with pytest.raises(StillCovered) as refused:
        uncovered(json.dumps(sent), FILE)
    assert [problem.path for problem in refused.value.problems] == [place]


def test_items_that_share_an_id_keep_their_own_secrets_or_none() -> None:
    twins = "{hooks: {list: [{id: 'a', token: 'one'}, {id: 'a', token: 'two'}]}}"
    assert uncovered(shown(twins), twins) == twins
    one, two = "{id: 'a', token: 'one'}", "{id: 'a', token: 'two'}"
    only_one = shown(twins.replace(f"{one}, {two}", two))
    with pytest.raises(StillCovered):
        uncovered(only_one, twins)


def test_every_placeholder_that_nobody_can_fill_is_named_with_its_line() -> None:
    sent = f"{{\n a: '{REDACTED}',\n b: '{REDACTED}' }}"
    with pytest.raises(StillCovered) as refused:
        uncovered(sent, "{}")
    assert [(problem.path, problem.line) for problem in refused.value.problems] == [("a", 2), ("b", 3)]


def test_a_file_that_lost_its_secrets_before_does_not_keep_the_loss() -> None:
    text = f'{{gateway: {{auth: {{token: "{REDACTED}"}}}}}}'
    with pytest.raises(StillCovered):
        uncovered(text, text)


SECRETS = st.dictionaries(
    st.sampled_from(["token", "apiKey", "password", "plain", "port"]),
    st.recursive(
        st.text("abc\"'\\/é", max_size=8) | st.integers(0, 99) | st.booleans(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)


@given(SECRETS)
def test_showing_and_taking_back_changes_nothing(document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=1)
    assert uncovered(shown(text), text) == text
    assert parse(uncovered(json.dumps(redact(document)), text)) == document
