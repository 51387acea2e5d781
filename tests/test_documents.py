"""What the documents point to is there, and what is generated is what the code says now."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from openclawd.config.schema_lookup import lookup

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
REFERENCE = ROOT / "docs" / "configuration-reference.md"
BLOCK = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
# [text](target), ![text](target "title"), and the targets of references: [name]: target
LINK = re.compile(r"\]\(\s*<?([^)>\s]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
SHOWN = re.compile(r"""\b(?:src|href)=["']([^"']+)["']""")


def prose(document: Path) -> str:
    """The text without its code, where brackets mean something else."""
    return CODE.sub("", BLOCK.sub("", document.read_text(encoding="utf-8")))


def links(document: Path) -> Iterator[str]:
    text = prose(document)
    for found in LINK.finditer(text):
        yield found[1] or found[2]
    yield from SHOWN.findall(text)


def anchors(document: Path) -> set[str]:
    """What the headings of a document are called where it is shown, as GitHub makes it of their words."""
    seen: Counter[str] = Counter()
    found = set()
    text = BLOCK.sub("", document.read_text(encoding="utf-8"))
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found | set(re.findall(r"""\bid=["']([^"']+)["']""", text))


def dead(document: Path) -> list[str]:
    """The links of a document that lead nowhere, as far as that can be seen without a network."""
    return [link for link in links(document) if not leads_somewhere(document, link)]


def leads_somewhere(document: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme:
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    target = document.parent / unquote(parts.path) if parts.path else document
    if not target.exists():
        return False
    return not parts.fragment or (target.suffix == ".md" and parts.fragment in anchors(target))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    assert dead(document) == []


@pytest.mark.parametrize(
    "link",
    [
        "[x](gone.md)",
        "[x](other.md#gone)",
        "[x](#gone)",
        "![x](gone.png)",
        "[x]: gone.md",
        '<img src="gone.png">',
    ],
)
def test_a_link_that_leads_nowhere_is_found(link: str, tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Other\n")
    document = tmp_path / "document.md"
    document.write_text(f"# Document\n\n{link}\n")
    assert len(dead(document)) == 1


def test_headings_are_found_under_the_names_that_they_have_where_they_are_shown(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(
        "# What `--json` says, and why\n## 5.4 Closes\n## 5.4 Closes\n\n```sh\n# no heading\n```\n"
        "[a](#what---json-says-and-why) [b](#54-closes) [c](#54-closes-1) [d](other.md#other)\n"
    )
    (tmp_path / "other.md").write_text("## Other ##\n")
    assert dead(document) == []
    assert "no-heading" not in anchors(document)


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        document = ahead.pop()
        # One that is not there is a dead link, which is not what this is about.
        if document in reached or not document.exists():
            continue
        reached.add(document)
        targets = (urlsplit(link) for link in links(document))
        ahead += [
            (document.parent / target.path).resolve()
            for target in targets
            if not target.scheme and target.path.endswith(".md")
        ]
    assert {path for path in DOCUMENTS if path.parent.name == "docs"} <= reached


def test_the_files_of_the_project_that_documents_name_are_there() -> None:
    folders = "docs|packaging|scripts|service-files|openclawd|tests"
    for document in DOCUMENTS:
        named = re.findall(rf"`((?:{folders})/[\w./-]*\w)`", document.read_text(encoding="utf-8"))
        assert [name for name in named if not (ROOT / name).exists()] == [], document.name


def test_the_reference_of_the_configuration_is_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, "-P", ROOT / "scripts" / "reference.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_every_key_of_the_guide_is_in_the_reference_and_in_the_schema() -> None:
    guide = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    table = guide.partition("## Keys that are read")[2].partition("\n## ")[0]
    named = {
        re.sub(r"\.<\w+>|\[\]", "", key) for key in re.findall(r"^\| `([\w.<>\[\]]+)`", table, re.MULTILINE)
    }
    assert len(named) > 40
    reference = re.sub(r"\.<\w+>|\[\]", "", REFERENCE.read_text(encoding="utf-8"))
    assert [key for key in sorted(named) if f"`{key}" not in reference] == []
    assert [key for key in sorted(named) if lookup(key) is None and "." in key] == []
