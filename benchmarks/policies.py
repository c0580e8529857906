"""What a policy adds to a step of vLLM's scheduler: 64 running requests, 500 waiting.

    python -m benchmarks.policies

Every backend schedules the same decode steps with a full queue behind them, in turn with vLLM's
stock scheduler. What else the machine does only ever adds to a step, so the tenth of the steps
that took least tells; a median moved by 0.3 on a busy machine. `mars-released` lets 30 requests
run, so its steps are smaller.

Who ranks blocks is asked when a round gives them back: the second table has the end of a round of
128,000 tokens, with vLLM's own loops over blocks, as on a server, and with the simulator's.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

RUNNING, WAITING, STEPS = 64, 500, 400
LIMIT = 1.15
ENDING, ENDINGS, CACHE_BLOCKS = 128_000, 20, 20_000
RANKING = ("retention", "t-lru")


def idle(backend: str | None, num_blocks: int) -> Any:
    """A scheduler that nobody has asked for anything."""
    from marsbench.core.sim.vllm_core import make_scheduler
    from marsbench.core.settings import EngineSettings
    from marsbench.core.sim.merge import PolicyScheduler, StockScheduler
    from marsbench_backends.registry import load

    settings = EngineSettings(max_num_seqs=RUNNING)
    clock, engine = Clock(), (settings, num_blocks, 262_144)
    scheduler: Any
    if backend is None:
        scheduler = make_scheduler(StockScheduler, *engine)
    else:
        built = load(backend).build({})
        scheduler = make_scheduler(PolicyScheduler, *engine, backend=built, clock=clock)
    scheduler.clock = clock
    return scheduler


def scheduler_of(backend: str | None) -> Any:
    """A scheduler with 64 decoding requests and 500 that wait for a place."""
    from marsbench.core.sim.vllm_core import make_request
    from marsbench.core.session import Round, Session
    from marsbench.core.sim.hashes import BlockWriters, SessionHashes
    from marsbench.shortcuts.fast_steps import sampled
    from marsbench_backends.signals import Future
    from marsbench_backends.vllm.rounds import RoundInfo

    scheduler, writers = idle(backend, 400_000), BlockWriters()
    for number in range(RUNNING + WAITING):
        session = Session(f"s{number}", (Round(200 + number, 5_000), Round(10, 10)))
        hashes = SessionHashes(session, writers, 16).upto(5_200 + number)
        future = Future(2, 10, 5_010, 1.0, 1.0, 5_020)
        extra = RoundInfo(session.id, future=future).to_extra_args()
        scheduler.add_request(
            make_request(session.id, session.id, 200 + number, 5_000, hashes, 0.0, extra)
        )
    for _ in range(20):
        scheduler.clock.now += 0.02
        output = scheduler.schedule()
        scheduler.update_from_output(output, sampled(scheduler, output))
    return scheduler


def ending_s(scheduler: Any) -> float:
    """CPU seconds of the quickest end of a round that gives 8,000 blocks back, of `ENDINGS`."""
    from marsbench.core.sim.vllm_core import make_request
    from marsbench.core.session import Round, Session
    from marsbench.core.sim.hashes import BlockWriters, SessionHashes
    from marsbench.shortcuts.fast_steps import sampled
    from marsbench_backends.vllm.rounds import RoundInfo

    writers, times = BlockWriters(), []
    for number in range(ENDINGS):
        session = Session(f"s{number}", (Round(ENDING, 1), Round(10, 10)))
        hashes = SessionHashes(session, writers, 16).upto(ENDING + 1)
        extra = RoundInfo(session.id).to_extra_args()
        scheduler.add_request(make_request(session.id, session.id, ENDING, 1, hashes, 0.0, extra))
        while scheduler.has_unfinished_requests():
            scheduler.clock.now += 0.3
            output = scheduler.schedule()
            tokens = sampled(scheduler, output)
            start = time.process_time()
            scheduler.update_from_output(output, tokens)
            took = time.process_time() - start
        times.append(took)
    return min(times)


def quick(scheduler: Any) -> Any:
    """With the simulator's loops over blocks."""
    from marsbench.shortcuts.fast_pool import FastPool

    FastPool(scheduler.kv_cache_manager).install(scheduler)
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
    endings()


def endings() -> None:
    print("\n| a round of 128,000 tokens ends | CPU ms, vLLM's loops | CPU ms, the simulator's |")
    print("|---|--:|--:|")
    for name in (None, "fcfs", *RANKING):
        plain = ending_s(idle(name, CACHE_BLOCKS))
        fast = ending_s(quick(idle(name, CACHE_BLOCKS)))
        print(f"| {name or 'stock vLLM'} | {1e3 * plain:.1f} | {1e3 * fast:.1f} |")


if __name__ == "__main__":
    main()
