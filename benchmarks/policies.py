"""What a policy adds to a step of vLLM's scheduler: 64 running requests, 500 waiting.

    python -m benchmarks.policies

Every backend schedules the same decode steps with a full queue behind them, in turn with vLLM's
stock scheduler. What else the machine does only ever adds to a step, so the tenth of the steps
that took least tells; a median moved by 0.3 on a busy machine. `mars-released` lets 30 requests
run, so its steps are smaller.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

RUNNING, WAITING, STEPS = 64, 500, 400
LIMIT = 1.15


def scheduler_of(backend: str | None) -> Any:
    """A scheduler with 64 decoding requests and 500 that wait for a place."""
    from marsbench.core.sim.vllm_core import make_request, make_scheduler
    from marsbench.core.session import Round, Session
    from marsbench.core.settings import EngineSettings
    from marsbench.core.sim.hashes import BlockWriters, SessionHashes
    from marsbench.core.sim.merge import PolicyScheduler, StockScheduler
    from marsbench.shortcuts.fast_steps import sampled
    from marsbench_backends.registry import load
    from marsbench_backends.signals import Future
    from marsbench_backends.vllm.rounds import RoundInfo

    settings = EngineSettings(max_num_seqs=RUNNING)
    clock, engine = Clock(), (settings, 400_000, 262_144)
    scheduler: Any
    if backend is None:
        scheduler = make_scheduler(StockScheduler, *engine)
    else:
        built = load(backend).build({})
        scheduler = make_scheduler(PolicyScheduler, *engine, backend=built, clock=clock)
    scheduler.clock = clock
    writers = BlockWriters()
    for number in range(RUNNING + WAITING):
        session = Session(f"s{number}", (Round(200 + number, 5_000), Round(10, 10)))
        hashes = SessionHashes(session, writers, 16).upto(5_200 + number)
        future = Future(2, 10, 5_010, 1.0, 1.0, 5_020)
        extra = RoundInfo(session.id, future=future).to_extra_args()
        scheduler.add_request(
            make_request(session.id, session.id, 200 + number, 5_000, hashes, 0.0, extra)
        )
    for _ in range(20):
        clock.now += 0.02
        output = scheduler.schedule()
        scheduler.update_from_output(output, sampled(scheduler, output))
    return scheduler


class Clock:
    """Virtual time of 20 ms a step."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def step_s(scheduler: Any) -> float:
    """Seconds of one step, schedule and update."""
    from marsbench.shortcuts.fast_steps import sampled

    scheduler.clock.now += 0.02
    start = time.perf_counter()
    output = scheduler.schedule()
    made = time.perf_counter()
    tokens = sampled(scheduler, output)
    resumed = time.perf_counter()
    scheduler.update_from_output(output, tokens)
    return made - start + time.perf_counter() - resumed


def least_tenth_s(times: list[float]) -> float:
    """Seconds that a tenth of the steps did not exceed."""
    return statistics.quantiles(times, n=10)[0]


def main() -> None:
    from marsbench_backends import registry

    names: list[str | None] = [None, *registry.BACKENDS]
    schedulers = {name: scheduler_of(name) for name in names}
    times: dict[str | None, list[float]] = {name: [] for name in names}
    # In turn, so that whatever else the machine does falls on all of them alike.
    for _ in range(STEPS):
        for name, scheduler in schedulers.items():
            times[name].append(step_s(scheduler))
    stock = least_tenth_s(times[None])
    print(f"| backend | µs a step | of stock vLLM ({1e6 * stock:.0f} µs; limit {LIMIT:.2f}) |")
    print("|---|--:|--:|")
    for name, taken in times.items():
        if name is not None:
            own = least_tenth_s(taken)
            print(f"| {name} | {1e6 * own:.0f} | {own / stock:.2f} |")


if __name__ == "__main__":
    main()
