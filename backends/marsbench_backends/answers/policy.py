"""A policy, asked: every answer that comes back can be carried out.

Most answers are looked at every time. Keys are asked of all requests at once, where a look at each
would be seen in a step's time: so a request's key is looked at when it joins, and those of a whole
order in the first `FIRST` orders, then in every `EVERY`th, whenever sorting fails, and always under
`--check`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from marsbench_backends.answers.allowed import RULES
from marsbench_backends.answers.wrong import Sayer, Told, quoted
from marsbench_backends.policy import EvictionRank, Key, Paused, Policy, Req, Retention, View
from marsbench_backends.signals import Signal, StepEnded

Answer = TypeVar("Answer")
FIRST = 16
EVERY = 64
HOLDS_UP = ("retain", "reclaim", "chunk", "shrink", "changes_at")
"""Decisions that can keep all from going on."""


class Answers:
    """Asks a policy. `told` hears of a wrong answer; where it returns, the default's is taken.

    thorough: look at every key. quick_waiting_key: a key as it is answered, not looked at.
    """

    def __init__(self, policy: Policy, backend: str, view: View, told: Told) -> None:
        self.policy = policy
        self.view = view
        self._last: dict[str, tuple[Any, Any]] = {}
        self._num_orders = {"waiting_key": 0, "running_key": 0}
        self.sayer = Sayer(backend, told)
        self.thorough = False
        self.quick_waiting_key: Callable[[Req], Key] = lambda req: policy.waiting_key(req, view)

    def overrides(self, decision: str) -> bool:
        """Whether the policy answers it in a way of its own."""
        return getattr(type(self.policy), decision) is not getattr(Policy, decision)

    def retain(self, paused: Paused) -> Retention:
        return self._ask(Policy.retain, paused, paused)

    def eviction_order(self, req: Req) -> Sequence[EvictionRank]:
        return self._ask(Policy.eviction_order, req, req)

    def reclaim(self, held: Sequence[Paused], needs: Req) -> str | None:
        return self._ask(Policy.reclaim, needs, held, needs)

    def victim(self, running: Sequence[Req]) -> Req:
        return self._ask(Policy.victim, None, running)

    def yields(self, running: Sequence[Req]) -> Sequence[Req]:
        return self._ask(Policy.yields, None, running)

    def chunk(self, req: Req, num_tokens: int) -> int:
        return self._ask(Policy.chunk, req, req, num_tokens)

    def shrink(self, req: Req, num_tokens: int, room_tokens: int) -> int:
        return self._ask(Policy.shrink, req, req, num_tokens, room_tokens)

    def steady_tokens(self, req: Req) -> float:
        return self._ask(Policy.steady_tokens, req, req)

    def changes_at(self) -> float:
        return self._ask(Policy.changes_at, None)

    def observe(self, signal: Signal) -> None:
        try:
            self.policy.observe(signal)
        except Exception as error:
            self.sayer.raised("observe", error, _of(signal), self.view.now)

    def serve(self, step: StepEnded) -> None:
        try:
            self.policy.serve(step)
        except Exception as error:
            self.sayer.raised("serve", error, "", self.view.now)

    def last(self) -> str:
        """The last answer to each decision that can hold things up; empty if none was asked."""
        found = [(name, *self._last[name]) for name in HOLDS_UP if name in self._last]
        return "; ".join(f"{name} {quoted(answer)}{_of(about)}" for name, answer, about in found)

    # --- keys

    def waiting_key(self, req: Req) -> Key:
        return self._ask(Policy.waiting_key, req, req)

    def looks_at(self, decision: str) -> bool:
        """Whether the keys of the order that is made now are looked at."""
        number = self._num_orders[decision]
        self._num_orders[decision] = number + 1
        return self.thorough or number < FIRST or number % EVERY == 0

    def keys(self, decision: Callable[..., Key], reqs: Sequence[Req]) -> list[Key]:
        """Keys that can be compared, one a request."""
        keys = [self._ask(decision, req, req) for req in reqs]
        try:
            sorted(keys)
        except TypeError as error:
            one, other = _unlike(keys)
            said = f"answered {quoted(one)} and {quoted(other)}, which cannot be compared: {error}."
            self.sayer.say(decision.__name__, "unlike", said)
            return [decision(self.policy, req, self.view) for req in reqs]
        return keys

    def sort_running(self, running: list[Any], reqs: Mapping[str, Req]) -> None:
        """Sort vLLM's requests, which `reqs` knows by their ids, by `running_key`."""
        key, view = self.policy.running_key, self.view
        if not self.looks_at("running_key"):
            with suppress(Exception):  # asked again below, where it is said what is wrong
                running.sort(key=lambda request: key(reqs[request.request_id], view))
                return
        ids = [request.request_id for request in running]
        keys = dict(zip(ids, self.keys(Policy.running_key, [reqs[i] for i in ids]), strict=True))
        running.sort(key=lambda request: keys[request.request_id])

    def _ask(self, decision: Callable[..., Answer], about: Any, *given: Any) -> Answer:
        """The policy's answer to a decision of Policy's, whose own is the default."""
        name, view = decision.__name__, self.view
        try:
            answer: Answer = getattr(self.policy, name)(*given, view)
        except Exception as error:
            self.sayer.raised(name, error, _of(about), view.now)
        else:
            self._last[name] = answer, about
            allows, allowed = RULES[name]
            now = view.now
            if allows(answer, now, *given):
                return answer
            self.sayer.answered(name, answer, _of(about), now, allowed(*given))
        return decision(self.policy, *given, view)


def _of(about: Any) -> str:
    """Whom a decision is about, where that is one session."""
    if about is None or not about.session_id:  # of the engine, and of no session
        return ""
    number = getattr(about, "round", None)
    return f" for session '{about.session_id}'" + ("" if number is None else f", round {number}")


def _unlike(keys: Sequence[Key]) -> tuple[Key, Key]:
    """The first key and one of other types."""
    types = [[type(part) for part in key] for key in keys]
    return keys[0], keys[next(i for i, found in enumerate(types) if found != types[0])]
