"""Every private name of vLLM 0.33.0 that the adapter and the simulator rely on.

When one of these fails, vLLM has moved a seam: read its scheduler before mending the adapter.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import pytest

from marsbench.core.settings import EngineSettings

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def scheduler() -> Any:
    from vllm.v1.core.sched.scheduler import Scheduler

    from marsbench.core.sim.vllm_core import make_scheduler

    return make_scheduler(Scheduler, EngineSettings(), 100, 4096)


def parameters(method: Any) -> list[str]:
    return list(inspect.signature(method).parameters)


def source(method: Any) -> str:
    return inspect.getsource(method)


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("vllm") == "0.33.0"


def test_the_methods_that_are_overridden_take_what_they_took(scheduler: Any) -> None:
    assert parameters(scheduler.schedule) == ["throttle_prefills"]
    assert parameters(scheduler._reserve_prefill_lookahead) == [
        "request", "num_computed_tokens", "num_new_tokens"
    ]  # fmt: skip
    assert parameters(scheduler._get_local_prefix_cache_hit) == ["request", "max_cache_hit_length"]
    assert parameters(scheduler._free_blocks) == ["request"]
    assert parameters(scheduler._preempt_request)[:2] == ["request", "timestamp"]
    assert parameters(scheduler.update_from_output) == [
        "scheduler_output", "model_runner_output"
    ]  # fmt: skip


def test_whom_a_policy_lets_yield_is_told_of_with_the_step(scheduler: Any) -> None:
    owner = type(scheduler)
    assert "self.reset_preempted_req_ids.add(request.request_id)" in source(owner._preempt_request)
    assert "preempted_req_ids=self.reset_preempted_req_ids" in source(owner.schedule)
    assert "self._preempt_request(" in source(owner.reset_prefix_cache), "vLLM's own way too"


def test_the_chunk_hook_is_called_before_every_allocation(scheduler: Any) -> None:
    text = source(type(scheduler).schedule)
    assert text.count("self._reserve_prefill_lookahead(") == 2
    assert text.index("self._reserve_prefill_lookahead(") < text.index("allocate_slots(")


def test_the_victim_is_read_from_the_requests_at_that_moment(scheduler: Any) -> None:
    text = source(type(scheduler).schedule)
    assert "self.policy == SchedulingPolicy.PRIORITY" in text
    assert "key=lambda r: (r.priority, r.arrival_time)" in text


def test_running_requests_ask_for_slots_as_fast_pool_expects(scheduler: Any) -> None:
    from marsbench.shortcuts.fast_pool import RUNNING

    assert scheduler.num_lookahead_tokens == RUNNING["num_lookahead_tokens"]
    manager = scheduler.kv_cache_manager
    assert parameters(manager.allocate_slots)[:2] == ["request", "num_new_tokens"]
    assert parameters(manager.coordinator.find_longest_cache_hit) == [
        "block_hashes", "max_cache_hit_length"
    ]  # fmt: skip


def test_the_block_pool_has_its_loops_and_its_books(scheduler: Any) -> None:
    pool = scheduler.kv_cache_manager.block_pool
    assert parameters(pool.get_new_blocks) == ["num_blocks"]
    assert parameters(pool.touch) == ["blocks"]
    assert parameters(pool.free_blocks) == ["ordered_blocks"]
    assert parameters(pool._maybe_evict_cached_block) == ["block"]
    assert pool.cached_block_hash_to_block._cache == {}
    assert pool.cached_block_hashes_by_block == {}
    assert pool.get_num_free_blocks() == pool.free_block_queue.num_free_blocks == 100
    single = scheduler.kv_cache_manager.coordinator.single_type_managers[0]
    assert single.req_to_blocks == {}
    assert single.num_cached_block == {}


def test_the_free_list_is_linked_and_taken_from_its_front(scheduler: Any) -> None:
    pool = scheduler.kv_cache_manager.block_pool
    assert "free_block_queue.popleft_n(" in source(type(pool).get_new_blocks)
    assert "free_block_queue.append_n(" in source(type(pool).free_blocks)
    queue = pool.free_block_queue
    first, second = queue.get_all_free_blocks()[:2]
    assert queue.fake_free_list_head.next_free_block is first
    assert (first.next_free_block, second.prev_free_block) == (second, first)
    assert parameters(queue.remove) == ["block"]
    assert parameters(queue.append_n) == ["blocks"]


def test_the_budgets_are_read_anew_at_every_step(scheduler: Any) -> None:
    text = source(type(scheduler).schedule)
    assert "token_budget = self.max_num_scheduled_tokens" in text
    assert "input_budget = self.scheduler_config.max_num_batched_tokens" in text


def test_a_waiting_prefix_is_looked_up_as_the_adapter_asks_for_it(scheduler: Any) -> None:
    manager = scheduler.kv_cache_manager
    text = source(type(manager).get_computed_blocks)
    assert "if not self.prefix_cache_lookup_enabled(request):" in text
    assert "max_cache_hit_length = request.num_tokens - 1" in text
    assert "self.coordinator.find_longest_cache_hit(" in text
    assert "if request.num_computed_tokens == 0:" in source(type(scheduler).schedule)
    found = manager.coordinator.find_longest_cache_hit([], 0)
    assert found[1] == 0


def test_a_load_that_failed_is_computed_where_that_is_asked_for(scheduler: Any) -> None:
    owner = type(scheduler)
    assert parameters(scheduler._handle_failed_recving) == ["failed_req_ids"]
    assert "if self.recompute_kv_load_failures" in source(owner._handle_failed_recving)
    assert "self.kv_cache_manager.free(request)" in source(owner._update_waiting_for_remote_kv)
    assert parameters(scheduler._update_from_kv_xfer_finished) == ["kv_connector_output"]
