"""An executor that runs no model: `--distributed-executor-backend marsbench.serve.vllm_gpu.Gpu`.

Everything else is the real server: HTTP, engine core, scheduler, prefix cache, metrics, KV events.
A step's tokens appear when the modelled GPU would have them, `speed` times as soon. Steps queue as
kernels do: one that is launched while another computes begins when that one ends.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import torch
from vllm.v1.executor.abstract import Executor
from vllm.v1.kv_cache_interface import FullAttentionSpec
from vllm.v1.outputs import KVConnectorOutput, LogprobsLists, ModelRunnerOutput
from vllm.v1.worker.worker_base import CompilationTimes

from marsbench.clock import monotonic
from marsbench.hardware.steptime import Work, batch_seconds
from marsbench.serve.emulated import emulated_hardware
from marsbench.serve.grammar import logprobs, plainest
from marsbench.serve.model_folder import VOCABULARY
from marsbench.serve.replies import Reply, ScriptedRequest, load_script
from marsbench.serve.vllm_copies import Copies, HostCopies, NoCopies

LAYOUT = "LBHNC"  # of KV blocks that nobody lays out
ENOUGH_BYTES = 2**50  # where the number of blocks is given


Share = tuple[str, int, int, int]
"""A request in a step: its id, its tokens in it, those computed before, and those known."""


class Step(Future[Any]):
    """A launched step. Whoever asks for its tokens sleeps until the GPU would have them.

    No thread keeps that time: one would have to wake up and then wait for the interpreter's lock.
    """

    def __init__(self, until: float, output: ModelRunnerOutput) -> None:
        super().__init__()
        self._until = until
        self.output = output

    def result(self, timeout: float | None = None) -> ModelRunnerOutput:
        time.sleep(max(0.0, self._until - monotonic()))
        return self.output

    def done(self) -> bool:
        return monotonic() >= self._until


class Gpu(Executor):
    """One GPU that is not there."""

    supports_pp = False

    @classmethod
    def supports_async_scheduling(cls) -> bool:
        return True

    def _init_executor(self) -> None:
        config = self._config
        self._hardware = emulated_hardware(config["emulate"], config.get("tp"))
        self._speed = float(config.get("speed", 1.0))
        self._script = load_script(config.get("responses"))
        self._replies: dict[str, tuple[int, Reply]] = {}
        self._num_logprobs: dict[str, int] = {}
        self._copies: Copies = NoCopies()
        self._busy_until = 0.0
        self._launched: Step | None = None

    def init_kv_output_aggregator(self, connector: Any) -> None:
        """vLLM's scheduler has a connector to host memory: its worker's part is played here."""
        config = self._config
        cost = float(config.get("host_kv_cost", 1.0))
        block_size = self.cache_config.block_size
        self._copies = HostCopies(connector, self._hardware, block_size, cost, self._speed)

    @property
    def _config(self) -> dict[str, Any]:
        found: dict[str, Any] = self.vllm_config.additional_config["marsbench"]
        return found

    # --- steps

    def execute_model(self, scheduler_output: Any, non_block: bool = False) -> Any:
        """Launch a step; its tokens are asked for with `sample_tokens`."""
        self._begin(scheduler_output)
        meta, now = scheduler_output.kv_connector_metadata, monotonic()
        if scheduler_output.total_num_scheduled_tokens == 0:
            _, over_at, copied = self._copies.launch(meta, now, self._busy_until, 0.0)
            empty = Step(over_at, ModelRunnerOutput.with_kv_conn_output_only(copied))
            return empty if non_block else empty.result()
        shares = list(self._shares(scheduler_output))
        seconds = self._seconds(shares) / self._speed
        self._busy_until, _, copied = self._copies.launch(meta, now, self._busy_until, seconds)
        self._launched = Step(self._busy_until, self._sample(shares, copied))
        return _done(None) if non_block else None

    def _seconds(self, shares: list[Share]) -> float:
        works: list[Work] = [
            (tokens, computed, computed + tokens >= known) for _, tokens, computed, known in shares
        ]
        return batch_seconds(self._hardware.step_time, works)

    def sample_tokens(self, grammar_output: Any, non_block: bool = False) -> Any:
        """The tokens of the step that was launched last, once it has been computed."""
        assert self._launched is not None, "no step was launched"
        step, self._launched = self._launched, None
        if grammar_output is not None:
            _constrain(step.output, grammar_output)
        step.output.logprobs = self._logprobs(step.output)
        return step if non_block else step.result()

    def _begin(self, output: Any) -> None:
        for request_id in output.finished_req_ids:
            self._replies.pop(request_id, None)
            self._num_logprobs.pop(request_id, None)
        for new in output.scheduled_new_reqs:
            if new.req_id not in self._replies:  # else it was preempted and is back
                self._replies[new.req_id] = (len(new.prompt_token_ids), self._reply(new))
                self._note_logprobs(new.req_id, new.sampling_params.logprobs)

    def _note_logprobs(self, request_id: str, asked: int | None) -> None:
        if asked is not None:
            self._num_logprobs[request_id] = VOCABULARY if asked < 0 else asked

    def _logprobs(self, output: ModelRunnerOutput) -> LogprobsLists | None:
        """A row a request, as wide as the one that asked for most; None where nobody asked."""
        asked = [self._num_logprobs.get(name) for name in output.req_ids]
        most = max((number for number in asked if number is not None), default=None)
        if most is None:
            return None
        return LogprobsLists(*logprobs(output.sampled_token_ids, most))

    def _reply(self, new: Any) -> Reply:
        params, prompt = new.sampling_params, new.prompt_token_ids
        asked = ScriptedRequest(new.req_id, prompt, params.max_tokens, params.extra_args or {})
        given = None if self._script is None else self._script.tokens(asked)
        room = self.model_config.max_model_len - len(prompt)
        return Reply(asked, given, limited=params.max_tokens < room or params.ignore_eos)

    def _shares(self, output: Any) -> Iterator[Share]:
        given = output.num_scheduled_tokens
        for new in output.scheduled_new_reqs:
            known = len(new.prefill_token_ids or new.prompt_token_ids)
            yield new.req_id, given[new.req_id], new.num_computed_tokens, known
        cached = output.scheduled_cached_reqs
        facts = (cached.req_ids, cached.num_computed_tokens, cached.num_output_tokens)
        for request_id, computed, generated in zip(*facts, strict=True):
            known = self._replies[request_id][0] + generated
            yield request_id, given[request_id], computed, known

    def _sample(self, shares: list[Share], copied: KVConnectorOutput | None) -> ModelRunnerOutput:
        """One token for each request whose prefill is complete after this step."""
        sampled = []
        for request_id, tokens, computed, known in shares:
            num_prompt_tokens, reply = self._replies[request_id]
            complete = computed + tokens >= known
            sampled.append([reply.token(known - num_prompt_tokens)] if complete else [])
        ids = [share[0] for share in shares]
        places = {name: i for i, name in enumerate(ids)}
        return ModelRunnerOutput(ids, places, sampled, kv_connector_output=copied)

    # --- what vLLM asks of its workers

    def collective_rpc(
        self,
        method: Any,
        timeout: float | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        non_block: bool = False,
        **_: Any,
    ) -> Any:
        answer = [self._answer(method if isinstance(method, str) else method.__name__)]
        return _done(answer) if non_block else answer

    def _answer(self, method: str) -> Any:
        """What the one worker would say; None to all that would move memory or kernels."""
        match method:
            case "get_kv_cache_spec":
                return {"layer": self._kv_spec()}
            case "get_supported_kv_cache_layouts":
                return [LAYOUT]
            case "determine_available_memory":
                return self._memory_bytes()
            case "compile_or_warm_up_model":
                return CompilationTimes(language_model=0.0, encoder=0.0)
            case "get_supported_tasks":
                return ("generate",)
            case "get_simple_cpu_offload_num_cpu_blocks":
                return self._host_blocks()
        return None

    def _memory_bytes(self) -> int:
        """For KV: the profile's, of the share that vLLM may use, and the block that it sets aside.

        A plain `vllm serve` asks for it; where the number of blocks is given, it decides nothing.
        """
        cache = self.cache_config
        if cache.num_gpu_blocks_override is not None:
            return ENOUGH_BYTES
        blocks = self._hardware.kv_blocks(cache.block_size, cache.gpu_memory_utilization)
        return (blocks + 1) * int(self._kv_spec().page_size_bytes)

    def _host_blocks(self) -> int:
        """Of the host memory that vLLM's simple connector is given."""
        extra = self.vllm_config.kv_transfer_config.kv_connector_extra_config
        return max(1, int(extra["cpu_bytes_to_use"]) // self._kv_spec().page_size_bytes)

    def _kv_spec(self) -> FullAttentionSpec:
        """The tiny model's, whose blocks take the bytes of the model that it stands for."""
        block_size = self.cache_config.block_size
        return FullAttentionSpec(
            block_size=block_size,
            num_kv_heads=self.model_config.get_num_kv_heads(self.parallel_config),
            head_size=self.model_config.get_head_size(),
            dtype=torch.bfloat16,
            page_size_padded=math.ceil(block_size * self._hardware.kv_bytes_per_token),
        )

    def check_health(self) -> None:
        """There is nothing that could break."""

    def take_draft_token_ids(self) -> None:
        """Nothing is drafted."""

    def shutdown(self) -> None:
        """Nothing to free."""


def _constrain(output: ModelRunnerOutput, grammar: Any) -> None:
    """What stands under a grammar says what that allows."""
    masks = grammar.grammar_bitmask
    stride = len(masks) // len(grammar.structured_output_request_ids)
    for number, name in enumerate(grammar.structured_output_request_ids):
        index = output.req_id_to_index.get(name)
        if index is not None and output.sampled_token_ids[index]:
            output.sampled_token_ids[index] = [plainest(masks[number * stride])]


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future
