"""vLLM hands what a step starts to one of two model runners; the platform says to which."""

from __future__ import annotations

import pytest

from marsbench.core import events
from marsbench.hardware.profile import load_hardware
from marsbench.proof.worlds import world

pytestmark = pytest.mark.vllm

RUNNERS = ("1", "0")
RESUMES_SEVERAL = [("infercept", 12), ("mars-released", 18)]
"""Worlds in which a step lets more than one preempted request go on."""


def played(
    runner: str, backend: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> list[events.Event]:
    from marsbench.core.sim.simulation import SimConfig, Simulation

    monkeypatch.setenv("VLLM_USE_V2_MODEL_RUNNER", runner)
    one, seen = world(seed), list[events.Event]()
    simulation = Simulation(SimConfig(load_hardware(), one.settings, backend), seen.append)
    assert simulation.engine.scheduler.use_v2_model_runner == (runner == "1")
    simulation.run(one.sessions)
    return seen


@pytest.mark.parametrize(("backend", "seed"), RESUMES_SEVERAL)
def test_the_events_are_the_same_whichever_it_is(
    backend: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = (played(runner, backend, seed, monkeypatch) for runner in RUNNERS)
    at = [e.at for e in new if isinstance(e, events.GpuStart) and e.resumed]
    assert len(at) > len(set(at))
    assert new == old
