"""The error that reports a mistake in one line, and what such lines suggest."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A user's mistake or a fault of the machine: one line with the name, the value, and what would be right."""


def listed(names: Iterable[str], separator: str = ", ", most: int = 20) -> str:
    """Return names as a line shows them: the first of them, if there are many."""
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return separator.join(names[:most]) + rest


def nearest(name: object, names: Iterable[str]) -> str | None:
    """Return the name nearest to another, if any is near; case does not matter."""
    lower = {other.lower(): other for other in names}
    matches = difflib.get_close_matches(str(name).lower(), lower, n=1)
    return lower[matches[0]] if matches else None


def near(name: object, names: Iterable[str]) -> str:
    """Return the question whether the nearest of the names was meant, if one is near."""
    match = nearest(name, names)
    return f"did you mean {match!r}?" if match else ""


def suggesting(line: str, name: object, names: Iterable[str]) -> str:
    """Return the line, followed by the question whether the nearest of the names was meant, if one is near."""
    return "; ".join(filter(None, [line, near(name, names)]))
