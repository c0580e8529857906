"""Which agents come, and when: from the tasks, the knobs and the seed alone."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from marsbench.core.workload.knobs import Knobs
from marsbench.errors import UsageError
from marsbench.tasks.files import load_tasks
from marsbench.wall.agents import environment
from marsbench.wall.agents.environment import agents_python
from marsbench.wall.agents.options import OpenHandsOptions
from marsbench.wall.agents.plan import AgentPlan, make_plan

TASKS = load_tasks("shipped")


def plan(purpose: str = "run", **knobs: object) -> AgentPlan:
    return make_plan(TASKS, "shipped", Knobs(**{"rate": 0.5, **knobs}), 0, purpose)  # type: ignore[arg-type]


def test_the_same_inputs_give_the_same_sessions_and_another_seed_others() -> None:
    assert plan() == plan()
    ids = {session.id for p in (plan(), plan(seed=2), plan("alone")) for session in p.sessions}
    assert len(ids) == 3 * len(TASKS)


def test_every_task_is_done_as_often_as_every_other() -> None:
    sessions = plan(sessions=36).sessions
    assert set(Counter(s.task.id for s in sessions).values()) == {3}
    assert [s.task.id for s in sessions[:12]] != [s.task.id for s in sessions[12:24]]
    assert [s.arrival_s for s in sessions] == sorted(s.arrival_s for s in sessions)


def test_another_rate_stretches_the_same_arrivals() -> None:
    slow, fast = (plan(rate=r, sessions=20).sessions for r in (0.1, 0.2))
    assert [s.arrival_s for s in slow] == pytest.approx([2 * s.arrival_s for s in fast])
    assert [s.task.id for s in slow] == [s.task.id for s in fast]


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"rate": None}, "need a --rate"),
        ({"arrivals": "closed:2"}, "no rate"),
        ({"rate": None, "load": 0.5}, "--load"),
        ({"prefixes": 3}, "--prefixes"),
    ],
)
def test_knobs_without_a_meaning_here_are_refused(knobs: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan(**knobs)


@pytest.mark.parametrize(
    "bad", [{"url": "localhost"}, {"workers": 0}, {"context_tokens": -1}, {"time_limit_s": 0.0}]
)
def test_options_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        OpenHandsOptions(**{"url": "http://127.0.0.1:1", **bad})  # type: ignore[arg-type]


def test_the_environment_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.VARIABLE, sys.executable)
    assert agents_python() == Path(sys.executable)
    monkeypatch.setenv(environment.VARIABLE, "nowhere/python")
    with pytest.raises(UsageError, match="no such file"):
        agents_python()


def test_without_an_environment_the_cure_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path)
    with pytest.raises(UsageError, match="make openhands"):
        agents_python()
