"""OLLAMA_HOST and /api/tags, as Ollama's own client reads them."""

import pytest

from openclawd.agents.ollama import base_url, chat_models


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("10.0.0.5", "http://10.0.0.5:11434"),
        (":5678", "http://127.0.0.1:5678"),
        ("http://box:5678", "http://box:5678"),
        ("http://box", "http://box:80"),
        ("https://ollama.example", "https://ollama.example:443"),
        ("https://ollama.example/behind/", "https://ollama.example:443/behind"),
        ("[::1]:1234", "http://[::1]:1234"),
        ("[::]", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        (' "box" ', "http://box:11434"),
    ],
)
def test_ollama_host_names_a_place_in_many_ways(host: str, url: str) -> None:
    assert base_url({"OLLAMA_HOST": host}) == url


def test_models_that_only_embed_are_left_out() -> None:
    tags = {
        "models": [
            {"name": "nomic-embed-text:latest", "details": {"family": "nomic-bert"}},
            {"name": "gemma3:4b", "details": {"family": "gemma3"}},
            {"name": "all-minilm:33m", "details": {"family": "bert"}},
            {"name": "hf.co/someone/Model-GGUF:Q4_K_M"},
        ]
    }
    assert chat_models(tags) == ["gemma3:4b", "hf.co/someone/Model-GGUF:Q4_K_M"]


@pytest.mark.parametrize(
    "tags", [None, [], {}, {"models": None}, {"models": [1, {}, {"name": 5}, {"name": ""}]}]
)
def test_nonsense_is_no_model(tags: object) -> None:
    assert chat_models(tags) == []
