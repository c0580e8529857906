"""The oracle's admission controller: as many sessions as the memory holds at their peaks.

A bound-seeker like the policy beside it, and no paper's: it knows how long each context will grow,
lets in the smallest first and never more than fit at once, so that no session loses its KV to
another. No server can know this. Sub-agents are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.parameters import ours


@dataclass
class OracleAdmission(Admission):
    """fill: peaks of the sessions in flight as a share of the KV cache; inf lets everyone in."""

    fill: float = ours(1.0, 0.8, 1.3, 1_000.0, why="no paper; peaks seldom meet")
    clairvoyant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.fill <= 0:
            raise ValueError(f"fill must be more than 0, not {self.fill}")

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        if state.num_blocks is None:
            return [c.session_id for c in waiting]
        room = self.fill * state.num_blocks * state.block_size
        room -= sum(_peak(c) for c in state.in_flight)
        chosen: list[str] = []
        for candidate in sorted(waiting, key=lambda c: (_peak(c), c.arrived_at, c.session_id)):
            room -= _peak(candidate)
            if room < 0 and (state.in_flight or chosen):
                break
            chosen.append(candidate.session_id)
        return chosen

    def why_held(self, waiting: Sequence[Candidate], state: EngineState) -> Mapping[str, str]:
        return {c.session_id: "memory" for c in waiting}


def _peak(candidate: Candidate) -> int:
    """Tokens at its longest; the first prompt where the future is not told."""
    return candidate.future.peak_tokens if candidate.future else candidate.num_prompt_tokens
