"""The emulated GPU, asked as vLLM's engine core asks an executor."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from marsbench.clock import monotonic
from marsbench.serve.emulated import emulated_hardware
from marsbench.serve.replies import ScriptedRequest

pytestmark = pytest.mark.vllm

EMULATE = "h200:qwen3-coder-30b"


class Script:
    """Replies with the session's name and round."""

    def tokens(self, asked: ScriptedRequest) -> list[int] | None:
        return asked.facts.get("say")


def gpu(speed: float = 1000.0, **more: Any) -> Any:
    from marsbench.serve.vllm_gpu import Gpu

    made = Gpu.__new__(Gpu)
    config = {"marsbench": {"emulate": EMULATE, "speed": speed, **more}}
    made.vllm_config = SimpleNamespace(additional_config=config)
    made.model_config = SimpleNamespace(max_model_len=10_000)
    made._init_executor()
    return made


def new(name: str, prompt: int, computed: int = 0, **facts: Any) -> Any:
    params = SimpleNamespace(max_tokens=50, ignore_eos=True, extra_args=facts, logprobs=None)
    return SimpleNamespace(
        req_id=name,
        prompt_token_ids=[9] * prompt,
        prefill_token_ids=None,
        num_computed_tokens=computed,
        sampling_params=params,
    )


def step(tokens: dict[str, int], begin: Any = (), known: Any = (), over: Any = ()) -> Any:
    """A scheduler output; `known` has (name, computed, generated) of requests already begun."""
    names, computed, generated = zip(*known, strict=True) if known else ((), (), ())
    return SimpleNamespace(
        num_scheduled_tokens=tokens,
        total_num_scheduled_tokens=sum(tokens.values()),
        scheduled_new_reqs=list(begin),
        scheduled_cached_reqs=SimpleNamespace(
            req_ids=names, num_computed_tokens=computed, num_output_tokens=generated
        ),
        finished_req_ids=set(over),
        kv_connector_metadata=None,
    )


def sampled(executor: Any, output: Any) -> dict[str, list[int]]:
    assert executor.execute_model(output) is None
    found = executor.sample_tokens(None)
    return dict(zip(found.req_ids, found.sampled_token_ids, strict=True))


def test_a_chunk_gives_no_token_and_the_prompts_last_one_does() -> None:
    executor = gpu()
    assert sampled(executor, step({"a": 60}, [new("a", 100)])) == {"a": []}
    assert len(sampled(executor, step({"a": 40}, known=[("a", 60, 0)]))["a"]) == 1
    assert len(sampled(executor, step({"a": 1}, known=[("a", 100, 1)]))["a"]) == 1


def test_a_preempted_request_says_again_what_it_said() -> None:
    executor = gpu()
    first = sampled(executor, step({"a": 100}, [new("a", 100)]))["a"]
    second = sampled(executor, step({"a": 1}, known=[("a", 100, 1)]))["a"]
    again = sampled(executor, step({"a": 101}, known=[("a", 0, 1)]))["a"]
    assert again == second
    assert sampled(executor, step({"b": 100}, [new("b", 100)]))["b"] == first


