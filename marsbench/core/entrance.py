"""The entrance: sessions wait here until the admission controller lets them in.

The simulator and the gateway drive the same controller through it, so both ask at the same
moments: when a session arrives, when one has left, and once a control interval while any waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.vllm.decisions import Entries


class Entrance:
    """Who waits, who is in flight, and when the controller is asked.

    state: what the controller sees, given the sessions in flight.
    let_in: called for every session that is admitted, which is in flight by then, and for every
        sub-agent.
    later: do something in so many seconds of the engine's clock.
    """

    def __init__(
        self,
        admission: Admission,
        state: Callable[[Sequence[Candidate]], EngineState],
        let_in: Callable[[str], None],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._admission = admission
        self._state = state
        self._let_in = let_in
        self._later = later
        self._waiting: dict[str, Candidate] = {}
        self._in_flight: dict[str, Candidate] = {}
        self._tick_set = False
        self.entries = Entries()

    @property
    def waiting(self) -> Collection[str]:
        """Sessions that wait, in the order of their arrival."""
        return self._waiting.keys()

    @property
    def in_flight(self) -> Collection[str]:
        """Sessions that were let in and have not left."""
        return self._in_flight.keys()

    def arrive(self, candidate: Candidate, parent: str | None = None) -> None:
        """A session wants to enter. A sub-agent goes in with its `parent`, and takes no place."""
        if parent is not None:
            self._let_in(candidate.session_id)
            return
        self.entries.came()
        self.wait(candidate)

    def wait(self, candidate: Candidate) -> None:
        """It stands here; that it came is counted."""
        self._waiting[candidate.session_id] = candidate
        self.ask()

    def take_back(self, candidate: Candidate) -> None:
        """Was let in before, by whoever stood here then."""
        self._in_flight[candidate.session_id] = candidate

    def leave(self, session_id: str) -> None:
        """The session is over, or waits no longer; who waits is not asked for yet."""
        self._waiting.pop(session_id, None)
        self._in_flight.pop(session_id, None)
        self.entries.gone(session_id)

    def ask(self) -> None:
        """Let in whom the controller names now."""
        if not self._waiting:
            return
        waiting, state = list(self._waiting.values()), self._now()
        mode = self._admission.mode(waiting, state)
        chosen = self._admission.admit(waiting, state)
        self._note(waiting, chosen, state)
        for session_id in chosen:
            self._in_flight[session_id] = self._waiting.pop(session_id)
            self.entries.gone(session_id)
            self._let_in(session_id)
        self.entries.modes.enter(mode if self._waiting else None, state.now)
        self._set_tick()

    def _note(
        self, waiting: Sequence[Candidate], chosen: Collection[str], state: EngineState
    ) -> None:
        entered = set(chosen)
        left = [c.session_id for c in waiting if c.session_id not in entered]
        why = self._admission.why_held(waiting, state) if left else {}
        for session_id in left:
            self.entries.held_back(session_id, why.get(session_id))

    def _now(self) -> EngineState:
        return self._state(tuple(self._in_flight.values()))

    def _set_tick(self) -> None:
        """While sessions wait, the controller is asked again every control interval."""
        tick_s = self._admission.tick_s
        if self._waiting and not self._tick_set and tick_s < math.inf:
            self._tick_set = True
            self._later(tick_s, self._tick)

    def _tick(self) -> None:
        self._tick_set = False
        self._admission.tick(self._now())
        self.ask()
