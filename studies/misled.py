"""Berth with wrong beliefs: pauses, step times, and rounds of which nobody says whose they are.

The last is asked of a fixed cap as well, which is what berth is compared with there. Backends of a
sweep (workloads/sweeps/berth-misled.toml) and of nothing else. Tool names are not here: neither
berth nor InferCept reads any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from marsbench_backends.admission import Admission, Candidate, EngineState, FixedCap
from marsbench_backends.parts.duty import Duty
from marsbench_backends.policies.berth_admission import BerthAdmission
from marsbench_backends.policies.fcfs import FCFS
from marsbench_backends.policies.infercept import InferCept, RunningBatch
from marsbench_backends.policy import Key, Paused, Release, Req, Retention, View
from marsbench_backends.signals import RoundSubmitted, Signal


def is_unnamed(session_id: str, number: int, share: float) -> bool:
    """Whether this round came without its session's id: the same answer on every machine."""
    digest = hashlib.blake2b(f"{session_id} {number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") < share * 2**32


@dataclass
class Unnamed(Admission):
    """unnamed: share of rounds without an id; a session whose first has none passes uncontrolled,
    as at the gateway.
    """

    unnamed: float = 0.0

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        passed = [c.session_id for c in waiting if is_unnamed(c.session_id, 0, self.unnamed)]
        others = [c for c in waiting if c.session_id not in passed]
        return [*passed, *super().admit(others, state)]


class WrongDuty(Duty):
    """Takes pauses for so many times as long as they are."""

    times = 1.0

    @property
    def pause_s(self) -> float:
        return self.times * super().pause_s


@dataclass
class MisledAdmission(Unnamed, BerthAdmission):
    """pauses: times as long as they are."""

    pauses: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._duty = WrongDuty(self.fast)
        self._duty.times = self.pauses

    def observe(self, signal: Signal) -> None:
        match signal:
            case RoundSubmitted(_, name, number) if is_unnamed(name, number, self.unnamed):
                return
        super().observe(signal)


@dataclass
class Misled(InferCept):
    """costs: of computing, times as much as it takes. unnamed: as above; such a round's context is
    nobody's, and is left to the prefix cache.
    """

    controller = MisledAdmission

    costs: float = 1.0
    unnamed: float = 0.0

    def waiting_key(self, req: Req, view: View) -> Key:
        if is_unnamed(req.session_id, req.round, self.unnamed):
            return (True, req.submitted_at, req.position)
        return super().waiting_key(req, view)

    def retain(self, paused: Paused, view: View) -> Retention:
        if is_unnamed(paused.session_id, paused.round, self.unnamed):
            return Release()
        return super().retain(paused, view)

    def _discard_waste(self, paused: Paused, batch: RunningBatch, view: View) -> float:
        return self.costs * super()._discard_waste(paused, batch, view)


@dataclass
class MisledCapAdmission(Unnamed, FixedCap):
    """A cap that misses as many ids."""


@dataclass
class MisledCap(FCFS):
    """vLLM as it is, which knows no ids, behind such a cap."""

    controller = MisledCapAdmission
