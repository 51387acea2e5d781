"""A secret shows itself only to who asks for it by name."""

import copy
import pickle

import orjson
import pytest

from openclawd.config.secret import Secret


def test_no_form_of_printing_shows_the_text() -> None:
    secret = Secret("s3cret")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!s:>20}", f"{secret:>20}", repr([secret])]
    assert not any("s3cret" in text for text in shown)


def test_reveal_gives_the_text() -> None:
    assert Secret("s3cret").reveal() == "s3cret"


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret("x")


def test_equal_texts_are_equal_secrets_and_a_plain_string_is_none() -> None:
    assert Secret("é\udcff") == Secret("é\udcff")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_it_cannot_be_pickled_copied_or_encoded() -> None:
    secret = Secret("s3cret")
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    with pytest.raises(TypeError):
        orjson.dumps({"token": secret})
