"""How files stand in the text of a message: a text file whole, anything else in a line that says why not.

The forms are fixed, as the built-in model has to tell a person's words from what came with them.
"""

import re
from typing import Final

_FILE: Final = re.compile(r'<file name="[^"\n]*">\n.*?\n</file>\n*|\[attached: [^\n]*\]\n*', re.DOTALL)
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
    return _FILE.subn("", text)
