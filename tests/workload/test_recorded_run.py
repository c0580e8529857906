"""A run of our own as a workload: what was asked for, and how long tools took."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsbench.core.events import Event, GpuStart, ToolEnd, ToolStart
from marsbench.core.session import Cut, Session
from marsbench.formats.gathering import ImportResult
from marsbench.formats.recorded_run import import_run, meta_of
from marsbench.runs import Provenance, RunConfig, RunFolder
from metrics.story import a_round, a_session, told

CODE = Provenance(versions={}, commit=None, dirty=None)


def played(folder: Path, *parts: list[Event]) -> RunFolder:
    config = RunConfig(
        backend="mars", workload="ilr-1", workload_hash="91c2", workload_meta={"seed": 7}, code=CODE
    )
    with RunFolder.create(folder / "run", config) as run:
        for event in told(*parts):
            run.emit(event)
        run.finish()
    return RunFolder.open(run.path)


def one(result: ImportResult) -> Session:
    assert result.problems == ()
    (session,) = result.sessions
    return session


TWO_ROUNDS = [
    *a_round("a", 0, ready=3, first=4, end=5, prompt=100, output=10),
    ToolStart(5, "a", 0, 0, "sh_test"),
    ToolStart(5, "a", 0, 1, "file_tool"),
    ToolEnd(5.5, "a", 0, 1, "file_tool"),
    ToolEnd(7, "a", 0, 0, "sh_test"),
    *a_round("a", 1, ready=7, first=8, end=9, prompt=150, output=20),
]


def test_rounds_tools_and_arrival_are_those_of_the_run(tmp_path: Path) -> None:
    run = played(tmp_path, a_session("a", 3, 9, rounds=TWO_ROUNDS, tenant="t"))
    session = one(import_run(run))
    assert (session.id, session.arrival_s, session.tenant) == ("a", 3, "t")
    assert [(p.num_tokens, p.output_tokens) for p in session.prompts()] == [(100, 10), (150, 20)]
    assert [(t.name, t.kind, t.floor_s) for t in session.rounds[0].tools] == [
        ("sh_test", "wait", 2.0),
        ("file_tool", "wait", 0.5),
    ]
    assert meta_of(run)["workload_meta"] == {"seed": 7}


def test_a_shorter_prompt_was_cut_to_what_was_reusable(tmp_path: Path) -> None:
    rounds = [
        *a_round("a", 0, ready=0, first=1, end=2, prompt=100, output=10),
        *a_round("a", 1, ready=2, first=3, end=4, prompt=80, output=5, reusable=48),
        GpuStart(3.5, "a", 1, 0, 64, resumed=True),
    ]
    session = one(import_run(played(tmp_path, a_session("a", 0, 4, rounds=rounds))))
    assert session.rounds[1].cut == Cut(48, 48)
    assert session.rounds[1].append_tokens == 32


def test_a_sub_agent_is_a_child_again(tmp_path: Path) -> None:
    rounds = [
        *a_round("a", 0, ready=0, first=1, end=2),
        ToolStart(2, "a", 0, 0, "subagent", child="a/r0c0"),
        ToolEnd(9, "a", 0, 0, "subagent"),
        *a_round("a", 1, ready=9, first=10, end=11, prompt=300),
    ]
    child = a_session("a/r0c0", 2.5, 9, parent="a")
    session = one(import_run(played(tmp_path, a_session("a", 0, 11, rounds=rounds), child)))
    (call,) = session.rounds[0].tools
    assert call.child is not None
    assert (call.kind, call.child.id, call.child.arrival_s) == ("agent", "a/r0c0", 0.5)


def test_a_session_that_was_cut_short_ends_where_it_did(tmp_path: Path) -> None:
    rounds = [*TWO_ROUNDS, *a_round("a", 2, ready=9, prompt=200)]
    run = played(
        tmp_path, a_session("a", 3, None, rounds=rounds), a_session("b", 4, None, rounds=[])
    )
    result = import_run(run)
    (session,) = result.sessions
    assert len(session.rounds) == 2
    assert result.notes == (f"{run.path}: session a: 'a' had not finished, and ends where it did",)
    assert result.problems == (f"{run.path}: session b: none of its rounds was answered",)


@pytest.mark.vllm
def test_a_simulated_run_gives_its_own_prompts_back(tmp_path: Path) -> None:
    from marsbench.core.backends import choose
    from marsbench.core.workload.knobs import Knobs
    from marsbench.core.workload.make import make_workload
    from marsbench.core.workload.recipe import load_recipe
    from marsbench.engines import RunRequest
    from marsbench.engines import run as play
    from marsbench.hardware.profile import load_hardware

    knobs = Knobs(sessions=3, rate=0.2)
    path, _ = play(
        RunRequest(
            choice=choose("fcfs", ()), workload="chat", knobs=knobs,
            hardware=load_hardware("qwen3-coder-30b", "h200", None), output=tmp_path / "run",
            show_progress=False,
        )
    )  # fmt: skip
    before = make_workload(load_recipe("chat"), knobs).sessions
    after = import_run(RunFolder.open(path)).sessions
    assert [s.arrival_s for s in after] == pytest.approx([s.arrival_s for s in before])
    assert [list(s.prompts()) for s in after] == [list(s.prompts()) for s in before]
