"""The story of one session in sentences: what cost it most, and who was in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter

from marsbench.judge.why.causes import LABELS
from marsbench.judge.why.culprits import Loss
from marsbench.judge.why.explain import Explained, ExplainedRun
from marsbench.judge.why.rounds import RoundCost
from marsbench.text.numbers import count, fixed, percent, seconds
from marsbench.text.words import few

MOST_ROUNDS = 3
"""Rounds that are named for one cause; the others are counted."""
LEAST_SHARE = 0.01
"""Of the session's time alone: what cost less than this is told in the table alone."""


def story_of(run: ExplainedRun, one: Explained) -> list[str]:
    """A sentence for each thing that cost the session a hundredth of its time alone or more."""
    return [*_Story(run, one).sentences()]


class _Story:
    def __init__(self, run: ExplainedRun, one: Explained) -> None:
        self._run, self._one = run, one
        self._least_s = LEAST_SHARE * (one.record.ideal_s or 0.0)

    def sentences(self) -> Iterator[str]:
        yield self._first()
        one = self._one.record
        if (one.admission_wait_s or 0.0) > self._least_s:
            yield (
                f"It waited {seconds(one.admission_wait_s)} s for admission, while "
                f"{self._in_flight(one.arrived_at)} were in flight."
            )
        yield from self._rounds("queue_s", self._queued)
        yield from self._rounds("recompute_s", self._recomputed)
        yield from self._rounds("contention_s", self._contended)
        yield from self._pauses()

    def _first(self) -> str:
        one, known = self._one.record, self._one.causes.known
        most = max(known, key=lambda name: known[name])
        begin = (
            f"{one.session} took {seconds(one.completion_s)} s where alone it takes "
            f"{seconds(one.ideal_s)} s"
        )
        if self._one.slowdown_s <= self._least_s:
            return f"{begin}: next to nothing was in its way."
        share = percent(known[most] / self._one.slowdown_s)
        return f"{begin}: {seconds(self._one.slowdown_s)} s more, {share} of them {LABELS[most]}."

    def _rounds(self, cause: str, tell: Callable[[RoundCost], str]) -> Iterator[str]:
        """The rounds that a cause cost most, each by `tell`; and how many others there are."""
        cost_s: Callable[[RoundCost], float | None] = attrgetter(cause)
        felt = [cost for cost in self._one.rounds if (cost_s(cost) or 0.0) > self._least_s]
        felt.sort(key=lambda cost: (-(cost_s(cost) or 0.0), cost.record.round))
        yield from map(tell, felt[:MOST_ROUNDS])
        rest = felt[MOST_ROUNDS:]
        if rest:
            total = sum(cost_s(cost) or 0.0 for cost in rest)
            yield f"{count(len(rest), 'more round')}: {LABELS[cause]}, {seconds(total)} s together."

    def _queued(self, cost: RoundCost) -> str:
        record = cost.record
        again = (
            f", {count(record.preemptions, 'preemption')} included" if record.preemptions else ""
        )
        at = (
            (record.ready_at + cost.entered_s)
            if record.submitted_at is None
            else record.submitted_at
        )
        return (
            f"Round {record.round} queued {seconds(cost.queue_s)} s{again}; when it came, other "
            f"sessions had {self._running(at)} running."
        )

    def _recomputed(self, cost: RoundCost) -> str:
        lost = self._loss(cost)
        begin = (
            f"Round {cost.record.round} recomputed {fixed(cost.lost_tokens)} tokens "
            f"({seconds(cost.recompute_s)} s alone)"
        )
        if cost.record.preemptions and not cost.record.recomputed_tokens:
            return f"{begin}, since it was preempted."
        if not lost.blocks or lost.from_at is None:
            return f"{begin}; no event says who took their room."
        return (
            f"{begin}: {count(lost.blocks, 'block')} of the session were evicted between "
            f"{fixed(lost.from_at, 1)} s and {fixed(lost.to_at, 1)} s{_while(lost)}."
        )

    def _contended(self, cost: RoundCost) -> str:
        record = cost.record
        assert record.ended_at is not None, "only answered rounds have a cost"
        begin, end = record.started_at or record.ready_at, record.ended_at
        others = self._mean_running(begin, end)
        return (
            f"Round {record.round} ran {seconds(cost.contention_s)} s longer than its work takes "
            f"alone, beside {others:.1f} rounds of other sessions on average."
        )

    def _pauses(self) -> Iterator[str]:
        causes = self._one.causes
        if (causes.agents_s or 0.0) > self._least_s:
            yield f"Sub-agents that it waited for were held up {seconds(causes.agents_s)} s."
        if (causes.tools_s or 0.0) > self._least_s:
            alone_s = self._one.paused_s - (causes.tools_s or 0.0)
            yield (
                f"Its pauses took {seconds(self._one.paused_s)} s, where {seconds(alone_s)} s "
                "would have done had nobody else used the tool host."
            )

    # --- what went on meanwhile

    def _loss(self, cost: RoundCost) -> Loss:
        """From the last token of the round before to the last start of this one."""
        record = cost.record
        before = [c.record.ended_at for c in self._one.rounds if c.record.round < record.round]
        since = max((at for at in before if at is not None), default=record.ready_at)
        until = record.ended_at if record.preemptions else record.started_at
        return self._run.evictions.of(
            record.session, since, record.ready_at if until is None else until
        )

    def _in_flight(self, at: float) -> str:
        """Sessions that had been let in and had not ended."""
        own = self._run.sessions.values()
        there = [s for s in own if s.parent is None and s.admitted_at is not None]
        found = [s for s in there if (s.admitted_at or 0.0) <= at and _not_over(s.ended_at, at)]
        return count(len(found), "session")

    def _running(self, at: float) -> str:
        others = self._others()
        running = [r for r in others if r[0] <= at < r[1]]
        return count(len(running), "round")

    def _mean_running(self, begin: float, end: float) -> float:
        shared = sum(max(0.0, min(end, r[1]) - max(begin, r[0])) for r in self._others())
        return shared / (end - begin) if end > begin else 0.0

    def _others(self) -> Iterator[tuple[float, float]]:
        """When rounds of other sessions ran, their preemptions not looked at."""
        own, last = self._one.record.session, self._run.stream.end_s
        for r in self._run.rounds:
            if r.session != own and r.started_at is not None:
                yield r.started_at, last if r.ended_at is None else r.ended_at


def _not_over(ended_at: float | None, at: float) -> bool:
    return ended_at is None or ended_at > at


def _while(lost: Loss) -> str:
    """ ", while the prompt of b (round 1) was computed"."""
    if not lost.by:
        return ", while answers grew or a policy discarded them"
    names = [f"{session} (round {number})" for session, number, _ in lost.by]
    verb = "prompt of {} was" if len(names) == 1 else "prompts of {} were"
    return f", while the {verb.format(few(names))} computed"
