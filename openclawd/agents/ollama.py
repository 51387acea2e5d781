"""Where an Ollama is and which of its models can chat.

OLLAMA_HOST is read as Ollama's own client reads it: a host, a port, both, or a URL; 0.0.0.0 and [::] mean
this machine. Ollama speaks chat completions at /v1 and lists its models at /api/tags, newest first.
"""

from collections.abc import Mapping
from typing import Final

DEFAULT_PORT: Final = 11434

# Models that turn text into numbers, not into answers.
_EMBEDDING_FAMILIES: Final = ("bert", "nomic-bert", "embed", "bge-", "all-minilm")


def base_url(environ: Mapping[str, str]) -> str:
    """The root of Ollama's HTTP interface, without a slash at the end."""
    text = environ.get("OLLAMA_HOST", "").strip().strip("\"'")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    authority, slash, path = rest.partition("/")
    host, port = _host_and_port(authority)
    if not port:
        port = str({"http": 80, "https": 443}.get(scheme, DEFAULT_PORT) if separator else DEFAULT_PORT)
    if host in {"", "0.0.0.0"}:
        host = "127.0.0.1"
    elif host in {"::", "[::]"}:
        host = "[::1]"
    elif ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{scheme}://{host}:{port}{(slash + path).rstrip('/')}"


def chat_models(tags: object) -> list[str]:
    """The names in an answer of /api/tags, without those that only embed."""
    rows = tags.get("models") if isinstance(tags, dict) else None
    names: list[str] = []
    for row in rows if isinstance(rows, list) else []:
        name = row.get("name") if isinstance(row, dict) else None
        if not isinstance(name, str) or not name:
            continue
        details = row.get("details")
        family = details.get("family") if isinstance(details, dict) else None
        kind = f"{name} {family}".lower()
        if not any(word in kind for word in _EMBEDDING_FAMILIES):
            names.append(name)
    return names


def _host_and_port(authority: str) -> tuple[str, str]:
    if authority.startswith("["):
        host, _, port = authority.partition("]")
        return host + "]", port.removeprefix(":")
    if authority.count(":") > 1:  # a bare IPv6 address
        return authority, ""
    host, _, port = authority.partition(":")
    return host, port
