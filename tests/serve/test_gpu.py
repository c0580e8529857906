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
