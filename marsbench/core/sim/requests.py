"""The requests that the scheduler has, as rounds of sessions; and the events of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from marsbench.core import events
from marsbench.core.session import Prompt
from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.sessions import Emit, LiveSession
from marsbench_backends.vllm.starts import started


class Requests:
    """From submit to end: emits starts, preemptions and first tokens.

    num_queried_tokens, num_hit_tokens: of all first starts, and what they found on the GPU.
    """

    def __init__(self, scheduler: Any, clock: VirtualClock, emit: Emit) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._emit = emit
        self._rounds: dict[str, tuple[LiveSession, Prompt]] = {}
        self._no_token_yet: dict[str, int] = {}  # a request's number, in order of submission
        self._num_added = 0
        self.num_queried_tokens = self.num_hit_tokens = 0

    def add(self, request_id: str, live: LiveSession, prompt: Prompt) -> None:
        """A round was handed to the scheduler as this request."""
        self._rounds[request_id] = (live, prompt)
        self._num_added += 1
        self._no_token_yet[request_id] = self._num_added

    def end(self, request_id: str) -> tuple[LiveSession, Prompt]:
        """The request's last token was generated; whose round it was."""
        live, prompt = self._rounds.pop(request_id)
        live.computed.end(prompt)
        return live, prompt

    def cut_off(self) -> list[tuple[str, LiveSession, Prompt, bool]]:
        """All requests, which nobody will answer, in order of submission; whether a first token
        was.
        """
        return [
            (request_id, live, prompt, request_id not in self._no_token_yet)
            for request_id, (live, prompt) in self._rounds.items()
        ]

    def report_starts(self, output: Any) -> None:
        """Whom a step preempted, and whom it let run."""
        now = self._clock.now
        for request_id in sorted(output.preempted_req_ids or ()):
            live, prompt = self._rounds[request_id]
            lost = self._scheduler.lost_tokens.pop(request_id)
            live.computed.preempted(lost)
            self._emit(events.Preempted(now, live.session.id, prompt.round, lost))
        for request_id in started(output):
            self._report_start(request_id, output)

    def _report_start(self, request_id: str, output: Any) -> None:
        live, prompt = self._rounds[request_id]
        request = self._scheduler.requests[request_id]
        found = request.num_computed_tokens - output.num_scheduled_tokens[request_id]
        loaded = self._loaded(request_id, found)
        reusable = live.computed.reusable(request.num_tokens, self._scheduler.block_size)
        resumed = request.num_preemptions > 0
        if not resumed:
            self.num_queried_tokens += request.num_tokens
            self.num_hit_tokens += found - loaded
        facts = (found - loaded, reusable, resumed, loaded)
        self._emit(events.GpuStart(self._clock.now, live.session.id, prompt.round, *facts))

    def _loaded(self, request_id: str, found: int) -> int:
        """Of the tokens that a request found computed, those that came from host memory."""
        host = getattr(self._scheduler, "host", None)
        return 0 if host is None else int(host.take_loaded(request_id, found))

    def first_tokens(self, output: Any) -> list[str]:
        """The requests that get their first token in this step, in order of submission."""
        requests, numbers = self._scheduler.requests, self._no_token_yet
        served = numbers.keys() & output.num_scheduled_tokens.keys()  # most of them only wait
        return sorted(
            (i for i in served if not requests[i].is_prefill_chunk), key=numbers.__getitem__
        )

    def report_first_tokens(self, request_ids: Iterable[str]) -> None:
        """The first tokens of these requests exist."""
        for request_id in request_ids:
            del self._no_token_yet[request_id]
            live, prompt = self._rounds[request_id]
            self._emit(events.GpuFirstToken(self._clock.now, live.session.id, prompt.round))
