"""The scheduler of a server: sessions known from requests alone, and its clock."""

from __future__ import annotations

from typing import Any

import pytest

from marsbench.core.settings import EngineSettings
from marsbench_backends import signals
from marsbench_backends.policy import Policy

pytestmark = pytest.mark.vllm


class Listener(Policy):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[signals.Signal] = []

    def observe(self, signal: signals.Signal) -> None:
        self.told.append(signal)


def make(**config: Any) -> Any:
    from marsbench.core.sim.vllm_core import make_scheduler
    from marsbench_backends.scheduler import MarsbenchScheduler

    told = {"backend": f"{__name__}:Listener", **config}
    return make_scheduler(
        MarsbenchScheduler, EngineSettings(256, max_num_seqs=16), 100, 1600, {"marsbench": told}
    )


def play(scheduler: Any, name: str, **sent: Any) -> None:
    """A round of session "s" from its request to its end."""
    from marsbench.core.sim.vllm_core import make_request
    from marsbench.shortcuts.fast_steps import sampled

    scheduler.add_request(make_request(name, "s", 40, 2, [], 0.0, sent))
    while scheduler.has_unfinished_requests():
        output = scheduler.schedule()
        scheduler.update_from_output(output, sampled(scheduler, output))


def told(scheduler: Any, *kinds: type) -> list[Any]:
    return [s for s in scheduler.marsbench_policy.told if isinstance(s, kinds)]


def test_rounds_are_counted_and_pauses_are_tool_calls() -> None:
    scheduler = make()
    play(scheduler, "r0", marsbench_tools=["grep"])
    play(scheduler, "r1")
    assert [s.round for s in told(scheduler, signals.RoundSubmitted)] == [0, 1]
    kinds = [type(s).__name__ for s in scheduler.marsbench_policy.told]
    pause = kinds.index("RoundEnded")
    assert kinds[pause : pause + 4] == ["RoundEnded", "ToolStarted", "ToolEnded", "RoundSubmitted"]
    (ended,) = told(scheduler, signals.ToolEnded)
    (began, _) = told(scheduler, signals.ToolStarted)
    assert (ended.name, ended.seconds) == ("grep", pytest.approx(ended.at - began.at))


def test_the_last_round_ends_the_session() -> None:
    scheduler = make()
    play(scheduler, "r0", marsbench_last=1)
    assert [s.num_rounds for s in told(scheduler, signals.SessionEnded)] == [1]
    assert not told(scheduler, signals.ToolStarted)
    assert len(scheduler.sessions) == 0


def test_an_abandoned_session_is_ended_with_its_state() -> None:
    scheduler = make(idle_s=1e-9)
    play(scheduler, "r0")
    assert set(scheduler.view.paused) == {"s"}
    scheduler.schedule()
    assert [s.num_rounds for s in told(scheduler, signals.SessionEnded)] == [1]
    assert not scheduler.view.paused


def test_the_clock_stands_still_within_a_call_and_runs_as_fast_as_told() -> None:
    slow, fast = make(), make(speed=1000.0)
    assert fast.view.now == fast.view.now
    assert slow.view.now < fast.view.now  # seconds since the machine started, and 1,000 times those
    before = fast.view.now
    fast.schedule()
    assert fast.view.now > before


def test_the_executor_can_read_whose_request_it_is() -> None:
    from marsbench.core.sim.vllm_core import make_request

    scheduler = make()
    request = make_request("r0", "s", 40, 2, [], 0.0, {"mine": 1})
    scheduler.add_request(request)
    facts = request.sampling_params.extra_args
    assert (facts["mine"], facts["marsbench"]["session"], facts["marsbench"]["round"]) == (
        1,
        "s",
        0,
    )
