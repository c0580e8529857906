"""Autellix: programs that have had the least service go first, in queues with quanta.

Paper: arXiv 2502.13965, Algorithm 1. `Autellix` is PLAS: a call enters the queue of
the service that its program's finished calls have had; `AutellixAtlas` is ATLAS: of the longest
critical path through them. A call that uses up its queue's quantum is demoted; one whose program
has waited `beta` times its service starts again in the first queue. Batches are filled from the
first queue to the last, first come, first served in each.
Differs: the paper gives no number of queues, no ranges, no quanta and no beta (see the fields);
the preempted are recomputed, not swapped. Not modelled: preempting a running call so that a
waiting one can be admitted (vLLM admits what fits); multi-step scheduling; the load balancer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from marsbench_backends.parameters import ours, varied
from marsbench_backends.parts.program_calls import ProgramCall
from marsbench_backends.parts.program_table import UNITS, ProgramTable
from marsbench_backends.policy import Key, Policy, Req, View
from marsbench_backends.signals import Signal, StepEnded

EDGES: dict[str, tuple[float, ...]] = {
    # K = 8, doubling from a short round to a whole session on an H200: our choice.
    "seconds": (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0),
    # MARS's re-implementation of Autellix (MARS_preview scheduler.py, L148).
    "tokens": (2_048.0, 8_192.0, 32_768.0),
}


@dataclass
class Autellix(Policy):
    """PLAS. `service` counts "seconds" of the steps that a call was in (the paper), or "tokens".

    edges: service at which a queue's range ends, in that unit; None is the table's above.
    beta: waiting over service at which a call starts again; 2.0 is MARS's re-implementation.
    chunk_quanta: tokens of prefill a step, queue by queue; empty is the paper, which has none.
        MARS's re-implementation has 2048,1024,512,256.
    """

    service: str = varied(
        "seconds", "tokens", why="as MARS's re-implementation counts, its edges too"
    )
    edges: tuple[float, ...] | None = ours(
        None, (8.0, 32.0, 128.0), (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0),
        why="no number of queues, no ranges in the paper: 4 and 12 beside our 8",
    )  # fmt: skip
    beta: float = ours(2.0, 0.5, 8.0, why="no number in the paper; MARS's re-implementation has 2")
    chunk_quanta: tuple[int, ...] = ours(
        (), (2_048, 1_024, 512, 256), why="quanta, but none of prefill, in the paper"
    )
    _table: ProgramTable = field(init=False, repr=False)

    sorts_running = True

    def __post_init__(self) -> None:
        if self.service not in UNITS:
            raise ValueError(f'service must be "seconds" or "tokens", not "{self.service}"')
        edges = EDGES[self.service] if self.edges is None else self.edges
        if not edges or edges[0] <= 0 or list(edges) != sorted(set(edges)):
            raise ValueError(f"edges must be positive and rise, not {edges}")
        if self.beta <= 0:
            raise ValueError(f"beta must be more than 0, not {self.beta}")
        if any(tokens < 1 for tokens in self.chunk_quanta):
            raise ValueError(f"chunk_quanta must be at least 1, not {self.chunk_quanta}")
        self._table = ProgramTable(self.service, edges, self.beta, self._finish)

    def waiting_key(self, req: Req, view: View) -> Key:
        return (self._table.level(req.session_id, view), req.position)

    def running_key(self, req: Req, view: View) -> Key:
        return (self._table.level(req.session_id, view), req.position)

    def victim(self, running: Sequence[Req], view: View) -> Req:
        def last(req: Req) -> Key:
            return (self._table.level(req.session_id, view), req.num_blocks, req.submitted_at)

        return max(running, key=last)

    def chunk(self, req: Req, num_tokens: int, view: View) -> int:
        if not self.chunk_quanta:
            return num_tokens
        level = self._table.level(req.session_id, view)
        return min(num_tokens, self.chunk_quanta[min(level, len(self.chunk_quanta) - 1)])

    def steady_tokens(self, req: Req, view: View) -> float:
        return self._table.steady_tokens(req.session_id)

    def changes_at(self, view: View) -> float:
        return self._table.changes_at(view.now)

    def observe(self, signal: Signal) -> None:
        self._table.observe(signal)
        self.version = self._table.version

    def serve(self, step: StepEnded) -> None:
        self._table.serve(step)
        self.version = self._table.version

    def _finish(self, call: ProgramCall) -> None:
        """PLAS: the service of all of a program's calls adds up."""
        call.program.served += call.served


@dataclass
class AutellixAtlas(Autellix):
    """Autellix's ATLAS: a program counts the longest critical path that any finished call ended."""

    def _finish(self, call: ProgramCall) -> None:
        program = call.program
        program.served = max(program.served, call.entry + call.served)
