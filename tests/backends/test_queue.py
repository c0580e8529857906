"""vLLM's own order beside a policy's: who would be first is known without looking at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.vllm


class Waits:
    """A request, of which vLLM's queue reads the id."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id


class Answers:
    """Whoever came last is first."""

    policy = SimpleNamespace(version=0)

    def overrides(self, _: str) -> bool:
        return False

    def waiting_key(self, req: Any) -> tuple[int, ...]:
        return (-req.came,)


def queue() -> tuple[Any, dict[str, Any], list[tuple[str, str]]]:
    from marsbench_backends.vllm.queue import PolicyQueue

    reqs: dict[str, Any] = {}
    looks: list[tuple[str, str]] = []
    answers: Any = Answers()
    made = PolicyQueue(reqs, answers, lambda one, own: looks.append((one.name, own.name)))
    return made, reqs, looks


@given(moves=st.lists(st.sampled_from(["add", "pop", "put back", "prepend", "remove", "look"])))
def test_the_front_of_each_order_is_the_smallest(moves: list[str]) -> None:
    waiting, reqs, looks = queue()
    out: list[Any] = []
    for number, move in enumerate(moves):
        if move == "add":
            name = f"r{number}"
            reqs[name] = SimpleNamespace(name=name, came=number, position=0)
            waiting.add_request(Waits(name))
        elif move == "pop" and waiting:
            out.append(waiting.pop_request())
        elif move == "put back" and out:
            waiting.prepend_requests([out.pop()])
        elif move == "prepend" and out:
            waiting.prepend_request(out.pop())
        elif move == "remove" and waiting:
            out.append(list(waiting)[-1])
            waiting.remove_request(out[-1])
        elif move == "look" and len(waiting) > 1:
            waiting.peek_request()
            inside = [reqs[request.request_id] for request in waiting]
            front = max(inside, key=lambda req: req.came)
            own = min(inside, key=lambda req: req.position)
            assert looks[-1] == (front.name, own.name)


def test_one_that_is_passed_over_for_ever_takes_no_more_memory() -> None:
    waiting, reqs, _ = queue()
    for number in range(2):
        reqs[str(number)] = SimpleNamespace(name=str(number), came=number, position=0)
        waiting.add_request(Waits(str(number)))
    for _ in range(50):
        waiting.peek_request()
        waiting.prepend_requests([waiting.pop_request()])
    assert len(waiting._own_order) <= 2
