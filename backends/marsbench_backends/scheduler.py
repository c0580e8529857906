"""The schedulers that engines load: vLLM's own, asking a policy (vllm/mixin.py)."""

from __future__ import annotations

from collections.abc import Iterable

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.request import Request

from marsbench_backends.vllm.holds import Holds
from marsbench_backends.vllm.mixin import PolicyMixin
from marsbench_backends.vllm.server import ServerMixin


class SimScheduler(PolicyMixin):
    """For the simulator, which says of each request which round of which session it is."""

    @property
    def holds(self) -> Holds:
        """What keeps blocks of paused sessions."""
        return self.pauses.holds

    def asked_chunks(self, asked: Iterable[tuple[Request, bool]]) -> None:
        """The simulator asked for chunks in the scheduler's stead: whose, and which were cut."""
        for request, cut in asked if self.memory.asks_chunk else ():
            self.decisions.chunked(self.req(request), cut)


class MarsbenchScheduler(ServerMixin, AsyncScheduler):
    """For `vllm serve --scheduler-cls marsbench_backends.scheduler.MarsbenchScheduler`."""
