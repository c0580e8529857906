"""An admission controller, asked: whom it lets in do wait, each of them once.

The simulator and the gateway put this in front of the controller, so that both ask alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, TypeGuard

from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.answers.allowed import is_number
from marsbench_backends.answers.contract import SHORTEST_TICK_S, TICK
from marsbench_backends.answers.wrong import Sayer, Told, listed
from marsbench_backends.signals import Signal


def watched(admission: Admission, backend: str, told: Told) -> Admission:
    """The controller, its answers looked at.

    `told` hears of a wrong one; where it returns, all that wait are let in, as by default.
    """
    kind = _WatchedClairvoyant if admission.clairvoyant else _Watched
    return kind(admission, backend, told)


class _Watched(Admission):
    """Asks an admission controller, and looks at what it answers."""

    def __init__(self, admission: Admission, backend: str, told: Told) -> None:
        self._admission = admission
        self._sayer = Sayer(f"{backend}: {type(admission).__name__}", told)
        self.tick_s = admission.tick_s

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        try:
            answer = self._admission.admit(waiting, state)
            chosen = list(answer) if isinstance(answer, Iterator) else answer
        except Exception as error:
            self._sayer.raised("admit", error, "", state.now)
            return super().admit(waiting, state)
        self._read_tick(state)
        ids = [candidate.session_id for candidate in waiting]
        if _can_enter(chosen, ids):
            return chosen
        allowed = f"a list of sessions that wait, each once ({listed(ids)})"
        self._sayer.answered("admit", chosen, "", state.now, allowed)
        return super().admit(waiting, state)

    def why_held(self, waiting: Sequence[Candidate], state: EngineState) -> Mapping[str, str]:
        try:
            why = self._admission.why_held(waiting, state)
        except Exception as error:
            self._sayer.raised("why_held", error, "", state.now)
            return {}
        if isinstance(why, Mapping) and all(isinstance(word, str) for word in why.values()):
            return why
        allowed = "a mapping of sessions to a word each"
        self._sayer.answered("why_held", why, "", state.now, allowed)
        return {}

    def mode(self, waiting: Sequence[Candidate], state: EngineState) -> str | None:
        try:
            mode = self._admission.mode(waiting, state)
        except Exception as error:
            self._sayer.raised("mode", error, "", state.now)
            return None
        if mode is None or isinstance(mode, str):
            return mode
        self._sayer.answered("mode", mode, "", state.now, "a word, or None")
        return None

    def tick(self, state: EngineState) -> None:
        try:
            self._admission.tick(state)
        except Exception as error:
            self._sayer.raised("tick", error, "", state.now)
        self._read_tick(state)

    def observe(self, signal: Signal) -> None:
        try:
            self._admission.observe(signal)
        except Exception as error:
            self._sayer.raised("observe", error, f" for session '{signal.session_id}'", signal.at)

    def _read_tick(self, state: EngineState) -> None:
        """The interval, which a controller may change as it goes."""
        self.tick_s = self._admission.tick_s
        if not (is_number(self.tick_s) and self.tick_s >= SHORTEST_TICK_S):
            self._sayer.answered("tick_s", self.tick_s, "", state.now, TICK)
            self.tick_s = math.inf


class _WatchedClairvoyant(_Watched):
    clairvoyant: ClassVar[bool] = True


def _can_enter(chosen: object, ids: Sequence[str]) -> TypeGuard[Sequence[str]]:
    if not isinstance(chosen, Sequence) or isinstance(chosen, str):
        return False
    waiting = set(ids)
    names = [name for name in chosen if isinstance(name, str) and name in waiting]
    return len(names) == len(chosen) == len(set(names))