def test_a_step_takes_its_modelled_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two launched at once take the sum: the second waits for the first."""
    now = [100.0]

    def sleep(wait_s: float) -> None:
        now[0] += wait_s

    monkeypatch.setattr("marsbench.serve.vllm_gpu.monotonic", lambda: now[0])
    monkeypatch.setattr("marsbench.serve.vllm_gpu.time", SimpleNamespace(sleep=sleep))
    executor = gpu(speed=1.0)
    seconds = emulated_hardware(EMULATE).step_time.seconds(0, 0, [(2048, 0)])
    pending = []
    for name in ("a", "b"):
        executor.execute_model(step({name: 2048}, [new(name, 4096)]), non_block=True)
        pending.append(executor.sample_tokens(None, non_block=True))
    assert not pending[0].done()
    pending[1].result()
    assert now[0] - 100.0 == pytest.approx(2 * seconds)
    assert pending[0].done()


@pytest.mark.quiet
def test_on_the_clock_a_step_takes_its_modelled_time_to_a_millisecond() -> None:
    executor = gpu(speed=1.0)
    seconds = emulated_hardware(EMULATE).step_time.seconds(0, 0, [(2048, 0)])
    began = monotonic()
    executor.execute_model(step({"a": 2048}, [new("a", 4096)]), non_block=True)
    executor.sample_tokens(None, non_block=True).result()
    assert seconds <= monotonic() - began < seconds + 0.001


def test_an_empty_step_is_over_at_once() -> None:
    assert gpu().execute_model(step({})).sampled_token_ids == []


def test_what_has_ended_is_forgotten() -> None:
    executor = gpu()
    sampled(executor, step({"a": 100}, [new("a", 100)]))
    executor.execute_model(step({}, over=["a"]))
    assert executor._replies == {}


def test_a_script_supplies_replies() -> None:
    executor = gpu(responses="tests.serve.test_gpu:Script")
    found = sampled(executor, step({"a": 5, "b": 5}, [new("a", 5, say=[77]), new("b", 5)]))
    assert found["a"] == [77]
    assert found["b"] != [77]


# --- copies to host memory and back


BLOCK = 2**14  # tokens: a copy of one takes 31 ms, several steps


def copying(monkeypatch: pytest.MonkeyPatch, lazy: bool, speed: float = 1.0) -> tuple[Any, Any]:
    """Copies of jobs 1 to 3, of as many blocks as their number, and the half that knows them."""
    from marsbench.serve import vllm_copies

    jobs = {
        number: SimpleNamespace(keys={bytes([n]) for n in range(number)}) for number in (1, 2, 3)
    }
    blocks = [SimpleNamespace(block_hash=bytes([n])) for n in range(8)]
    pool, loads = SimpleNamespace(blocks=blocks), SimpleNamespace(gpu_block_ids=[0, 1])
    half = SimpleNamespace(
        _jobs=jobs,
        cpu_block_pool=pool,
        _gpu_block_pool=pool,
        _reqs_to_load={"a": SimpleNamespace(transfer_meta=loads)},
    )
    connector = SimpleNamespace(**{"scheduler_manager" if lazy else "connector_scheduler": half})
    monkeypatch.setattr(vllm_copies, "monotonic", lambda: 0.0)
    hardware = emulated_hardware(EMULATE)
    made = vllm_copies.HostCopies(connector, hardware, BLOCK, cost=0.0, speed=speed)
    return made, hardware.swap_s(BLOCK) / speed


def eager(stores: Any = (), loads: Any = (), flush: Any = None) -> Any:
    """The eager connector's message: jobs to begin, and those to wait for."""
    from vllm.distributed.kv_transfer.kv_connector.v1.offloading.common import (
        OffloadingConnectorMetadata,
        TransferJob,
    )

    made = [{n: TransferJob("a", None, None) for n in numbers} for numbers in (loads, stores)]
    return OffloadingConnectorMetadata(*made, jobs_to_flush=flush)


def lazy(**fields: Any) -> Any:
    from vllm.v1.simple_kv_offload.metadata import SimpleCPUOffloadMetadata

    return SimpleCPUOffloadMetadata(**fields)


def heard(launched: Any) -> tuple[list[int], list[str]]:
    """Copies and loads that the scheduler is told of with a step."""
    if launched.copied is None:
        return [], []
    meta = launched.copied.kv_connector_worker_meta
    numbers = getattr(meta, "completed_jobs", getattr(meta, "completed_store_events", ()))
    return list(numbers), list(launched.copied.finished_recving)


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_an_eager_store_begins_with_the_next_step_and_is_heard_of_by_one_launched_after_it(
    monkeypatch: pytest.MonkeyPatch, speed: float
) -> None:
    copies, copy_s = copying(monkeypatch, lazy=False, speed=speed)
    first = copies.launch(eager(stores=[2]), now=10.0, free_at=0.0, seconds=1.0)
    assert first == (11.0, 10.0, None)
    copies.launch(eager(), now=10.5, free_at=11.0, seconds=0.001)  # stores wait for the GPU
    early = copies.launch(eager(), now=11.0 + 1.9 * copy_s, free_at=11.001, seconds=0.001)
    assert heard(early) == ([], [])
    late = copies.launch(eager(), now=11.0 + 2.1 * copy_s, free_at=11.001, seconds=0.001)
    assert heard(late) == ([2], [])
    stats = late.copied.kv_connector_worker_meta.transfer_stats.store
    assert stats.time == pytest.approx(2 * copy_s)
    assert stats.bytes == 2 * BLOCK * emulated_hardware(EMULATE).kv_bytes_per_token


