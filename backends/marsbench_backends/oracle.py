"""Oracle: knows every session's rest, runs the shortest rest first, holds what is worth holding.

A bound-seeker, not a proven bound: shortest remaining work is optimal for the mean on one machine
without memory, and greedy here. No paper: SRPT (Schrage 1968) on rounds, with retention by known
return times in the manner of Belady. What it knows no server can: rounds, tokens and tool seconds
to come (`Future`), as they are on an idle tool host.
Not modelled: planning ahead; it neither waits for a better moment nor foresees contention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from marsbench_backends.policy import Keep, Key, Paused, Policy, Req, Retention, View
from marsbench_backends.signals import Future, RoundEnded, RoundSubmitted, SessionEnded, Signal


@dataclass(slots=True)
class Rest:
    """What is left of a session when its latest round came: that round and all after it."""

    future: Future
    num_prompt_tokens: int
    parent_id: str | None
    returns_at: float | None = None


@dataclass
class Oracle(Policy):
    """output_token_s: GPU seconds that one generated token takes of a batch: a decode step of 16
    requests with 100,000 tokens each on an H200 takes 46 ms.
    worth: a held context yields to any request once its return is `worth` reload times away.
    """

    output_token_s: float = 0.003
    worth: float = 1.0
    _rests: dict[str, Rest] = field(default_factory=dict, init=False, repr=False)
    _work: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    clairvoyant = True
    hears_service = False
    sorts_running = True

    def waiting_key(self, req: Req, view: View) -> Key:
        return (self.work_s(req.session_id, view), req.position)

    def running_key(self, req: Req, view: View) -> Key:
        return (self.work_s(req.session_id, view), req.position)

    def victim(self, running: Sequence[Req], view: View) -> Req:
        return max(running, key=lambda req: (self.work_s(req.session_id, view), req.position))

    def retain(self, paused: Paused, view: View) -> Retention:
        return Keep()

    def reclaim(self, held: Sequence[Paused], needs: Req, view: View) -> str | None:
        """The longest rest yields to a shorter one, and whoever returns late to anyone."""
        work_s = self.work_s(needs.session_id, view)
        lost = [p for p in held if self._yields(p, work_s, view)]
        if not lost:
            return None
        last = max(lost, key=lambda p: (self.returns_in_s(p, view), p.session_id))
        return last.session_id

    def _yields(self, paused: Paused, work_s: float, view: View) -> bool:
        if self.work_s(paused.session_id, view) > work_s:
            return True
        return self.returns_in_s(paused, view) > self.worth * view.prefill_s(paused.num_tokens)

    def returns_in_s(self, paused: Paused, view: View) -> float:
        """Seconds until the session's next round, on an idle tool host; 0 if it waits already."""
        rest = self._rests.get(paused.session_id)
        if rest is None or rest.returns_at is None or paused.returned:
            return 0.0
        return max(0.0, rest.returns_at - view.now)

    def work_s(self, session_id: str, view: View) -> float:
        """GPU seconds until the whole task is done: the session's rest, and its parents' after."""
        total, next_id = 0.0, session_id
        while (rest := self._rests.get(next_id)) is not None:
            if next_id not in self._work:  # the same whenever it is asked: costs do not change
                self._work[next_id] = self._own_work_s(rest, view)
            total += self._work[next_id]
            next_id = rest.parent_id or ""
        return total

    def _own_work_s(self, rest: Rest, view: View) -> float:
        tokens = min(rest.future.prompt_tokens, rest.num_prompt_tokens)
        later = rest.future.prompt_tokens - tokens
        prefill_s = view.prefill_s(tokens, rest.num_prompt_tokens - tokens)
        prefill_s += view.prefill_s(later, rest.num_prompt_tokens)
        return prefill_s + rest.future.output_tokens * self.output_token_s

    def observe(self, signal: Signal) -> None:
        match signal:
            case RoundSubmitted() if signal.future is not None:
                rest = Rest(signal.future, signal.num_prompt_tokens, signal.parent_id)
                self._rests[signal.session_id] = rest
                self._work.pop(signal.session_id, None)
            case RoundEnded() if signal.session_id in self._rests:
                rest = self._rests[signal.session_id]
                rest.returns_at = signal.at + rest.future.next_tool_s
            case SessionEnded():
                self._rests.pop(signal.session_id, None)
                self._work.pop(signal.session_id, None)
