"""What the scheduler of a server has beyond that of a simulation.

- Its clock is real, `speed` times as fast on an emulated GPU, and stands still within a call of
  the engine: a policy that is asked twice in one step gives one answer, and what was recorded can
  be played again.
- It finds out which session and round a request belongs to (session_table.py), tells the policy of
  the tool calls that it infers from the gaps, and ends sessions that were abandoned.
- It writes down what it decides, if asked to (record.py).
- It never falls over a policy: where one answers what cannot be carried out, it warns once and does
  what vLLM does on its own (wrong.py).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from vllm.logger import init_logger
from vllm.v1.request import Request, RequestStatus

from marsbench_backends.answers.wrong import Told, WarnOnce
from marsbench_backends.signals import Signal
from marsbench_backends.vllm.mixin import PolicyMixin, own_config
from marsbench_backends.vllm.record import DecisionRecorder
from marsbench_backends.vllm.session_table import IDLE_S, SessionTable

logger = init_logger("vllm." + __name__)  # vLLM configures only its own logger tree


class StandingClock:
    """Seconds, `speed` of them in a real one, as of the last `read`."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._now = 0.0
        self.read()

    def read(self) -> float:
        """Move to the present."""
        self._now = time.monotonic() * self._speed  # noqa: TID251 (a server's clock)
        return self._now

    def __call__(self) -> float:
        return self._now


class ServerMixin(PolicyMixin):
    """Its parameters in `--additional-config`, beside those of the policy, all optional:

    {"marsbench": {"speed": 10, "idle_s": 1800, "record": "decisions.jsonl"}}
    """

    def __init__(self, vllm_config: Any, *args: Any, **kwargs: Any) -> None:
        config = own_config(vllm_config)
        self._standing = StandingClock(float(config.get("speed", 1.0)))
        super().__init__(vllm_config, *args, clock=self._standing, **kwargs)
        self.sessions = SessionTable(float(config.get("idle_s", IDLE_S)))
        path = config.get("record")
        self._recorder = DecisionRecorder(None if path is None else Path(path))
        self._begun: list[Signal] = []  # tool calls that begin with the end of this step

    def _told(self) -> Told:
        """A server goes on, and says so once."""
        return WarnOnce(logger.warning)

    def add_request(self, request: Request) -> None:
        now = self._standing.read()
        params = request.sampling_params
        if request.request_id not in self.requests and params is not None:
            self._fill_in(request, params, now)
        super().add_request(request)

    def _fill_in(self, request: Request, params: Any, now: float) -> None:
        """Complete what the request says of itself, for the policy and for the executor."""
        sent = params.extra_args or {}
        facts = (request.request_id, request.session_id, sent, request.num_prompt_tokens, now)
        info, ended = self.sessions.submitted(*facts)
        self._tell_all(ended)
        params.extra_args = {**sent, **info.to_extra_args()}
        tokens = (request.num_prompt_tokens, params.max_tokens)
        self._recorder.submitted(now, request.request_id, info, *tokens)

    def schedule(self, throttle_prefills: bool = False) -> Any:
        now = self._standing.read()
        for info in self.sessions.abandoned(now):
            self.end_session(info)
            self._recorder.abandoned(now, info)
        output = super().schedule(throttle_prefills)
        self._recorder.scheduled(now, output, self.view.free_blocks)
        return output

    def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> Any:
        self._recorder.computed(self._standing.read(), model_runner_output.kv_connector_output)
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        self._tell_all(self._begun)
        return outputs

    def finish_requests(self, *args: Any, **kwargs: Any) -> Any:
        now = self._standing.read()
        ended = super().finish_requests(*args, **kwargs)
        self._begun.clear()  # who ends a request from outside takes it for the session's end
        if ended:
            self._recorder.aborted(now, [request.request_id for request in ended])
        return ended

    def _free_blocks(self, request: Request) -> None:
        info, now = self.reqs[request.request_id].info, self._standing()
        super()._free_blocks(request)
        # The last output token is sampled but never computed.
        computed = max(request.num_prompt_tokens, request.num_tokens - 1)
        aborted = request.status == RequestStatus.FINISHED_ABORTED
        self._begun += self.sessions.round_ended(info, computed, now, aborted)

    def _tell_all(self, signals: list[Signal]) -> None:
        """Tell the policy of tool calls, and write that down."""
        for signal in signals:
            self.tell(signal)
            self._recorder.told(signal)
        signals.clear()

    def shutdown(self) -> None:
        super().shutdown()
        self._recorder.close()