def test_an_eager_load_follows_its_step_and_an_empty_step_hears_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copies, copy_s = copying(monkeypatch, lazy=False)
    copies.launch(eager(loads=[3]), now=10.0, free_at=0.0, seconds=1.0)
    ends_at = 11.0 + 3 * copy_s
    assert heard(copies.launch(eager(), ends_at - 1e-6, 11.0, 0.0)) == ([], [])
    empty = copies.launch(eager(), ends_at + 1e-6, 11.0, 0.0)
    assert heard(empty) == ([3], ["a"])
    assert empty.launched_at == ends_at + 1e-6


def test_a_step_waits_for_the_store_of_a_block_that_it_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copies, copy_s = copying(monkeypatch, lazy=False)
    waited = copies.launch(eager(stores=[2], flush={2}), now=10.0, free_at=0.0, seconds=1.0)
    assert waited.ends_at == pytest.approx(11.0 + 2 * copy_s)
    assert heard(waited) == ([2], [])


def test_a_lazy_load_runs_beside_its_step_and_a_lazy_store_follows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copies, copy_s = copying(monkeypatch, lazy=True)
    both = lazy(
        load_event=0,
        load_cpu_blocks=[0, 1],
        load_event_to_reqs={0: ["a"]},
        store_event=5,
        store_gpu_blocks=[2],
    )
    assert copies.launch(both, now=10.0, free_at=0.0, seconds=1.0).ends_at == 11.0
    assert heard(copies.launch(lazy(), 10.0 + 2.1 * copy_s, 11.0, 0.0)) == ([], ["a"])
    assert heard(copies.launch(lazy(), 11.0 + 0.9 * copy_s, 11.0, 0.0)) == ([], [])
    assert heard(copies.launch(lazy(), 11.0 + 1.1 * copy_s, 11.0, 0.0)) == ([5], [])


def test_an_emulated_block_takes_the_bytes_of_the_model_and_host_memory_holds_as_many() -> None:
    executor = gpu()
    executor.cache_config = SimpleNamespace(block_size=16)
    executor.parallel_config = None
    executor.model_config.get_num_kv_heads = lambda _: 1
    executor.model_config.get_head_size = lambda: 32
    page = 16 * emulated_hardware(EMULATE).kv_bytes_per_token
    assert executor._kv_spec().page_size_bytes == page
    extra = {"cpu_bytes_to_use": int(100.5 * page)}
    executor.vllm_config.kv_transfer_config = SimpleNamespace(kv_connector_extra_config=extra)
    assert executor.collective_rpc("get_simple_cpu_offload_num_cpu_blocks") == [100]


def test_where_no_blocks_are_given_it_has_the_memory_of_the_hardware() -> None:
    """A plain `vllm serve` asks; 2**50 bytes of blocks would fill this machine's memory."""
    made = gpu()
    made.parallel_config = None
    made.model_config = SimpleNamespace(get_num_kv_heads=lambda _: 1, get_head_size=lambda: 32)
    made.cache_config = SimpleNamespace(
        block_size=16, num_gpu_blocks_override=None, gpu_memory_utilization=0.8
    )
    (available,) = made.collective_rpc("determine_available_memory")
    blocks = emulated_hardware(EMULATE).kv_blocks(16, 0.8)
    assert available // made._kv_spec().page_size_bytes == blocks + 1
