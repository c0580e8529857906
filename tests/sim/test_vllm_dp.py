"""`vllm-dp` sends rounds where vLLM's own balancer of its data-parallel engines would."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from marsbench.replicas.registry import choose_router
from marsbench.replicas.router import ReplicaView, RoundToPlace

pytestmark = pytest.mark.vllm


class Balancer:
    """vLLM's client of several engines, without the processes and sockets behind it."""

    def __init__(self, num: int) -> None:
        self.state: Any = SimpleNamespace(
            client_count=1,
            eng_start_index=0,
            core_engines=list(range(num)),
            lb_engines=[[0, 0, 0.0] for _ in range(num)],
            engine_inflight=Counter(),
            reqs_in_flight={},
            streaming_reqs=set(),
        )

    def send(self, request_id: str) -> int:
        from vllm.v1.engine.core_client import DPLBAsyncMPClient

        facts = {"resumable": False, "data_parallel_rank": None, "pooling_params": None}
        request: Any = SimpleNamespace(request_id=request_id, **facts)
        chosen: Any = DPLBAsyncMPClient.get_core_engine_for_request(self.state, request)
        return int(chosen)

    def end(self, request_id: str) -> None:
        self.state.engine_inflight[self.state.reqs_in_flight.pop(request_id)] -= 1


def asked(number: int) -> RoundToPlace:
    return RoundToPlace(0.0, f"s{number}", 0, 100, 16, (), lambda _: 0, lambda *_: 0.0)


@pytest.mark.parametrize("num", [2, 3, 8])
def test_it_decides_as_vllm_on_random_streams(num: int) -> None:
    dice, balancer = random.Random(num), Balancer(num)
    found = choose_router("vllm-dp").build()
    reports, since, under_way = [[0, 0, 0.0]] * num, [0] * num, [0] * num
    open_: dict[str, int] = {}
    chosen: Counter[int] = Counter()
    for number in range(600):
        if dice.random() < 0.2:  # a report: few wait, so that what is under way counts too
            reports = [
                [dice.choice((0, 0, 1, 4)), dice.randrange(6), dice.random()] for _ in range(num)
            ]
            since = [0] * num
            balancer.state.lb_engines = [list(one) for one in reports]
        ask = asked(number)
        shown = [
            ReplicaView(i, running, waiting, 0, usage, since[i], under_way[i])
            for i, (waiting, running, usage) in enumerate(reports)
        ]
        index = found.route(ask, shown)
        assert index == balancer.send(ask.session)
        found.placed(ask, index)
        since[index] += 1
        under_way[index] += 1
        open_[ask.session], chosen[index] = index, chosen[index] + 1
        for session in dice.sample(sorted(open_), dice.randrange(min(3, len(open_) + 1))):
            under_way[open_.pop(session)] -= 1
            balancer.end(session)
    assert min(chosen[i] for i in range(num)) > 600 // num // 2
