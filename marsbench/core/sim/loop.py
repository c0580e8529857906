"""The loop of a simulation: what is due happens, the engine takes its steps, time passes.

A step begins with `schedule()` at virtual time t and ends at t + its modelled duration; what
falls due in between (arrivals, tool ends) happens at its own time and joins the next step, as
requests join a server's queue while the GPU computes. Ties: what is due exactly when a step ends
happens before the step's tokens exist.
"""

from __future__ import annotations

import math
from typing import Any

from marsbench.core.sim.engine import SimEngine
from marsbench.core.sim.evictions import by_step, by_writer, popped_by_step
from marsbench.core.sim.invariants import check_blocks, check_free_list
from marsbench.core.sim.sessions import SimSessions
from marsbench.core.sim.steps import ScheduledStep
from marsbench.core.sim.watchdog import Watchdog
from marsbench.errors import RunFailedError
from marsbench.offload.worker import Offload


class Loop:
    """Plays what was scheduled to its end."""

    def __init__(self, engine: SimEngine, sessions: SimSessions) -> None:
        self._clock = engine.clock
        self._steps = engine.steps
        self._requests = engine.requests
        self._pool = engine.pool
        self._moves = engine.moves
        self._sampler = engine.sampler
        self._sessions = sessions
        self._scheduler = engine.scheduler
        self._backend = engine.name
        self._checks = engine.config.check
        self._offload = engine.offload
        self._watchdog = Watchdog()

    def play(self) -> None:
        """Raises RunFailedError when nothing can go on."""
        while True:
            if self._scheduler.has_unfinished_requests():
                self._step()
            elif not math.isfinite(self._clock.next_due):
                break
            elif self._offload is not None and self._copies_go_on(self._offload):
                self._idle(self._offload)
            else:
                self._pass_time(self._clock.next_due)
        if self._offload is not None:
            self._moves.under_way(self._offload.link.under_way)

    def _copies_go_on(self, offload: Offload) -> bool:
        return bool(offload.link.under_way) or self._scheduler.has_requests()

    def _idle(self, offload: Offload) -> None:
        """Nobody asks for tokens, and copies are under way: vLLM goes on with empty steps."""
        step = self._steps.next()
        self._report_step(step)
        self._update(step.output)
        if offload.worker.is_idle:
            until = min(self._clock.next_due, offload.link.next_end)
            self._pass_time(max(until, self._clock.now))

    def _pass_time(self, until: float) -> None:
        """Let everything happen that is due by `until`, and sample the state on the way."""
        while True:
            due = min(self._clock.next_due, until)
            self._sampler.sample(due)
            num_done = self._clock.num_done
            action = self._clock.pop_due(until)
            if action is None:
                break
            action()
            if self._clock.num_done > num_done:
                self._watchdog.worked(self._clock.now)
            else:
                self._look_on()
        self._clock.now = until

    def _step(self) -> None:
        step = self._steps.next()
        if not step.output.total_num_scheduled_tokens:
            self._stall(step)
            return
        self._watchdog.worked(self._clock.now)
        self._report_step(step)
        self._pass_time(step.ends[-1])
        self._finish(step.output)

    def _report_step(self, step: ScheduledStep) -> None:
        """What a step did as it began; of a macro step, all that its steps but the last did."""
        self._requests.report_starts(step.output)
        self._report_evictions(step)
        if self._offload is not None:
            last = step.ends[-2] if len(step.ends) > 1 else self._clock.now
            self._moves.dropped(last, self._offload.take_dropped())
        if self._checks:
            check_blocks(self._scheduler, self._sampler.num_blocks)
            check_free_list(self._scheduler)

    def _report_evictions(self, step: ScheduledStep) -> None:
        """Evictions at the start of the step they belong to; samples between them."""
        evictions, tokens, ends = self._pool.take_evictions(), step.tokens, step.ends
        copies = step.copies
        if tokens is None or not (evictions or copies or self._sampler.next_at < ends[-1]):
            self._moves.evicted(self._clock.now, by_writer(evictions))
            return
        scheduler = self._scheduler
        popped = popped_by_step(tokens, scheduler.requests, len(ends), scheduler.block_size)
        begins = [self._clock.now, *ends[:-1]]
        evicted = dict(by_step(evictions, popped))
        told = {n + 1 for n, of_step in copies.items() if of_step.done}
        for number in sorted({*evicted, *copies, *told, *self._sampler.due_in(begins)}):
            self._sampler.later_blocks = popped[-1] - (popped[number - 1] if number else 0)
            self._sampler.sample(begins[number])
            if number in told:
                self._moves.copied(begins[number], copies[number - 1].done)
            self._moves.evicted(begins[number], evicted.get(number, {}))
            if number in copies:
                self._moves.dropped(begins[number], copies[number].dropped)
        self._sampler.later_blocks = 0

    def _finish(self, output: Any) -> None:
        """The step's tokens exist."""
        self._sampler.later_blocks = 0
        firsts = self._requests.first_tokens(output)
        outputs = self._update(output)
        self._requests.report_first_tokens(firsts)
        if 0 in outputs:
            for done in outputs[0].outputs:
                if done.finish_reason is not None:
                    self._round_ended(done.request_id)

    def _update(self, output: Any) -> Any:
        """Tell vLLM that the step is over, and which copies have ended."""
        if self._offload is not None:
            done, self._scheduler.copied = self._offload.take_done(self._clock.now)
            self._moves.copied(self._clock.now, done)
            if done:
                self._steps.forget_head()
        return self._scheduler.update_from_output(output, None)

    def _round_ended(self, request_id: str) -> None:
        live, prompt = self._requests.end(request_id)
        self._steps.forget_head()
        self._sessions.round_ended(live, prompt.output_tokens, prompt.round)

    def _stall(self, step: ScheduledStep) -> None:
        """Nothing could run: wait for what may change that."""
        output, offload = step.output, self._offload
        self._report_step(step)
        under_way = 0 if offload is None else len(offload.link.under_way)
        self._update(output)
        self._steps.forget_head()
        self._look_on()
        if output.preempted_req_ids:
            return  # vLLM admits nobody in a step that preempted: the next one will try
        if offload is not None and (
            not offload.worker.is_idle or len(offload.link.under_way) < under_way
        ):
            return  # a copy has begun or ended, which may change what the next one does
        limit = min(self._steps.limit(), math.inf if offload is None else offload.link.next_end)
        if not math.isfinite(limit):
            raise RunFailedError(self._stuck())
        self._pass_time(max(limit, self._clock.now))

    def _look_on(self) -> None:
        """Nothing came of a call or a tick."""
        clock, num_requests = self._clock, len(self._scheduler.requests)
        wrong = self._watchdog.in_vain(clock.now, num_requests, clock.only_ticks)
        if wrong is not None:
            raise RunFailedError(f"{wrong}.{self._last_answers()}")

    def _stuck(self) -> str:
        waiting = [request.request_id for request in self._scheduler.waiting]
        free = self._scheduler.kv_cache_manager.block_pool.get_num_free_blocks()
        return (
            f"Nothing can run: {len(waiting)} requests wait ({', '.join(waiting[:3])}, …) and the "
            f"first does not fit into {free} free KV blocks of {self._sampler.num_blocks}."
            f"{self._last_answers()}"
        )

    def _last_answers(self) -> str:
        answers = getattr(self._scheduler, "answers", None)
        last = "" if answers is None else answers.last()
        return f" What {self._backend} answered last: {last}." if last else ""
