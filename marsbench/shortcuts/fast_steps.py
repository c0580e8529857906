"""vLLM's bookkeeping of a step, said shortly for requests that only ever prefill and decode.

What `schedule()` decides is vLLM's. Around it, for every request of every step, vLLM also writes
the message to the worker, and afterwards reads the answer for drafts, logprobs, grammars, pooling
and stop words. In the simulator nobody reads the message, and an answer is one token: what is left
are the few lines here. `SimConfig.fast=False` runs vLLM's own, and tests/sim compares every event.
"""

from __future__ import annotations

from typing import Any

from vllm.v1.core.sched.output import CachedRequestData, SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.core.sched.utils import remove_all
from vllm.v1.engine import EngineCoreOutput, EngineCoreOutputs
from vllm.v1.outputs import KVConnectorOutput, ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus

TOKEN = 7  # any sampled token: nothing reads it


def sampled(
    scheduler: Scheduler, output: SchedulerOutput, copied: KVConnectorOutput | None = None
) -> ModelRunnerOutput:
    """What a model runner would return: one token for each request whose prefill is complete.

    copied: what its connector says of copies that have ended.
    """
    ids = list(output.num_scheduled_tokens)
    requests = scheduler.requests
    return ModelRunnerOutput(
        req_ids=ids,
        req_id_to_index={request_id: i for i, request_id in enumerate(ids)},
        sampled_token_ids=[[] if requests[i].is_prefill_chunk else [TOKEN] for i in ids],
        kv_connector_output=copied,
    )


class FastSteps(Scheduler):
    """Beneath the adapter: the loops over the requests of a step, where `fast_steps` is set.

    offloads: copies to and from host memory are vLLM's own connector's, which reads the blocks of
        each request in the message to the worker. copied: what is to be told of them.
    """

    fast_steps = False
    offloads = False
    copied: KVConnectorOutput | None = None

    def _make_cached_request_data(
        self,
        running_reqs: list[Request],
        resumed_reqs: list[Request],
        *rest: Any,
    ) -> CachedRequestData:
        """Who was scheduled: the rest of the message is for a worker, and there is none."""
        if not self.fast_steps:
            return super()._make_cached_request_data(running_reqs, resumed_reqs, *rest)
        resumed = [request.request_id for request in resumed_reqs]
        ids = [*(request.request_id for request in running_reqs), *resumed]
        new = rest[-1] if self.offloads else {}
        return CachedRequestData(
            req_ids=ids,
            resumed_req_ids=set(resumed),
            new_token_ids=[],
            all_token_ids={},
            new_block_ids=[new[i].get_block_ids(allow_none=True) for i in ids if new],
            num_computed_tokens=[],
            num_output_tokens=[],
        )

    def _connector_finished(self, request: Request) -> tuple[bool, dict[str, Any] | None]:
        """The connector to host memory does not ask which blocks a request had."""
        if not (self.fast_steps and self.offloads):
            return super()._connector_finished(request)
        connector: Any = self.connector
        delays, parameters = connector.request_finished_all_groups(request, ())
        return bool(delays), parameters

    def _update_after_schedule(self, scheduler_output: Any) -> None:
        if not self.fast_steps:
            super()._update_after_schedule(scheduler_output)
            return
        requests, prefills = self.requests, self._inflight_prefills
        for request_id, tokens in scheduler_output.num_scheduled_tokens.items():
            request = requests[request_id]
            computed = request.num_computed_tokens = request.num_computed_tokens + tokens
            request.num_in_flight_tokens += tokens
            is_prefill = request.is_prefill_chunk = computed < len(request._all_token_ids)
            if not is_prefill:
                prefills.discard(request)
        self.finished_req_ids: set[str] = set()
        self.reset_preempted_req_ids: set[str] = set()

    def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> Any:
        """A token for each request whose prompt is computed; those that have all of theirs end.

        model_runner_output: None for what a model would return, made where it is read.
        """
        copied, self.copied = self.copied, None
        if not self.fast_steps or not (self.connector is None or self.offloads):
            if model_runner_output is None:
                model_runner_output = sampled(self, scheduler_output, copied)
            return super().update_from_output(scheduler_output, model_runner_output)
        ended = []
        requests, longest = self.requests, self.max_model_len
        for request_id, tokens in scheduler_output.num_scheduled_tokens.items():
            request = requests[request_id]
            request.num_in_flight_tokens -= tokens
            if request.is_prefill_chunk:
                continue
            output, context = request._output_token_ids, request._all_token_ids
            output.append(TOKEN)
            context.append(TOKEN)
            if len(output) >= request.max_tokens or len(context) >= longest:
                request.status = RequestStatus.FINISHED_LENGTH_CAPPED
                self._free_request(request)  # at once, as vLLM does: a policy is asked here
                ended.append(request)
        outputs = self._outputs(ended)
        if copied is not None:
            self._update_from_kv_xfer_finished(copied)
        return outputs

    def _outputs(self, ended: list[Request]) -> dict[int, EngineCoreOutputs]:
        """Take those that ended off the running list; what vLLM says of them."""
        if not ended:
            return {}
        self.running: list[Request] = remove_all(self.running, set(ended))
        reason = RequestStatus.get_finished_reason(RequestStatus.FINISHED_LENGTH_CAPPED)
        outputs = [EngineCoreOutput(r.request_id, [TOKEN], finish_reason=reason) for r in ended]
        return {0: EngineCoreOutputs(outputs=outputs)}
