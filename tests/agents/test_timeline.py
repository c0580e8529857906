"""Messages of agents become a sound stream of events, each in its place."""

from __future__ import annotations

from typing import Any

import pytest

from marsbench.core.events import Event, GpuSubmit, PromptCached, RoundReady, SessionEnded
from marsbench.core.metrics.check import Checker
from marsbench.wall.agents.timeline import SLACK_S, Timeline

LATER = 100.0


def message(kind: str, session: str = "a", **facts: Any) -> dict[str, Any]:
    return {"kind": kind, "session": session, **facts}


def llm(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    tokens = {"prompt_tokens": 100 * (number + 1), "output_tokens": 10, "cached_tokens": 64}
    return message("llm_start", round=number), message("llm_end", round=number, **tokens)


def tool(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    facts = {"round": number, "call": 0, "name": "terminal"}
    return message("tool_start", **facts), message("tool_end", **facts)


def one_session(timeline: Timeline) -> None:
    timeline.arrived("a", 0.0)
    timeline.told(0.5, message("begin"))
    for at, told in zip((1.0, 3.0), llm(0), strict=True):
        timeline.told(at, told)
    for at, told in zip((3.1, 5.1), tool(0), strict=True):
        timeline.told(at, told)
    for at, told in zip((5.4, 6.4), llm(1), strict=True):
        timeline.told(at, told)
    timeline.ended("a", 6.5, None)


def test_a_session_is_a_sound_stream() -> None:
    seen: list[Event] = []
    timeline = Timeline(seen.append)
    one_session(timeline)
    timeline.close()
    checker = Checker(unmeasured=("gpu_start", "gpu_first_token"))
    assert len(list(checker.watch(seen))) == len(seen)
    assert checker.violations == []
    assert [e.at for e in seen if isinstance(e, RoundReady)] == [0.0, 5.1]
    assert [e.prompt_tokens for e in seen if isinstance(e, GpuSubmit)] == [100, 200]
    assert [e.cached_tokens for e in seen if isinstance(e, PromptCached)] == [64, 64]


def test_the_seconds_of_a_session_add_up() -> None:
    timeline = Timeline(lambda _: None)
    one_session(timeline)
    shares = timeline.shares("a")
    assert shares is not None
    assert (shares.wait_s, shares.llm_s, shares.tools_s) == pytest.approx((0.5, 3.0, 2.0))
    assert abs(shares.total_s - 6.5) < 1e-9
    assert shares.num_rounds == 2


def test_the_stream_waits_for_what_is_open_and_no_longer() -> None:
    seen: list[Event] = []
    timeline = Timeline(seen.append)
    timeline.arrived("a", 0.0)
    start, end = llm(0)
    timeline.told(1.0, start)
    timeline.arrived("b", 2.0)
    timeline.write(LATER)
    assert {e.at for e in seen} == {0.0}, "a's submit may still come, at 1.0"
    timeline.told(50.0, end)
    timeline.write(LATER)
    assert max(e.at for e in seen) == 50.0
    timeline.ended("a", 60.0, "broke")
    timeline.write(60.0 + SLACK_S)
    assert isinstance(seen[-1], SessionEnded)
    assert seen[-1].reason == "broke"


def test_what_is_told_after_the_end_changes_nothing() -> None:
    seen: list[Event] = []
    timeline = Timeline(seen.append)
    one_session(timeline)
    timeline.told(7.0, llm(2)[0])
    timeline.ended("a", 8.0, "again")
    timeline.close()
    assert [e for e in seen if e.at > 6.5] == []
