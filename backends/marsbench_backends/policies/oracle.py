"""Oracle: knows every session's rest, runs the shortest rest first, holds what is worth holding.

A bound-seeker, not a proven bound: shortest remaining work is optimal for the mean on one machine
without memory, and greedy here. No paper: SRPT (Schrage 1968) on rounds, with retention by known
return times in the manner of Belady, and InferCept's host memory. What it knows no server can:
rounds, tokens and tool seconds to come (`Future`), as they are on an idle tool host.
Among the waiting, those whose KV is on the GPU go first: running them needs no new memory.
Its admission is in oracle_admission.py.
Not modelled: planning ahead; it neither waits for a better moment nor foresees contention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from marsbench_backends.parameters import ours
from marsbench_backends.parts.review import next_review
from marsbench_backends.policies.oracle_admission import OracleAdmission
from marsbench_backends.policy import Keep, Key, Paused, Policy, Req, Retention, Swap, View
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
    worth: without room to swap, a held context yields once its return is so many reloads away.
    host_tokens: tokens of KV in host memory, as InferCept's; 0 for none.
    review_s: seconds between two looks at whether a paused context is to be swapped.
    """

    output_token_s: float = ours(
        0.003, 0.001, 0.01, why="no paper; how full the batch is, is guessed"
    )
    worth: float = ours(1.0, 0.5, 2.0, why="no paper; 1 where holding costs what recomputing does")
    host_tokens: int = ours(2_000_000, 0, 4_000_000, why="no paper; as InferCept's")
    review_s: float = ours(0.2, 0.05, 1.0, why="no paper; as InferCept's")
    _rests: dict[str, Rest] = field(default_factory=dict, init=False, repr=False)
    _work: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    clairvoyant = True
    controller = OracleAdmission
    sorts_running = True

    def __post_init__(self) -> None:
        if self.review_s <= 0:
            raise ValueError(f"review_s must be more than 0, not {self.review_s}")

    def waiting_key(self, req: Req, view: View) -> Key:
        paused = view.paused.get(req.session_id)
        resident = paused is not None and paused.held
        return (not resident, self._work_s(req.session_id, view), req.position)

    def running_key(self, req: Req, view: View) -> Key:
        return (self._work_s(req.session_id, view), req.position)

    def victim(self, running: Sequence[Req], view: View) -> Req:
        return max(running, key=lambda req: (self._work_s(req.session_id, view), req.position))

    def retain(self, paused: Paused, view: View) -> Retention:
        """Out to host memory while room is needed, if both copies end before it returns."""
        if not self.host_tokens or paused.returned:
            return Keep()
        if self._returns_in_s(paused, view) <= 2 * view.swap_s(paused.num_tokens):
            return Keep()
        fits = paused.num_blocks <= view.host_free_blocks
        if view.waiting and fits and view.link_free_at <= view.now:
            return Swap()
        return Keep(next_review(view.now, self.review_s))

    def reclaim(self, held: Sequence[Paused], needs: Req, view: View) -> str | None:
        """Whoever returns so late that recomputing its context takes less; the last one first."""
        lost = [p for p in held if self._returns_late(p, view)]
        if not lost:
            return None
        last = max(lost, key=lambda p: (self._returns_in_s(p, view), p.session_id))
        return last.session_id

    def _returns_late(self, paused: Paused, view: View) -> bool:
        return self._returns_in_s(paused, view) > self.worth * view.prefill_s(paused.num_tokens)

    def _returns_in_s(self, paused: Paused, view: View) -> float:
        """Seconds until the session's next round; 0 if it waits already.

        Tools as on an idle host; of a sub-agent, all that it still has to compute and to run.
        """
        rest = self._rests.get(paused.session_id)
        if rest is None or rest.returns_at is None or paused.returned:
            return 0.0
        agents = [i for i, r in self._rests.items() if r.parent_id == paused.session_id]
        agents_s = [self._own_s(i, view) + self._rests[i].future.tool_s for i in agents]
        return max(0.0, rest.returns_at - view.now, *agents_s)

    def _work_s(self, session_id: str, view: View) -> float:
        """GPU seconds until the whole task is done: the session's rest, and its parents' after."""
        total, next_id = 0.0, session_id
        while next_id in self._rests:
            total += self._own_s(next_id, view)
            next_id = self._rests[next_id].parent_id or ""
        return total

    def _own_s(self, session_id: str, view: View) -> float:
        """The session's own rest; computed once a round, since what things cost does not change."""
        if session_id not in self._work:
            rest = self._rests[session_id]
            tokens = min(rest.future.prompt_tokens, rest.num_prompt_tokens)
            later = rest.future.prompt_tokens - tokens
            prefill_s = view.prefill_s(tokens, rest.num_prompt_tokens - tokens)
            prefill_s += view.prefill_s(later, rest.num_prompt_tokens)
            self._work[session_id] = prefill_s + rest.future.output_tokens * self.output_token_s
        return self._work[session_id]

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
