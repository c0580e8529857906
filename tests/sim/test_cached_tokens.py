"""What a waiting request says of its cached prompt is what vLLM finds when it begins."""

from __future__ import annotations

from typing import Any

import pytest

from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from marsbench_backends.policy import Keep, Policy, Retention, Swap
from marsbench_backends.signals import RoundStarted, Signal
from tests.sim.worlds import HARDWARE

pytestmark = pytest.mark.vllm


class Asking(Policy):
    """Decides as vLLM does, and remembers what a request said just before it began."""

    def __init__(self) -> None:
        self.said: dict[str, int] = {}
        self.compared: list[tuple[str, int, int]] = []

    def chunk(self, req: Any, num_tokens: int, view: Any) -> int:
        if not req.num_blocks:  # it waits, and vLLM has just looked its prefix up
            assert req.cached_tokens == req.cached_tokens
            self.said[req.session_id] = req.cached_tokens
        for one in view.running:
            assert one.cached_tokens <= one.num_computed_tokens
        return num_tokens

    def observe(self, signal: Signal) -> None:
        if isinstance(signal, RoundStarted) and signal.session_id in self.said:
            said = self.said.pop(signal.session_id)
            self.compared.append((signal.session_id, said, signal.num_cached_tokens))


class Swapping(Asking):
    """With host memory: what is loaded lies in blocks of the request's own when it begins."""

    host_tokens = 4_096

    def chunk(self, req: Any, num_tokens: int, view: Any) -> int:
        self.said[req.session_id] = req.cached_tokens
        return num_tokens

    def retain(self, paused: Any, view: Any) -> Retention:
        return Keep() if paused.returned else Swap()


def simulated(policy: str, fast: bool) -> Asking:
    """A world that is short of memory, played under the policy."""
    from marsbench.core.sim.simulation import SimConfig, Simulation

    tool = ToolCall("fetch", floor_s=0.5)
    rounds = (Round(300, 20, (tool,)), Round(40, 10, (tool,)), Round(40, 10, (tool,)), Round(9, 9))
    crowd = [
        Session(f"s{n}", rounds, arrival_s=0.05 * n, prefix_group="g", prefix_tokens=100)
        for n in range(8)
    ]
    settings = EngineSettings(256, 8, kv_blocks=120)
    config = SimConfig(HARDWARE, settings, f"{__name__}:{policy}", fast=fast, check=True)
    simulation = Simulation(config, lambda _: None)
    simulation.run(crowd)
    asked: Asking = simulation.scheduler.marsbench_policy
    return asked


@pytest.mark.parametrize("fast", [True, False], ids=["fast pool", "vLLM's pool"])
def test_in_the_simulator_it_is_what_vllm_finds(fast: bool) -> None:
    compared = simulated("Asking", fast).compared
    assert len(compared) > 20
    assert [said for _, said, _ in compared] == [found for _, _, found in compared]
    found = {tokens for _, _, tokens in compared}
    assert 0 in found
    assert len(found) > 3, "some found nothing, some a shared prefix, some their context"


def test_what_host_memory_has_loaded_counts_as_found() -> None:
    asked = simulated("Swapping", fast=True)
    assert all(said == found for _, said, found in asked.compared)
    assert any(found > 100 for _, _, found in asked.compared)


def server() -> Any:
    from marsbench.core.sim.vllm_core import make_scheduler
    from marsbench_backends.scheduler import MarsbenchScheduler

    return make_scheduler(MarsbenchScheduler, EngineSettings(256, max_num_seqs=4), 40, 4096)


def sent(number: int) -> Any:
    """A request of 250 token ids, the first 100 of them everybody's, hashed as a server does."""
    from vllm.sampling_params import SamplingParams
    from vllm.utils.hashing import sha256
    from vllm.v1.core.kv_cache_utils import get_request_block_hasher
    from vllm.v1.request import Request

    tokens = [*range(100), *range(number % 4, number % 4 + 150)]
    params = SamplingParams(max_tokens=4, ignore_eos=True, extra_args={"marsbench_last": 1})
    hasher = get_request_block_hasher(16, sha256)
    return Request(f"r{number}", tokens, params, None, block_hasher=hasher)


def served(scheduler: Any, number: int) -> tuple[int, int]:
    """What the request said while it waited, and what vLLM says that it found."""
    from marsbench.shortcuts.fast_steps import sampled

    request, found = sent(number), []
    scheduler.add_request(request)
    said = scheduler.req(request).cached_tokens
    while scheduler.has_unfinished_requests():
        output = scheduler.schedule()
        found += [new.num_computed_tokens for new in output.scheduled_new_reqs]
        scheduler.update_from_output(output, sampled(scheduler, output))
    (tokens,) = found
    return said, tokens


def test_on_a_server_it_is_what_vllm_finds() -> None:
    scheduler = server()
    pairs = [served(scheduler, number % 5) for number in (0, 0, 1, 1, 2, 3, 0, 3, 3)]
    assert all(said == found for said, found in pairs)
    assert {0, 96, 240} <= {found for _, found in pairs}, "nothing, the shared head, the whole"


def test_asking_leaves_no_trace() -> None:
    """Neither in the order of the free list, nor in a count of users, nor in vLLM's statistics."""
    from vllm.v1.metrics.stats import PrefixCacheStats

    scheduler = server()
    served(scheduler, 0)
    manager = scheduler.kv_cache_manager
    manager.log_stats, manager.prefix_cache_stats = True, PrefixCacheStats()
    free = manager.block_pool.free_block_queue

    def state() -> list[tuple[int, int]]:
        return [(block.block_id, block.ref_cnt) for block in free.get_all_free_blocks()]

    before, request = state(), sent(0)
    scheduler.add_request(request)
    assert scheduler.req(request).cached_tokens == 240
    assert state() == before
    assert manager.prefix_cache_stats == PrefixCacheStats()
