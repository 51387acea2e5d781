"""Which values are secret, by the name of their key or of the object that holds them.

Stock's names and those of the channels' credentials. `${VAR}` says where a secret is, not what it is, and is
none. A secret under a name that says nothing cannot be known, but for one in a URL
(`https://me:secret@host/?key=secret`).
"""

import re
from typing import Final

from openclawd.config.substitution import is_reference

_SECRET_NAME: Final = re.compile(
    r"""(?:token|secret|password|passwd|passphrase|passcode|authorization|cookie|credentials?|bearer)s?$
      | (?:api|private|secret|access|account|encrypt|encryption|signing|recovery|shared|auth)[-_ ]?keys?$
      | ^service[-_]?account$ | ^pass$
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Everything directly in these is secret, whatever its name: headers of requests, variables of processes.
_SECRET_HOLDERS: Final = frozenset({"headers", "env", "vars"})
# `maxTokens`, `contextTokens` and their kind count; no secret is a number under a plural.
_COUNTED: Final = re.compile(r"tokens$", re.IGNORECASE)
# Behind the first or the second group: the login, or a key in the query.
IN_URL: Final = re.compile(
    r"(://)[^/\s@]+(?=@)|([?&][\w-]{0,40}(?:key|token|secret|password|signature|sig)=)[^&#\s]+", re.IGNORECASE
)


def is_secret_path(path: tuple[str | int, ...]) -> bool:
    """Whether the value at `path` is secret by its name or its holder's."""
    names = [step for step in path if isinstance(step, str)]
    if not names:
        return False
    return not _SECRET_HOLDERS.isdisjoint(names[-2:]) or _SECRET_NAME.search(names[-1]) is not None


def hides(value: object, path: tuple[str | int, ...]) -> bool:
    """Whether the scalar at `path` is a secret."""
    if isinstance(value, str):
        if not value or is_reference(value):
            return False
        return is_secret_path(path) or IN_URL.search(value) is not None
    if isinstance(value, bool) or value is None:
        return False
    return is_secret_path(path) and not _COUNTED.search(str(path[-1]))
