"""The wall clock: the one place of the harness where real time is read."""

from __future__ import annotations

import time


def monotonic() -> float:
    """Seconds that never run backwards, from an arbitrary origin."""
    return time.monotonic()  # noqa: TID251


def unix() -> float:
    """Seconds since 1970, as others write time stamps."""
    return time.time()  # noqa: TID251
