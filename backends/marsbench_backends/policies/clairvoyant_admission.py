"""Clairvoyant admission: as many sessions as memory holds at the share of time they need it.

No paper's, and no server can: it knows each session's rounds, tokens and tool seconds to come
(`Future`). A session away in a long pause needs no GPU memory then, so it counts at its peak times
the share of its life in which it computes. All peaks together fit into GPU and host memory, so
that nothing has to be computed again. Those who can no longer be good go last; then the least
own time x peak. The backend `clairvoyant` puts it before InferCept's scheduler.
Not modelled: what sub-agents need; pauses that a crowded tool host stretches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.cost import QuadraticCost


@dataclass
class ClairvoyantAdmission(Admission):
    """All values are ours, tried at the points of docs/policies/clairvoyant.md.

    fill: of the KV cache, what sessions in flight may need on average.
    stretch: how much longer a session computes among others than alone.
    host_tokens: tokens of KV in host memory; the policy's parameter of the same name.
    alpha, margin: a session is given up when margin x its time alone no longer fits before alpha x.
    output_token_s: GPU seconds of a generated token alone.
    """

    tick_s: float = 5.0
    fill: float = 0.8
    stretch: float = 2.0
    host_tokens: int = 2_000_000
    alpha: float = 3.0
    margin: float = 1.6
    output_token_s: float = 0.009
    clairvoyant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("tick_s", "fill", "stretch", "alpha", "margin", "output_token_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")

    def admit(self, waiting: Sequence[Candidate], state: EngineState) -> Sequence[str]:
        if state.num_blocks is None:
            return [c.session_id for c in waiting]
        gpu_tokens = state.num_blocks * state.block_size
        room = self.fill * gpu_tokens - math.fsum(self._needed(c) for c in state.in_flight)
        stored = self.host_tokens + gpu_tokens - sum(_peak(c) for c in state.in_flight)
        chosen: list[str] = []
        for candidate in sorted(waiting, key=lambda c: self._order(c, state.now)):
            needed, peak = self._needed(candidate), _peak(candidate)
            fits = needed <= room and peak <= stored
            if fits or not (state.in_flight or chosen):
                chosen.append(candidate.session_id)
                room, stored = room - needed, stored - peak
            elif self._given_up(candidate, state.now):
                break
        return chosen

    def why_held(self, waiting: Sequence[Candidate], state: EngineState) -> Mapping[str, str]:
        return {c.session_id: "memory" for c in waiting}

    def _order(self, candidate: Candidate, now: float) -> tuple[bool, float, float, str]:
        area = self._own_s(candidate) * _peak(candidate)
        given_up = self._given_up(candidate, now)
        return (given_up, area, candidate.arrived_at, candidate.session_id)

    def _given_up(self, candidate: Candidate, now: float) -> bool:
        alone_s = self._own_s(candidate) + _tool_s(candidate)
        return now + self.margin * alone_s > candidate.arrived_at + self.alpha * alone_s

    def _needed(self, candidate: Candidate) -> float:
        """Tokens of GPU memory, on average over its life."""
        busy_s = self.stretch * self._own_s(candidate)
        return _peak(candidate) * busy_s / (busy_s + _tool_s(candidate))

    def _own_s(self, candidate: Candidate) -> float:
        """GPU seconds alone, by the costs that a policy assumes where nobody tells them."""
        cost, first = QuadraticCost(), candidate.num_prompt_tokens
        future = candidate.future
        later = max(0, future.prompt_tokens - first) if future else 0
        output = future.output_tokens if future else 1
        prefill_s = cost.prefill_s(first, 0) + cost.prefill_s(later, first)
        return prefill_s + self.output_token_s * output


def _peak(candidate: Candidate) -> int:
    """Tokens at its longest; the first prompt where the future is not told."""
    return candidate.future.peak_tokens if candidate.future else candidate.num_prompt_tokens


def _tool_s(candidate: Candidate) -> float:
    return candidate.future.tool_s if candidate.future else 0.0
