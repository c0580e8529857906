"""Policies that misbehave, in the simulator: the run ends with one sentence, and time goes on."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("vllm")

from backends.bad import BAD, BAD_ADMISSION
from backends.world import SETTINGS, hardware, workload
from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.sim import watchdog
from marsbench.core.sim.simulation import SimConfig, Simulation
from marsbench.errors import RunFailedError
from marsbench_backends.admission import Admission
from marsbench_backends.policies.fcfs import FCFS
from marsbench_backends.policy import Keep, Policy
from marsbench_backends.registry import Backend

pytestmark = pytest.mark.vllm


CROWD = (*workload(), *(Session(f"s9{n}", (Round(400, 1_000),)) for n in range(3)))
"""Among them some whose long answers do not fit together: one is preempted."""


def config(policy: type[Policy], **facts: Any) -> SimConfig:
    name = f"{policy.__module__}:{policy.__name__}"
    return SimConfig(hardware(), SETTINGS, name, **facts)


@pytest.mark.parametrize("check", [False, True], ids=["", "check"])
@pytest.mark.parametrize("policy", BAD, ids=lambda policy: policy.__name__)
def test_a_wrong_answer_ends_the_run_with_a_sentence(policy: type[Policy], check: bool) -> None:
    with pytest.raises(RunFailedError) as failed:
        Simulation(config(policy, check=check), lambda _: None).run(CROWD)
    said = str(failed.value)
    assert said.startswith(f"backends.bad:{policy.__name__}: ")
    assert re.search(BAD[policy], said), said
    assert "\n" not in said


@pytest.mark.parametrize("admission", BAD_ADMISSION, ids=lambda one: one.__name__)
def test_a_wrong_admission_ends_the_run_with_a_sentence(admission: type[Admission]) -> None:
    run = SimConfig(hardware(), SETTINGS, Backend("fcfs", FCFS, admission))
    with pytest.raises(RunFailedError) as failed:
        Simulation(run, lambda _: None).run(workload())
    said = str(failed.value)
    assert said.startswith(f"fcfs: {admission.__name__}: ")
    assert re.search(BAD_ADMISSION[admission], said), said


# --- time that goes on


class Creeping(Policy):
    """Is asked again at once, for ever: each answer is allowed, and together they hold time up."""

    def retain(self, paused: Any, view: Any) -> Keep:
        return Keep(view.now + 1e-9)

    def reclaim(self, held: Any, needs: Any, view: Any) -> None:
        return None


class Restless(Creeping):
    def retain(self, paused: Any, view: Any) -> Keep:
        return Keep(view.now + 1_000)

    def changes_at(self, view: Any) -> float:
        return float(view.now + 1e-9)


class Patient(Creeping):
    """Looks often at a hold, which nobody may take before its session is back."""

    def retain(self, paused: Any, view: Any) -> Keep:
        return Keep(view.now + 0.05)

    def reclaim(self, held: Any, needs: Any, view: Any) -> Any:
        return held[0].session_id if held[0].returned else None


class Stubborn(Patient):
    """Not even then."""

    def reclaim(self, held: Any, needs: Any, view: Any) -> None:
        return None


class Closed(Admission):
    """Looks at who waits every half second, and lets nobody in."""

    tick_s = 0.5

    def admit(self, waiting: Any, state: Any) -> Any:
        return ()


def blocked() -> list[Session]:
    """One whose tool runs for five minutes, and one whose prompt needs the blocks that it holds."""
    tool = ToolCall("build", floor_s=300.0)
    held = Session("held", (Round(2_400, 10, (tool,)), Round(10, 10)))
    return [held, Session("needs", (Round(2_400, 10),), arrival_s=5.0)]


def failed_by(run: SimConfig, sessions: Any) -> str:
    with pytest.raises(RunFailedError) as failed:
        Simulation(run, lambda _: None).run(sessions)
    return str(failed.value)


@pytest.mark.parametrize(
    ("policy", "last"),
    [(Creeping, "retain Keep(until="), (Restless, "changes_at ")],
    ids=["a hold", "a change"],
)
def test_time_that_stands_still_ends_the_run(policy: type[Policy], last: str) -> None:
    said = failed_by(config(policy), blocked())
    assert re.match(r"Virtual time stands still at [\d.]+ s: 1,0[12]0 looks in a row let", said)
    assert f"What {__name__}:{policy.__name__} answered last: " in said
    assert last in said


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "ALONE", 10_000)  # in place of ten times as many: seconds


@pytest.mark.usefixtures("hurried")
def test_time_that_passes_for_nothing_ends_the_run() -> None:
    """Here the session that is back waits behind the one that waits for its blocks."""
    said = failed_by(config(Stubborn), blocked())
    assert re.match(r"Nothing has happened since 30[\d.]+ s, and nothing will: 10,000 looks", said)
    assert "reclaim None for session 'needs', round 0" in said


@pytest.mark.usefixtures("hurried")
def test_a_controller_that_looks_for_ever_and_lets_nobody_in_ends_the_run() -> None:
    run = SimConfig(hardware(), SETTINGS, Backend("fcfs", FCFS, Closed))
    assert failed_by(run, blocked()).startswith("Nothing has happened since 5 s, and nothing will")


def test_a_hold_that_is_looked_at_often_is_no_standstill() -> None:
    simulation = Simulation(config(Patient), lambda _: None)
    simulation.run(blocked())
    assert simulation.now > 300
    assert simulation.counters.schedule_calls > 5_000


def test_a_crowd_at_one_instant_is_no_standstill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PATIENCE", 0)
    monkeypatch.setattr(watchdog, "PER_REQUEST", 0)
    tool = ToolCall("none")
    crowd = [Session(f"s{n}", (Round(40, 2, (tool,)), Round(8, 2))) for n in range(500)]
    seen: list[Any] = []
    Simulation(config(Policy), seen.append).run(crowd)
    assert sum(type(event).__name__ == "SessionEnded" for event in seen) == 500


def test_a_request_that_is_always_passed_over_is_told() -> None:
    with pytest.raises(
        RunFailedError, match=r"Nothing can run.*answered last: chunk 0 for session"
    ):
        Simulation(config(PassesOver), lambda _: None).run(workload())


class PassesOver(Policy):
    def chunk(self, req: Any, num_tokens: int, view: Any) -> int:
        return 0
