"""How files stand in the text of a message: a text file whole, anything else in a line that says why not.

The forms are fixed, as the built-in model has to tell a person's words from what came with them.
"""

import re
from typing import Final

_LEFT_OUT: Final = r"^\[attached: [^\n]*\]$\n*"
_FILE: Final = re.compile(rf'^<file name="[^"\n]*">\n(?s:.*?)\n</file>\n*|{_LEFT_OUT}', re.MULTILINE)
_NO_FILE: Final = re.compile(_LEFT_OUT, re.MULTILINE)
# It would end the name, or the file, too early.
_QUOTE: Final = re.compile(r'["\n]')
_END: Final = "</file>"


def whole_file(name: str, text: str) -> str:
    """A text file."""
    # A file about files must not end before it does.
    return f'<file name="{_QUOTE.sub("", name)}">\n{text.replace(_END, "< /file>")}\n{_END}'


def left_out(name: str, why: str) -> str:
    """A file that the model does not get."""
    return f"[attached: {name}, which is not shown here: {why}]"


def without_files(text: str) -> tuple[str, int]:
    """A person's words without what came with them, and how many files that was."""
    # Only what has an end behind it is looked for: a text of nothing but beginnings would take for ever.
    before, end, behind = text.rpartition(f"\n{_END}")
    words, files = _FILE.subn("", before + end)
    last_words, others = _NO_FILE.subn("", behind.lstrip("\n") if end else behind)
    return words + last_words, files + others
