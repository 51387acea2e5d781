"""Write docs/configuration-reference.md: every key that the gateway reads (see scripts/reference).

Nothing of it is written by hand. The keys, their sentences and defaults are those of the schema
(openclawd/config/schema.py); what a value must be is what the reader itself says of a wrong one.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openclawd.config.schema import ANY, Node, below, config_schema, object_part
from openclawd.config.schema_help import UNREAD_HELP
from openclawd.config.schema_lookup import NEEDS_RESTART
from openclawd.config.structure import structure

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "configuration-reference.md"
COMMAND = "scripts/reference"

HEAD = f"""\
# Configuration reference

<!-- Written by {COMMAND}; do not change it here. -->

Every key that openclawd reads; the page's form and `config.schema` have the same.
[Configuration](configuration.md) explains how they belong together. `<name>` stands for a name that you
choose, `[]` for each item of a list. A change counts **at once**, or with a **restart** in place, which the
gateway does by itself. What stands in the file and not here is kept for OpenClaw and not used.
"""

Step = str | int
Path_ = tuple[Step, ...]


def reference() -> str:
    """The whole document."""
    sections = [HEAD]
    for key, node in below(config_schema()).items():
        if node.get("description") == UNREAD_HELP:
            continue
        lines = [f"## {key}", "", node["description"], ""]
        lines += ["| key | value | default | what it is | a change counts |", "|---|---|---|---|---|"]
        lines += [row(*leaf) for leaf in leaves(key, (key,), node)]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def leaves(
    shown: str, path: Path_, node: Node, said: str = "", *, needed: bool = False
) -> Iterator[tuple[str, Path_, Node, str, bool]]:
    """The keys below `node` that have a value: how each is shown, where it would stand, its schema, what is
    said of it or of the list that it is in, and whether it must be there.
    """
    said = node.get("description", said)
    children = below(node)
    if not children or "anyOf" in node or is_list_of_values(node):
        yield shown, path, node, said, needed
        if is_list_of_values(node):
            return
    whole = object_part(node)
    for key, child in children.items():
        if child.get("description") == UNREAD_HELP:
            continue
        if key != ANY:
            below_it = f"{shown}.{key}", (*path, key)
        elif whole["type"] == "array":
            below_it = f"{shown}[]", (*path, 0)
        else:
            below_it = f"{shown}.<name>", (*path, "name")
        yield from leaves(*below_it, child, said, needed=key in whole.get("required", ()))


def is_list_of_values(node: Node) -> bool:
    return node.get("type") == "array" and not below(node["items"])


def row(shown: str, path: Path_, node: Node, said: str, needed: bool) -> str:
    value = expected(path)
    if is_list_of_values(node):
        value = f"a list; each {expected((*path, 0))}"
    if "writeOnly" in node:
        value += "; a secret"
    cells = (
        f"`{shown}`",
        value,
        "needed" if needed else default(node),
        said.replace("<", "&lt;"),
        when(shown),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def expected(path: Path_) -> str:
    """What the reader expects at `path`, in its own words: nowhere is null a value."""
    document: Any = None
    for step in reversed(path):
        document = [document] if isinstance(step, int) else {step: document}
    _, outcome = structure(document, {})
    (found,) = (finding for finding in outcome.findings if finding.path == path)
    return found.expected


def default(node: Node) -> str:
    return f"`{json.dumps(node['default'], ensure_ascii=False)}`" if "default" in node else ""


def when(shown: str) -> str:
    restarts = any(f"{shown}.".startswith(f"{key}.") for key in NEEDS_RESTART)
    return "restart" if restarts else "at once"


def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Write docs/configuration-reference.md.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    wanted = reference()
    if not parser.parse_args().check:
        DOCUMENT.write_text(wanted, encoding="utf-8")
    elif not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != wanted:
        sys.exit(f"docs/{DOCUMENT.name} is not what the code says any more. Write it anew: {COMMAND}")


if __name__ == "__main__":
    main()
