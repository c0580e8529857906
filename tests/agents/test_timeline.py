"""Messages of agents become a sound stream of events, each in its place."""

from __future__ import annotations

from typing import Any

import pytest

from marsbench.clock import WallClock
from marsbench.core.events import (
    Event,
    GpuSubmit,
    PromptCached,
    RoundReady,
    SessionAdmitted,
    SessionArrived,
    SessionEnded,
)
from marsbench.core.metrics.check import Checker
from marsbench.wall.agents.timeline import Timeline, TimeShares
from marsbench.wall.recorder import EventRecorder

LATER = 100.0


def message(kind: str, session: str = "a", **facts: Any) -> dict[str, Any]:
    return {"kind": kind, "session": session, **facts}


def llm(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    tokens = {"prompt_tokens": 100 * (number + 1), "output_tokens": 10, "cached_tokens": 64}
    return message("llm_start", round=number), message("llm_end", round=number, **tokens)


def tool(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    facts = {"round": number, "call": 0, "name": "terminal"}
    return message("tool_start", **facts), message("tool_end", **facts)


def recorded(seen: list[Event], **waits_s: float) -> tuple[EventRecorder, Timeline]:
    recorder = EventRecorder(seen.append, WallClock())
    return recorder, Timeline(recorder, recorder.open_since, waits_s or None)


def one_session(timeline: Timeline) -> TimeShares | None:
    timeline.arrived("a", 0.0)
    timeline.told(0.5, message("begin"))
    for at, told in zip((1.0, 3.0), llm(0), strict=True):
        timeline.told(at, told)
    for at, told in zip((3.1, 5.1), tool(0), strict=True):
        timeline.told(at, told)
    for at, told in zip((5.4, 6.4), llm(1), strict=True):
        timeline.told(at, told)
    return timeline.ended("a", 6.5, None)


def test_a_session_is_a_sound_stream() -> None:
    seen: list[Event] = []
    recorder, timeline = recorded(seen)
    one_session(timeline)
    recorder.close()
    checker = Checker(unmeasured=("gpu_start", "gpu_first_token"))
    assert len(list(checker.watch(seen))) == len(seen)
    assert checker.violations == []
    assert [e.at for e in seen if isinstance(e, RoundReady)] == [0.0, 5.1]
    assert [e.prompt_tokens for e in seen if isinstance(e, GpuSubmit)] == [100, 200]
    assert [e.cached_tokens for e in seen if isinstance(e, PromptCached)] == [64, 64]


def test_a_first_round_is_submitted_when_the_gateway_lets_it_in() -> None:
    seen: list[Event] = []
    recorder, timeline = recorded(seen, a=0.25)
    one_session(timeline)
    recorder.close()
    (admitted,) = (e for e in seen if isinstance(e, SessionAdmitted))
    assert [e.at for e in seen if isinstance(e, GpuSubmit)] == [1.25, 5.4]
    assert admitted.at == 0.25, "the wait is the gateway's; what came before is the framework's"


def test_what_happens_to_others_is_not_written_before_an_admission_that_may_still_come() -> None:
    seen: list[Event] = []
    recorder, timeline = recorded(seen, a=0.25)
    timeline.arrived("a", 0.0)
    recorder(SessionArrived(2.0, "other"))
    for at, told in zip((1.0, 3.0), llm(0), strict=True):
        recorder.write(LATER)
        timeline.told(at, told)
    recorder.write(LATER)
    assert [e.at for e in seen if isinstance(e, SessionAdmitted)] == [0.25]
    assert [e.at for e in seen] == sorted(e.at for e in seen)


def test_a_session_that_ends_in_its_first_round_was_let_in_all_the_same() -> None:
    seen: list[Event] = []
    recorder, timeline = recorded(seen, a=0.25)
    timeline.arrived("a", 0.0)
    timeline.told(1.0, llm(0)[0])
    timeline.ended("a", 9.0, "killed")
    recorder.close()
    assert [type(e) for e in seen[2:]] == [SessionAdmitted, SessionEnded]


def test_the_seconds_of_a_session_add_up() -> None:
    shares = one_session(recorded([])[1])
    assert shares is not None
    assert (shares.wait_s, shares.llm_s, shares.tools_s) == pytest.approx((0.5, 3.0, 2.0))
    assert abs(shares.total_s - 6.5) < 1e-9
    assert shares.num_rounds == 2


def test_the_stream_waits_for_what_is_open_and_no_longer() -> None:
    seen: list[Event] = []
    recorder, timeline = recorded(seen)
    timeline.arrived("a", 0.0)
    start, end = llm(0)
    timeline.told(1.0, start)
    timeline.arrived("b", 2.0)
    recorder.write(LATER)
    assert {e.at for e in seen} == {0.0}, "a's submit may still come, at 1.0"
    timeline.told(50.0, end)
    recorder.write(LATER)
    assert max(e.at for e in seen) == 50.0
    timeline.ended("a", 60.0, "broke")
    recorder.write(60.0)
    assert isinstance(seen[-1], SessionEnded)
    assert seen[-1].reason == "broke"


def test_what_is_told_after_the_end_changes_nothing() -> None:
    seen: list[Event] = []
    recorder, timeline = recorded(seen)
    one_session(timeline)
    timeline.told(7.0, llm(2)[0])
    assert timeline.ended("a", 8.0, "again") is None
    recorder.close()
    assert [e for e in seen if e.at > 6.5] == []
