"""Operator scopes: the words of the wire and what one scope implies."""

from collections.abc import Collection, Iterable
from typing import Final

ADMIN: Final = "operator.admin"
READ: Final = "operator.read"
WRITE: Final = "operator.write"
PAIRING: Final = "operator.pairing"

OPERATOR: Final = "operator"
NODE: Final = "node"
ROLES: Final = frozenset((OPERATOR, NODE))


def allows(granted: Collection[str], needed: str) -> bool:
    """Whether `granted` satisfies one needed scope: admin implies all of them, write implies read."""
    return needed in granted or ADMIN in granted or (needed == READ and WRITE in granted)


def covers(granted: Collection[str], requested: Iterable[str]) -> bool:
    """Whether every requested scope is satisfied."""
    return all(allows(granted, scope) for scope in requested)
