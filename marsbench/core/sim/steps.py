"""The engine's steps: one at a time, or as many alike as one call of `schedule()` can stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.ends import SOON, ends_of, most_steps
from marsbench.core.sim.merge import Merger, Pattern, PolicyScheduler
from marsbench.hardware.steptime import StepTime, batch_seconds
from marsbench.offload.worker import Offload, StepCopies


class ScheduledStep(NamedTuple):
    """What `schedule()` put out, and when the step ends; of a macro step each of its steps.

    tokens: what each step of a macro step gives each request; None of a single one.
    copies: to and from host memory, of its steps but the last.
    """

    output: Any
    tokens: dict[str, int] | None
    ends: list[float]
    copies: Mapping[int, StepCopies]


@dataclass(slots=True)
class Counters:
    """How much work a simulation was; `busy_s` is the virtual time that steps took."""

    steps: int = 0
    schedule_calls: int = 0
    busy_s: float = 0.0


class Steps:
    """Asks the scheduler for one step after the other.

    can_merge: take runs of equal steps as one (the events are the same).
    offload: plays vLLM's connector to host memory, where the engine has one.
    """

    def __init__(
        self,
        scheduler: Any,
        clock: VirtualClock,
        step_time: StepTime,
        can_merge: bool,
        offload: Offload | None,
    ) -> None:
        self.counters = Counters()
        self._scheduler = scheduler
        self._clock = clock
        self._step_time = step_time
        self._can_merge = can_merge
        self._offload = offload
        self._merger = Merger(scheduler)
        self._last_duration = 0.0

    def forget_head(self) -> None:
        """Blocks were freed or requests ended: the head of the queue may now fit."""
        self._merger.forget_head()

    def next(self) -> ScheduledStep:
        """The step that begins now; it may have computed nothing."""
        pattern, ends, copies = self._plan()
        if pattern is None:
            output = self._scheduler.schedule()
            self._merger.saw(output)
            ends = [self._end_of(output)]
        else:
            output = self._merger.schedule(pattern, len(ends))
        offload = self._offload
        if offload is not None and pattern is not None:
            offload.scheduled(pattern)
        if output.preempted_req_ids or (offload is not None and offload.changed_for_waiting()):
            self.forget_head()
        self.counters.schedule_calls += 1
        if output.total_num_scheduled_tokens:
            self._count(ends)
        return ScheduledStep(output, None if pattern is None else pattern.tokens, ends, copies)

    def _end_of(self, output: Any) -> float:
        now, offload, seconds = self._clock.now, self._offload, self._duration(output)
        if offload is None:
            return now + seconds
        meta, worker = output.kv_connector_metadata, offload.worker
        begin = worker.begin(meta, now)
        end = worker.end_of(begin, seconds) if output.total_num_scheduled_tokens else begin
        worker.launch(meta, begin, end)
        return end

    def _count(self, ends: list[float]) -> None:
        span = ends[-1] - self._clock.now
        self._last_duration = span / len(ends)
        self.counters.steps += len(ends)
        self.counters.busy_s += span

    def _plan(self) -> tuple[Pattern | None, list[float], Mapping[int, StepCopies]]:
        """The pattern to take as one macro step, and when each step ends; none for a single one."""
        nothing: tuple[None, list[float], Mapping[int, StepCopies]] = (None, [], {})
        now, limit, offload = self._clock.now, self.limit(), self._offload
        if not self._can_merge or limit - now <= SOON * self._last_duration:
            return nothing
        if offload is not None and not offload.may_merge():
            return nothing
        pattern = self._merger.pattern()
        if pattern is None:
            return nothing
        batch = (len(pattern.decodes), pattern.decode_kv_tokens, pattern.prefills)
        if offload is not None:
            most = most_steps(self._step_time, batch, pattern.steps, now, limit)
            seconds = self._step_time.run_seconds(*batch, most)
            ends, copies = offload.rehearse(pattern, seconds, now, limit)
            return (pattern, ends, copies) if ends else nothing
        ends = ends_of(self._step_time, batch, pattern.steps, now, limit)
        return (pattern, ends, {}) if len(ends) > 1 else nothing

    def limit(self) -> float:
        """The first instant at which something may change the next step."""
        limit = self._clock.next_due
        if isinstance(self._scheduler, PolicyScheduler):
            limit = min(limit, self._scheduler.next_change())
        return limit if self._offload is None else min(limit, self._offload.limit)

    def _duration(self, output: Any) -> float:
        requests = self._scheduler.requests
        works = (
            (tokens, requests[i].num_computed_tokens - tokens, not requests[i].is_prefill_chunk)
            for i, tokens in output.num_scheduled_tokens.items()
        )
        return batch_seconds(self._step_time, works)
