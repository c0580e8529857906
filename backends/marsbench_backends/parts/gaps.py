"""How long sessions are away between two rounds: the last gaps, and a log-normal fit of them."""

from __future__ import annotations

import math
from collections import deque

from marsbench_backends.exact import log


class Gaps:
    """The last `most` gaps, in log-seconds, from the end of a round to the next one's arrival."""

    def __init__(self, most: int) -> None:
        self._logs: deque[float] = deque(maxlen=most)
        self._since: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._logs)

    def ended(self, session_id: str, at: float) -> None:
        """A round of the session has ended."""
        self._since[session_id] = at

    def came(self, session_id: str, at: float) -> float | None:
        """Its next round is here: seconds that it was away; None for the first."""
        since = self._since.pop(session_id, None)
        return None if since is None else at - since

    def forget(self, session_id: str) -> None:
        self._since.pop(session_id, None)

    def add(self, seconds: float) -> None:
        """One more gap, more than 0 s long."""
        self._logs.append(log(seconds))

    def fit(self) -> tuple[float, float]:
        """Mean and standard deviation of their logarithms: of the likeliest log-normal."""
        mean = math.fsum(self._logs) / len(self._logs)
        square = math.fsum((one - mean) * (one - mean) for one in self._logs) / len(self._logs)
        return mean, math.sqrt(square)
