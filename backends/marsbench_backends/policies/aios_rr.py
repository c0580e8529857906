"""AIOS's round robin: a call is answered for a slice of time, then goes to the end of the queue.

Source: agiresearch/AIOS (2155966), its RR scheduler, which it runs with a context manager; Mei et
al., arXiv 2403.16971. `width` calls are answered at once, one in its code. A call whose answer has
been streamed for `slice_s` is stopped; its text is kept, and it goes on behind all others. A
stream is looked at as its tokens come, so each slice brings one at least. The code's slice is a
second (its docstring says 50 ms).
Readings: a call that carries tools is never streamed in its code, hence never stopped, and all
calls of coding agents carry tools: `sliced` off is that, first in first out, `width` at once.
Differs: nobody is stopped for whom nobody waits; what a stopped call had computed is left to the
prefix cache and found there, or computed again ("text"). Not modelled: a context manager that keeps
a call's KV ("kv"); AIOS's other managers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from marsbench_backends.parameters import varied
from marsbench_backends.parts.outputs import OutputMeter
from marsbench_backends.policy import Key, Policy, Req, View
from marsbench_backends.signals import (
    RoundEnded,
    RoundPreempted,
    RoundStarted,
    RoundSubmitted,
    SessionEnded,
    Signal,
    StepEnded,
)


@dataclass(slots=True)
class SlicedCall:
    """turn: its place in the queue. since: when its slice began; None while it waits.

    has_token: whether the slice has brought one.
    """

    turn: int
    since: float | None = None
    has_token: bool = False


@dataclass
class AiosRr(Policy):
    """slice_s: seconds after which a call yields. sliced: whether any does.

    width: calls that are answered at once.
    """

    slice_s: float = varied(1.0, 0.05, 10.0, why="its code; its docstring says 50 ms")
    sliced: bool = varied(True, False, why="calls that carry tools are never stopped in its code")
    width: int = varied(1, 8, 64, why="its code answers one call at a time; a server takes many")
    _calls: dict[str, SlicedCall] = field(default_factory=dict, init=False, repr=False)
    _turns: int = field(default=0, init=False, repr=False)
    _meter: OutputMeter = field(default_factory=OutputMeter, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.slice_s <= 0:
            raise ValueError(f"slice_s must be more than 0, not {self.slice_s}")
        if self.width < 1:
            raise ValueError(f"width must be at least 1, not {self.width}")
        self.max_running = self.width

    def waiting_key(self, req: Req, view: View) -> Key:
        call = self._calls.get(req.session_id)
        return (0 if call is None else call.turn, req.position)

    def yields(self, running: Sequence[Req], view: View) -> Sequence[Req]:
        """As many as wait, those first whose slice began first."""
        over = [req for req in running if self._is_over(req.session_id, view.now)]
        over.sort(key=lambda req: (self._since(req.session_id), req.position))
        return over[: len(view.waiting)]

    def changes_at(self, view: View) -> float:
        """The end of the next slice, while somebody waits."""
        if not self.sliced or not view.waiting:
            return math.inf
        ends = (self._since(req.session_id) + self.slice_s for req in view.running)
        return min((end for end in ends if end > view.now), default=math.inf)

    def observe(self, signal: Signal) -> None:
        if self._meter.observe(signal):
            self._put_out(signal.session_id)
        call = self._calls.get(signal.session_id)
        match signal:
            case RoundSubmitted():
                self._calls[signal.session_id] = SlicedCall(self._next_turn())
            case RoundStarted() if call is not None:
                call.since, call.has_token = signal.at, False
            case RoundPreempted() if call is not None:
                if self._is_over(signal.session_id, signal.at):  # else memory ran out: first again
                    call.turn = self._next_turn()
                call.since = None
            case RoundEnded() | SessionEnded():
                self._calls.pop(signal.session_id, None)

    def serve(self, step: StepEnded) -> None:
        for session_id, _ in self._meter.generated(step):
            self._put_out(session_id)

    def _put_out(self, session_id: str) -> None:
        call = self._calls.get(session_id)
        if call is not None and not call.has_token:
            call.has_token = True
            self.version += 1  # it may have to yield at once

    def _next_turn(self) -> int:
        self._turns += 1
        return self._turns

    def _since(self, session_id: str) -> float:
        call = self._calls.get(session_id)
        return math.inf if call is None or call.since is None else call.since

    def _is_over(self, session_id: str, now: float) -> bool:
        call = self._calls.get(session_id)
        if not self.sliced or call is None or not call.has_token:
            return False
        return now >= self._since(session_id) + self.slice_s
