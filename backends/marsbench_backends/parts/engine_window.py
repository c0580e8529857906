"""Rounds that are let into the engine's order, and those behind it (MARS as released)."""

from __future__ import annotations

from marsbench_backends.signals import RoundEnded, RoundSubmitted, SessionEnded, Signal


class EngineWindow:
    """At most `size` rounds inside; the others follow first come, first served.

    version: raised when a round enters because another has left.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._inside: set[str] = set()
        self.overflow: dict[str, None] = {}  # ordered: sessions whose round is outside
        self.version = 0

    def observe(self, signal: Signal) -> None:
        match signal:
            case RoundSubmitted():
                self._enter(signal.session_id)
            case RoundEnded() | SessionEnded():
                self._leave(signal.session_id)

    def _enter(self, session_id: str) -> None:
        if len(self._inside) < self._size:
            self._inside.add(session_id)
        else:
            self.overflow[session_id] = None

    def _leave(self, session_id: str) -> None:
        self.overflow.pop(session_id, None)
        self._inside.discard(session_id)
        if self.overflow and len(self._inside) < self._size:
            following = next(iter(self.overflow))
            del self.overflow[following]
            self._inside.add(following)
            self.version += 1
