"""What marsbench raises on purpose.

MarsbenchError            base; the message is one sentence with the cure
├── UsageError            bad input: exit code 2, nothing was run, nothing is lost
└── RunFailedError        a run began and could not go on: exit code 3, its folder is kept
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MarsbenchError(Exception):
    """Base of everything marsbench raises on purpose."""

    exit_code = 3


class UsageError(MarsbenchError):
    """Bad input: says what was given, what is allowed and what to type."""

    exit_code = 2


class RunFailedError(MarsbenchError):
    """A run that began and could not go on; what it measured is kept."""


def unknown_name(kind: str, given: str, known: Iterable[str], cure: str = "") -> UsageError:
    """A UsageError for a name that is not in a list, with the nearest one suggested."""
    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return UsageError(f"Unknown {kind} '{given}'.{hint} Known: {', '.join(names)}.{cure}")
