"""One simulated run: vLLM's scheduler, a step-time model, and sessions, on one virtual clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marsbench.core.session import Session
from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.engine import SimConfig, SimEngine
from marsbench.core.sim.ledger import BlockLedger
from marsbench.core.sim.loop import Loop
from marsbench.core.sim.sessions import Emit, SimSessions
from marsbench.core.sim.steps import Counters
from marsbench.core.sim.tools import SimTools
from marsbench.garbage import without_old_garbage
from marsbench.hardware.host import ToolHost

__all__ = ["SimConfig", "Simulation"]


class Simulation:
    """Plays sessions to their end and emits every event on the way."""

    def __init__(self, config: SimConfig, emit: Emit) -> None:
        self.config = config
        self._clock = VirtualClock()
        ledger = BlockLedger(config.settings.block_size)
        tools = SimTools(self._clock, ToolHost(config.tool_cores, config.tool_workers))
        self.engine = SimEngine(config, self._clock, ledger, tools, emit)
        self.scheduler: Any = self.engine.scheduler
        self.sessions = SimSessions(self._clock, tools, self.engine.admission(), self.engine, emit)
        self._loop = Loop(self.engine, self.sessions)

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self._clock.now

    @property
    def counters(self) -> Counters:
        """How much work it was so far."""
        return self.engine.counters

    def kv_blocks(self) -> tuple[int, int, int]:
        """Total and free blocks, and tokens a block."""
        return self.engine.kv_blocks()

    @property
    def decisions(self) -> dict[str, Any] | None:
        """How often the policy and the controller were asked, and answered other than vLLM would;
        None where no policy is asked.
        """
        asked = self.engine.decisions
        return None if asked is None else {**asked, "admission": self.sessions.entries.record()}

    @property
    def modes(self) -> dict[str, float]:
        """Seconds that the controller spent in each of its modes, while sessions waited for it."""
        return self.sessions.entries.modes.seconds

    # --- the run

    def run(self, sessions: Sequence[Session]) -> None:
        """Play all sessions.

        Raises RunFailedError when nothing can go on, and when an answer cannot be carried out.
        """
        with self.engine.ticking(), without_old_garbage():
            self.sessions.play(sessions, self.config.lanes, self._loop.play)
