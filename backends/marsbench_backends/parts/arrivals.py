"""When each live session first came: the order of first come, first served over whole sessions."""

from __future__ import annotations

from marsbench_backends.policy import Req
from marsbench_backends.signals import RoundSubmitted, SessionEnded, Signal


class SessionArrivals:
    """The arrival of a session's first round; later rounds keep it."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def observe(self, signal: Signal) -> None:
        match signal:
            case RoundSubmitted():
                self._at.setdefault(signal.session_id, signal.at)
            case SessionEnded():
                self._at.pop(signal.session_id, None)

    def of(self, session_id: str) -> float:
        """Seconds; 0 for a session whose first round was never seen."""
        return self._at.get(session_id, 0.0)

    def of_request(self, req: Req) -> float:
        """Seconds; a request of an unknown session is as old as itself."""
        return self._at.get(req.session_id, req.submitted_at)
