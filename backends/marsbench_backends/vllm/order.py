"""The order of waiting and running requests: a policy's keys, asked again when they may differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from marsbench_backends.answers.policy import Answers
from marsbench_backends.policy import Policy
from marsbench_backends.vllm.queue import PolicyQueue
from marsbench_backends.vllm.views import VllmReq


class RequestOrder:
    """`stale`: keys of the waiting may have changed since they were asked."""

    def __init__(
        self,
        policy: Policy,
        answers: Answers,
        reqs: Mapping[str, VllmReq],
        looked_at: Callable[[VllmReq, VllmReq], None],
    ) -> None:
        self._policy = policy
        self._answers = answers
        self._reqs = reqs
        self.waiting = PolicyQueue(reqs, answers, looked_at)
        self.stale = False
        self._version = policy.version
        self._resort_at = math.inf
        self._ages = type(policy).changes_at is not Policy.changes_at

    def joined(self) -> None:
        """A round waits since now: when time alone changes a key is to be asked again."""
        self.stale = self.stale or self._ages

    def renew(self, now: float, running: list[Any]) -> None:
        """Before a step: the waiting in order, where that may be another one; the running too."""
        if self.stale or self._policy.version != self._version or now >= self._resort_at:
            self.waiting.resort()
            self.stale, self._version = False, self._policy.version
            self._resort_at = self._answers.changes_at()
        self.sort_running(running)

    def sort_running(self, running: list[Any]) -> None:
        """The running requests in the policy's order, as the next step will serve them."""
        if self._policy.sorts_running:
            self._answers.sort_running(running, self._reqs)

    def changes_by(self, now: float) -> bool:
        """Whether a step at `now` asks for an order that the last one did not have."""
        changed = self.stale or self._policy.version != self._version
        return changed or now >= self._resort_at
