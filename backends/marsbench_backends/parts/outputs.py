"""Output tokens of rounds that run, as they are generated."""

from __future__ import annotations

from collections.abc import Iterator

from marsbench_backends.signals import (
    FirstToken,
    RoundEnded,
    RoundPreempted,
    RoundStarted,
    SessionEnded,
    Signal,
    StepEnded,
)


class OutputMeter:
    """What a preempted round computes again is no output: it was generated before."""

    def __init__(self) -> None:
        self._reached: dict[str, int] = {}  # by session, tokens computed when it was preempted
        self._again: dict[str, int] = {}  # of those, how many are still to be computed again

    def observe(self, signal: Signal) -> int:
        """Output tokens that the signal tells of: a round's first comes with its prompt."""
        session_id = signal.session_id
        match signal:
            case FirstToken():
                self._again.pop(session_id, None)
                return 1
            case RoundPreempted():
                reached = max(self._reached.get(session_id, 0), signal.num_computed_tokens)
                self._reached[session_id] = reached
            case RoundStarted() if session_id in self._reached:
                lost = self._reached[session_id] - signal.num_cached_tokens
                self._again[session_id] = max(0, lost)
            case RoundEnded() | SessionEnded():
                self._reached.pop(session_id, None)
                self._again.pop(session_id, None)
        return 0

    def generated(self, step: StepEnded) -> Iterator[tuple[str, int]]:
        """By session, the output tokens of a step, those of prompts aside."""
        for session_id, tokens, is_prefill in step.served:
            if is_prefill:
                continue
            again = min(tokens, self._again.get(session_id, 0))
            if again:
                self._again[session_id] -= again
            if tokens > again:
                yield session_id, tokens - again
