"""When a session is over that nobody says is over: by its answers, and by its own rhythm.

Of 33,070 pauses of recorded coding agents after a tool call, 2.4 % are longer than the patience
here, and 1.5 % are longer than 600 s; after its last round a session is given 431 s on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["answered", "refused", "failed", "left"]
"""How a round ended: with its answer, with an error that was said (the server's, or ours to a round
that was never let in), because the server failed, or because the client went away."""

Word = Literal["open", "last", "alone"]
"""What an answer says of what follows. "last": the model could call tools, and asked for none.
"alone": a chat without tools, of which most are one question and its answer. Else "open"."""

LEFT = "the client went away"

LEAST_S, LEAST_OF_CHATS_S = 60.0, 10.0
"""Silence in which a session is waited for: one that calls tools, and one that only chats."""
TIMES_LONGEST = 2.0
GAPS_KNOWN = 3
"""Gaps after which a session's rhythm is its own."""


@dataclass(slots=True)
class Rhythm:
    """The gaps of a session between a round's end and its next request.

    since: when the gap that is now began; None while a round runs, or before the first.
    """

    num_gaps: int = 0
    longest_s: float = 0.0
    since: float | None = None

    def pause(self, now: float) -> None:
        """Nothing is heard from now on, unless that is so already."""
        if self.since is None:
            self.since = now

    def resume(self, now: float) -> None:
        """Its next request is here."""
        if self.since is not None:
            self.num_gaps += 1
            self.longest_s = max(self.longest_s, now - self.since)
            self.since = None

    def patience_s(self, timeout_s: float, has_tools: bool) -> float:
        """Seconds of silence that are nothing unusual for it; `timeout_s` are too many for any.

        has_tools: it may be at work in its first silences; who only chats is a person, or gone.
        """
        if has_tools and self.num_gaps < GAPS_KNOWN:
            return timeout_s
        least_s = LEAST_S if has_tools else LEAST_OF_CHATS_S
        return min(timeout_s, max(least_s, TIMES_LONGEST * self.longest_s))


@dataclass(frozen=True, slots=True)
class Ending:
    """A session is over; `why` is None where it finished."""

    why: str | None = None


def after_round(outcome: Outcome, num_answered: int, is_last: bool, word: Word) -> Ending | None:
    """What a round's end says of its session; None: it goes on.

    num_answered: rounds of it that were answered, this one included.
    is_last: its client said so.
    """
    if outcome == "failed":
        return Ending("the server failed")
    if outcome == "left" and (is_last or not num_answered):
        return Ending(LEFT)
    if outcome == "refused" and not num_answered:
        return Ending("its first round was refused")
    return Ending() if is_last or word == "last" else None
