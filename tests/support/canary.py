"""Secrets that can be found wherever they come out, in whatever form they are written.

A `Trap` collects what a gateway has put out: files, answers, frames, process tables. `leaks` names each place
that holds a secret and may not.
"""

import base64
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import attrs


def canary(kind: str) -> str:
    """A secret that occurs nowhere by chance; `+/=` show whether it is escaped on the way."""
    return f"canary-{kind}-{secrets.token_hex(12)}+/="


def forms(secret: str) -> frozenset[bytes]:
    """What to look for: as it is, in JSON, in a URL, in hex, and in base64 wherever it begins."""
    raw = secret.encode()
    encoded = {raw, json.dumps(secret)[1:-1].encode(), quote(secret, safe="").encode(), raw.hex().encode()}
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw)
        # What shares a group of four with other bytes may look otherwise.
        encoded.add(text[4 if offset else 0 : len(text) - 4])
    return frozenset(encoded)


@attrs.define
class Trap:
    """What came out, by where it came out."""

    found: dict[str, bytes] = attrs.Factory(dict)

    def add(self, place: str, what: str | bytes) -> None:
        data = what.encode("utf-8", "surrogatepass") if isinstance(what, str) else what
        self.found[place] = self.found.get(place, b"") + data + b"\n"

    def add_files(self, folder: Path) -> None:
        """Every file below `folder`, by its path from there, and the names themselves."""
        for file in sorted(folder.rglob("*")):
            self.add("file names", str(file))
            if file.is_file():
                self.add(str(file.relative_to(folder)), file.read_bytes())

    def add_processes(self, pid: int) -> None:
        """What other users see of the process and its children, and what the children inherit (proc(5))."""
        self.add(f"cmdline of {pid}", Path(f"/proc/{pid}/cmdline").read_bytes())
        for child in children(pid):
            self.add(f"environ of {child}", Path(f"/proc/{child}/environ").read_bytes())
            self.add_processes(child)

    def leaks(self, secrets_of: Mapping[str, str], allowed: Mapping[str, frozenset[str]]) -> list[str]:
        """`kind in place` for each secret that is where it may not be."""
        return [
            f"{kind} in {place}"
            for kind, secret in secrets_of.items()
            for place, data in self.found.items()
            if place not in allowed.get(kind, frozenset()) and any(form in data for form in forms(secret))
        ]


def children(pid: int) -> Iterator[int]:
    """The processes that `pid` has started and that still run."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            # proc(5), stat: the name in brackets may hold anything, the parent is the second field behind it.
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid and int(process.name) != os.getpid():
            yield int(process.name)
