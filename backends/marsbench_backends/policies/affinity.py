"""Bounded session affinity: one continuation whose context is cached may jump the queue.

Source: vLLM's pull request #51384, vllm/v1/core/sched/session_affinity_scheduler.py. Before each
step, of the first `window` rounds in the order of arrival, the first aside, the one with the most
cached blocks goes in front of all; ties go to the session that was scheduled last, then to the
round that came first. Only sessions that were scheduled within `ttl_s` count. Nobody is promoted
past a preempted round, nor once the first has waited for `max_wait_s`.
Differs: who is promoted is looked at when a round comes, begins, ends or is preempted, and when a
limit in seconds is reached, not at every step: in between, blocks go only to those who run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from marsbench_backends.parameters import ours, varied
from marsbench_backends.policy import Key, Policy, Req, View
from marsbench_backends.signals import (
    RoundEnded,
    RoundPreempted,
    RoundStarted,
    SessionEnded,
    Signal,
)


@dataclass
class Affinity(Policy):
    """window: rounds from the front that are looked at.

    min_blocks: cached blocks from which on a round may be promoted.
    max_wait_s: seconds after which the first is passed no more.
    ttl_s: seconds since a session was last scheduled, after which it counts as new.
    """

    window: int = ours(32, 8, 128, why="a setting of its scheduler, whose default we have not")
    min_blocks: int = ours(1, 16, 256, why="a setting of its scheduler, whose default we have not")
    max_wait_s: float = varied(0.5, 2.0, 10.0, why="of its own replay, with short contexts")
    ttl_s: float = ours(60.0, 10.0, 600.0, why="a setting whose default we have not")
    _scheduled_at: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _found: tuple[object, str | None] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("window", "min_blocks", "max_wait_s", "ttl_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")

    def waiting_key(self, req: Req, view: View) -> Key:
        return (req.request_id != self._promoted(view), req.position)

    def _promoted(self, view: View) -> str | None:
        """The request that jumps the queue; looked up once for all that wait at an instant."""
        waiting = list(view.waiting)
        moment = (view.now, [req.request_id for req in waiting])
        if self._found is None or self._found[0] != moment:
            self._found = (moment, self._choose(waiting, view))
        return self._found[1]

    def _choose(self, waiting: list[Req], view: View) -> str | None:
        if len(waiting) < 2:
            return None
        head, *others = sorted(waiting, key=_position)[: self.window]
        if head.num_preemptions or view.now >= self._patience_ends(head):
            return None
        size = view.block_size
        warm = [(req.cached_tokens // size, req) for req in others if self._continues(req, view)]
        warm = [(blocks, req) for blocks, req in warm if blocks >= self.min_blocks]
        return max(warm, key=self._worth)[1].request_id if warm else None

    def _worth(self, candidate: tuple[int, Req]) -> tuple[float, ...]:
        blocks, req = candidate
        scheduled_at = self._scheduled_at[req.session_id]
        return (blocks, scheduled_at, -req.submitted_at, -req.position)

    def _continues(self, req: Req, view: View) -> bool:
        at = self._scheduled_at.get(req.session_id)
        return at is not None and not req.num_preemptions and view.now < at + self.ttl_s

    def _patience_ends(self, head: Req) -> float:
        return head.submitted_at + self.max_wait_s

    def changes_at(self, view: View) -> float:
        """When the first has waited for too long, or a session that waits counts as new."""
        waiting = list(view.waiting)
        if not waiting:
            return math.inf
        known = [req.session_id for req in waiting if req.session_id in self._scheduled_at]
        forgets = [self._scheduled_at[session_id] + self.ttl_s for session_id in known]
        instants = [self._patience_ends(min(waiting, key=_position)), *forgets]
        return min((at for at in instants if at > view.now), default=math.inf)

    def observe(self, signal: Signal) -> None:
        self._found = None
        match signal:
            case RoundEnded():  # it was scheduled in every step until now
                self._scheduled_at[signal.session_id] = signal.at
            case SessionEnded():
                self._scheduled_at.pop(signal.session_id, None)
            case RoundStarted() | RoundPreempted():
                pass
            case _:  # a round that is submitted has all keys asked again anyway
                return
        self.version += 1


def _position(req: Req) -> int:
    return req.position
