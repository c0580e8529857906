"""What a policy is told: signals of vLLM's steps, as far as it listens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vllm.v1.request import Request

from marsbench_backends.answers.policy import Answers
from marsbench_backends.policies.fcfs import FCFS
from marsbench_backends.signals import (
    FirstToken,
    RoundEnded,
    RoundPreempted,
    RoundStarted,
    RoundSubmitted,
    Service,
    Signal,
    StepEnded,
)
from marsbench_backends.vllm.views import VllmReq


class Notices:
    """`tracks`: whether anybody may ask who has started and who pauses; not under plain FCFS."""

    def __init__(self, answers: Answers, reqs: Mapping[str, VllmReq]) -> None:
        self._answers = answers
        self._reqs = reqs
        self._listens = answers.overrides("observe")
        self._hears_service = answers.overrides("serve")
        self.tracks = type(answers.policy) is not FCFS
        self._step_began = 0.0
        self._first_tokens: list[VllmReq] = []
        self._preempted_tokens: dict[str, int] = {}

    def tell(self, signal: Signal) -> None:
        """Let the policy learn, if it does."""
        if self._listens:
            self._answers.observe(signal)

    def step_began(self, now: float) -> None:
        self._step_began = now

    def submitted(self, req: VllmReq) -> None:
        info = req.info
        future = info.future if self._answers.policy.clairvoyant else None
        facts = (
            info.session_id,
            info.round,
            req.num_prompt_tokens,
            info.parent,
            future,
            info.tenant,
        )
        self.tell(RoundSubmitted(req.submitted_at, *facts))

    def preempts(self, request: Request) -> None:
        """In the step that is put together; the policy hears of it when that is done."""
        if self.tracks:
            self._preempted_tokens[request.request_id] = request.num_computed_tokens
            self._reqs[request.request_id].num_found_tokens = None

    def preempted(self, req: VllmReq, now: float) -> None:
        """Told once: those who yield are told of before the step, and are in its output as well."""
        computed = self._preempted_tokens.pop(req.request_id, None)
        if computed is not None:
            self.tell(RoundPreempted(now, req.session_id, req.round, computed))

    def started(self, req: VllmReq, num_found_tokens: int, now: float) -> None:
        req.num_found_tokens = num_found_tokens
        size, waited = self._answers.view.block_size, now - req.submitted_at
        evicted = num_found_tokens < req.info.reusable_tokens // size * size
        facts = (req.session_id, req.round, waited, num_found_tokens, evicted, req.started)
        self.tell(RoundStarted(now, *facts))
        req.started = True

    def served(self, output: Any, requests: Mapping[str, Any]) -> None:
        """A step's tokens are known; those of `requests` that have ended meanwhile are left out."""
        if not (self._listens or self._hears_service):
            return
        reqs = self._reqs
        served: list[Service] = []
        for request_id, tokens in output.num_scheduled_tokens.items():
            req = reqs.get(request_id)
            if req is None:
                continue
            request = requests[request_id]
            prefill = request.num_output_tokens == 0
            served.append((req.session_id, tokens, prefill))
            if prefill and not request.is_prefill_chunk:
                self._first_tokens.append(req)
        if self._hears_service:
            now = self._answers.view.now
            self._answers.serve(StepEnded(now, now - self._step_began, served))

    def first_tokens(self) -> None:
        """Of the step that was served last, once its rounds that ended have been told of."""
        for req in self._first_tokens:
            now = self._answers.view.now
            waited = now - req.submitted_at
            self.tell(FirstToken(now, req.session_id, req.round, waited))
        self._first_tokens.clear()

    def ended(self, req: VllmReq, request: Request, now: float) -> None:
        """A round, whose tools begin now."""
        info, seconds = req.info, now - req.submitted_at
        facts = (info.round, request.num_tokens, request.num_output_tokens, info.tools, seconds)
        self.tell(RoundEnded(now, info.session_id, *facts))
