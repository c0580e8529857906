"""Continuum as its authors' public code has it: a pin of two seconds, or none.

Source: the public code of arXiv 2511.02230, vllm/v1/core/estimate_with_func.py
(FIXED_THRESHOLD_CONTINUUM) and sched/{scheduler,request_queue}.py, as MARS's comparison ran it.
A tool whose mean gap has been longer than the pin is not pinned for. Order: pinned sessions first,
then by the session's arrival.
Differs: the preemption victim is the session that arrived last; the code spares last rounds, which
its replay knows and no server can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from marsbench_backends.parameters import varied
from marsbench_backends.parts.arrivals import SessionArrivals
from marsbench_backends.parts.tooltimes import ToolPauses
from marsbench_backends.policy import Keep, Key, Paused, Policy, Release, Req, Retention, View
from marsbench_backends.signals import Signal


@dataclass
class ContinuumStatic(Policy):
    """ttl_s: seconds of a pin (FIXED_THRESHOLD_CONTINUUM)."""

    ttl_s: float = varied(2.0, 0.5, 10.0, why="the constant of its code, for its tools")
    _arrivals: SessionArrivals = field(default_factory=SessionArrivals, init=False, repr=False)
    _times: ToolPauses = field(default_factory=ToolPauses, init=False, repr=False)

    def waiting_key(self, req: Req, view: View) -> Key:
        paused = view.paused.get(req.session_id)
        pinned = paused is not None and paused.held
        return (not pinned, self._arrivals.of_request(req), req.position)

    def victim(self, running: Sequence[Req], view: View) -> Req:
        return max(running, key=lambda req: (self._arrivals.of_request(req), req.position))

    def retain(self, paused: Paused, view: View) -> Retention:
        if paused.held:
            return Keep() if paused.returned else Release()
        gap_s = self._times.mean_s(paused.tools)
        if gap_s is not None and gap_s > self.ttl_s:
            return Release()
        return Keep(view.now + self.ttl_s)

    def reclaim(self, held: Sequence[Paused], needs: Req, view: View) -> str | None:
        """With at most one request running, the pin that would end last yields."""
        if len(view.running) > 1:
            return None
        return max(held, key=lambda p: (p.held_until, p.session_id)).session_id

    def observe(self, signal: Signal) -> None:
        self._arrivals.observe(signal)
        self._times.observe(signal)
