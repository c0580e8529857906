"""MARS: one ordering of sessions says what runs next and what is evicted, behind an admission gate.

Paper: MARS, arXiv 2604.26963, section 4 (information stream, control plane, agent-centric
scheduler), as described; what its authors released differs and is `mars-released`. A session
starts high when its first prompt is small, is demoted by the service it consumes and promoted
while it waits; a paused session's KV is held while a warm resumption pays for the memory it takes.
Differs: what the paper leaves open is ours. A pin that was given up is not taken again that pause.
Not modelled: sessions of one task (a sub-agent is a session with levels of its own).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from marsbench_backends.parameters import ours
from marsbench_backends.parts.chunks import halved_to_fit
from marsbench_backends.parts.levels import SessionLevels
from marsbench_backends.parts.pin_worth import PinWorth
from marsbench_backends.policies.mars_admission import MarsAdmission
from marsbench_backends.policy import Keep, Key, Paused, Policy, Release, Req, Retention, View
from marsbench_backends.signals import Signal


@dataclass
class Mars(Policy):
    """Parameters; [code] is the preview release.

    coordinator, opportunistic: off for the paper's ablations (without levels; without the
        co-scheduler, which shrinks chunks and pins); `admission` is a parameter of the controller.
    shrinking, retention: off for half of the co-scheduler (chunks; pins) [ours].
    level_tokens: service, or first prompt, at which a session stands one level lower.
    aging_s: seconds of waiting that promote by one level [code]; promotion_max: by so many.
    kv_low, kv_high: share of KV in use at which held memory begins to cost, and costs in full.
    rent_max: weight of the rent at kv_high and above. review_s: between decisions about a hold.
    hold_max_s: the longest hold. hold_share_max: of all KV that holds may keep.
    tool_samples, tool_cold_s: pauses of a tool before they are believed, and the mean pause before
        anything is known [Continuum]. ewma_weight: of a new sample [code].
    """

    sorts_running = True
    controller = MarsAdmission

    coordinator: bool = True
    opportunistic: bool = True
    shrinking: bool = True
    retention: bool = True
    level_tokens: tuple[int, ...] = ours(
        (32_768, 131_072, 524_288), (2_048, 8_192, 32_768), (131_072, 524_288, 2_097_152),
        why="no edges in the paper; its code's, for rounds, times 16 for sessions",
    )  # fmt: skip
    aging_s: float = 30.0
    promotion_max: int = ours(1, 0, 3, why="bounded; more than one makes the order a rotation")
    kv_low: float = 0.85
    kv_high: float = 0.90
    rent_max: float = ours(1.0, 0.1, 10.0, why="no formula for pins; 1 is Continuum's Eq. 2")
    hold_max_s: float = ours(30.0, 10.0, 300.0, why="pins are bounded, by what is not said")
    hold_share_max: float = ours(0.5, 0.25, 0.9, why="pins are bounded, by what is not said")
    review_s: float = ours(1.0, 0.2, 5.0, why="revoked at run time; its code controls every 0.2 s")
    tool_samples: int = 100
    tool_cold_s: float = 1.0
    ewma_weight: float = 0.2
    _levels: SessionLevels = field(init=False, repr=False)
    _pins: PinWorth = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.kv_low < self.kv_high <= 1:
            raise ValueError(f"kv_low {self.kv_low} must be below kv_high {self.kv_high}")
        if self.review_s <= 0:
            raise ValueError(f"review_s must be more than 0, not {self.review_s}")
        edges = self.level_tokens if self.coordinator else ()
        self._levels = SessionLevels(edges, self.aging_s, self.promotion_max)
        facts = (self.kv_low, self.kv_high, self.rent_max, self.hold_max_s)
        self._pins = PinWorth(*facts, self.tool_samples, self.tool_cold_s, self.ewma_weight)

    # --- the one ordering

    def waiting_key(self, req: Req, view: View) -> Key:
        return self._rank(req, view) if self.coordinator else (req.position,)

    def running_key(self, req: Req, view: View) -> Key:
        # A decode needs one token of the step's budget: it never waits behind a prefill for it,
        # and among themselves decodes need no order.
        if req.decoding or not self.coordinator:
            return ()
        return self._rank(req, view)

    def victim(self, running: Sequence[Req], view: View) -> Req:
        if not self.coordinator:
            return running[-1]
        return max(running, key=lambda req: self._rank(req, view))

    def _rank(self, req: Req, view: View) -> Key:
        """Level, then footprint: the round's prompt, less what a hold already keeps of it.

        The prompt, not the blocks of the moment: so a round keeps its place from step to step.
        """
        tokens = req.num_prompt_tokens
        computed = req.num_computed_tokens
        level = self._levels.level(req.session_id, view.now, tokens, computed)
        own = view.paused.get(req.session_id)
        if own is not None and own.held:
            tokens -= own.num_blocks * view.block_size
        return (level, tokens, req.submitted_at)

    def steady_tokens(self, req: Req, view: View) -> float:
        return self._levels.steady_tokens(req.session_id, req.num_computed_tokens)

    def changes_at(self, view: View) -> float:
        return self._levels.next_promotion(view.now)

    # --- opportunistic: shrink a chunk to fit, hold while a warm resumption pays

    def shrink(self, req: Req, num_tokens: int, room_tokens: int, view: View) -> int:
        if not (self.opportunistic and self.shrinking):
            return num_tokens
        return halved_to_fit(num_tokens, room_tokens, view.block_size)

    def retain(self, paused: Paused, view: View) -> Retention:
        if not (self.opportunistic and self.retention and self._has_room(paused, view)):
            return Release()
        if self._pins.gain_s(paused, view) <= self._pins.rent_s(paused, view):
            return Release()
        # On a common grid, so that all holds are reviewed in the same steps.
        return Keep((math.floor(view.now / self.review_s + 1e-9) + 1) * self.review_s)

    def _has_room(self, paused: Paused, view: View) -> bool:
        if paused.held:
            return True
        held = sum(p.num_blocks for p in view.paused.values() if p.held)
        return held + paused.num_blocks <= self.hold_share_max * view.num_blocks

    def reclaim(self, held: Sequence[Paused], needs: Req, view: View) -> str | None:
        """The last in the one ordering; none if all of them together would not make room."""
        if needs.num_blocks == 0:
            own = view.paused.get(needs.session_id)
            has = own.num_blocks if own is not None and own.held else 0
            wants = -(-needs.num_tokens // view.block_size) - has
            if wants > view.free_blocks + sum(p.num_blocks for p in held):
                return None
        return max(held, key=lambda p: self._hold_rank(p, view)).session_id

    def _hold_rank(self, paused: Paused, view: View) -> tuple[float, int, str]:
        level = self._levels.level(paused.session_id, view.now, paused.num_tokens)
        return (level, paused.num_blocks, paused.session_id)

    def observe(self, signal: Signal) -> None:
        self._pins.observe(signal)
        self._levels.observe(signal)
