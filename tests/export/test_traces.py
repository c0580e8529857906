"""A run for viewers of traces: Chrome's trace events, and OpenTelemetry's spans, read back."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from export.conftest import written
from marsbench.core.events import (
    Evicted,
    GpuStart,
    KvUsage,
    Preempted,
    SessionAdmitted,
    SessionArrived,
    SessionEnded,
    ToolEnd,
    ToolStart,
)
from marsbench.formats.fallback import Fallback
from marsbench.formats.gathering import gather
from marsbench.formats.recorded_run import import_run
from marsbench.formats.table import contents_of, recognised
from marsbench.report.export.otel import otel
from marsbench.report.export.perfetto import perfetto
from marsbench.runs import RunFolder
from metrics.story import a_round, a_session, told

CHILD = a_session(
    "a/r0c0", 5.0, 8.0, parent="a",
    rounds=a_round("a/r0c0", ready=5, start=6, first=7, end=8, prompt=80, output=9),
)  # fmt: skip
EVENTS = told(
    [SessionArrived(0.0, "a"), SessionAdmitted(1.0, "a")],
    a_round("a", 0, ready=0, submit=1, start=2, first=3, end=5, prompt=100, output=11),
    [Preempted(3.5, "a", 0, 105), GpuStart(4.0, "a", 0, 64, 96, True, 0)],
    [ToolStart(5.0, "a", 0, 0, "agent", "a/r0c0"), ToolStart(5.0, "a", 0, 1, "test")],
    CHILD,
    [ToolEnd(6.5, "a", 0, 1, "test"), ToolEnd(8.0, "a", 0, 0, "agent")],
    a_round("a", 1, ready=8, start=9, first=10, end=12.25, prompt=140, output=7, cached=96),
    [SessionEnded(12.25, "a", "finished")],
    a_session("b", 2.0, None, rounds=a_round("b", ready=2, prompt=300)),
    [KvUsage(at, 50, 0, 50, 1, None, 0) for at in (0.0, 10.0)],
    [Evicted(3.5, "a", 7), Evicted(3.9, "a", 2), Evicted(9.0, "b", 1)],
)


@pytest.fixture
def played(tmp_path: Path) -> Path:
    return written(tmp_path / "played", EVENTS)


def trace_of(run: Path) -> list[dict[str, Any]]:
    return list(json.loads(perfetto(run))["traceEvents"])


def check(event: dict[str, Any]) -> None:
    """What Chrome's trace event format asks of each phase that is written."""
    assert event["ph"] in "XCiM"
    assert isinstance(event["pid"], int)
    assert isinstance(event["tid"], int)
    assert event["ts"] >= 0
    assert event["name"]
    if event["ph"] == "X":
        assert event["dur"] >= 0
    if event["ph"] == "C":
        assert event["args"]
        assert all(isinstance(value, int | float) for value in event["args"].values())
    if event["ph"] == "i":
        assert event["s"] == "t"


def spans_by_track(events: list[dict[str, Any]]) -> dict[str, list[tuple[str, float, float]]]:
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    found: dict[str, list[tuple[str, float, float]]] = {name: [] for name in names.values()}
    for event in events:
        if event["ph"] == "X":
            begin = event["ts"] / 1e6
            own = found[names[event["tid"]]]
            own.append((event["name"], begin, begin + event["dur"] / 1e6))
    return {name: sorted(own, key=lambda span: span[1]) for name, own in found.items()}


def test_the_trace_keeps_the_formats_own_rules(played: Path) -> None:
    events = trace_of(played)
    for event in events:
        check(event)
    for name, spans in spans_by_track(events).items():
        for (_, _, end), (_, begin, _) in pairwise(spans):
            assert end <= begin + 1e-9, f"two spans of {name} overlap"


def test_a_track_a_session_says_what_it_waited_for_and_what_was_done(played: Path) -> None:
    tracks = spans_by_track(trace_of(played))
    assert list(tracks) == ["a", "a (beside, 1)", "a/r0c0", "b"]
    assert tracks["a"] == [
        ("waiting for admission", 0, 1), ("queued", 1, 2), ("prefill", 2, 3), ("decode", 3, 3.5),
        ("queued again", 3.5, 4), ("decode", 4, 5), ("test", 5, 6.5), ("queued", 8, 9),
        ("prefill", 9, 10), ("decode", 10, 12.25),
    ]  # fmt: skip
    assert tracks["a (beside, 1)"] == [("agent", 5, 8)]
    assert tracks["b"] == [("queued", 2, 2), ("prefill", 2, 12.25)]


def test_what_had_not_ended_says_so_and_a_preemption_is_an_instant(played: Path) -> None:
    events = trace_of(played)
    open_ones = [e["name"] for e in events if e["args"].get("ended") is False]
    assert open_ones == ["prefill"]
    (instant,) = [e for e in events if e["ph"] == "i"]
    assert (instant["name"], instant["ts"]) == ("preempted", 3.5e6)
    assert instant["args"] == {"round": 0, "computed_tokens": 105}


def test_counters_have_what_was_measured_and_nothing_else(played: Path) -> None:
    counters: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for event in trace_of(played):
        if event["ph"] == "C":
            counters[event["name"]].append((event["ts"] / 1e6, event["args"]["value"]))
    assert counters["KV blocks used"] == [(0, 50), (10, 50)]
    assert counters["running"] == [(0, 1), (10, 1)]
    assert "waiting" not in counters  # None is not measured
    assert counters["KV blocks evicted /s"] == [(3, 9), (4, 0), (9, 1), (10, 0)]


def lengths(session: Any) -> list[tuple[int, int, object]]:
    return [(p.num_tokens, p.output_tokens, p.epoch) for p in session.prompts()]


def pauses(session: Any) -> list[list[tuple[str, str, float]]]:
    return [
        [(t.name, t.kind, round(t.floor_s, 5)) for t in rnd.tools if t.child is None]
        for rnd in session.rounds
    ]


def test_the_spans_are_read_back_as_the_sessions_that_were_played(
    played: Path, tmp_path: Path
) -> None:
    file = tmp_path / "spans.json"
    file.write_text(otel(played), encoding="utf-8")
    read = gather([contents_of(recognised(file), Fallback())])
    back = {session.id: session for session in read.sessions}
    for own in import_run(RunFolder.open(played)).sessions:
        other = back[own.id]
        assert lengths(other) == lengths(own)
        assert pauses(other) == pauses(own)
        for mine, theirs in zip(own.children, other.children, strict=True):
            assert lengths(theirs) == lengths(mine)
    assert "a" in back


def test_spans_are_as_the_conventions_have_them(played: Path) -> None:
    (batch,) = json.loads(otel(played))["resourceSpans"]
    (scope,) = batch["scopeSpans"]
    spans = {span["spanId"]: span for span in scope["spans"]}
    assert len(spans) == len(scope["spans"]) == 3 + 4 + 2
    for span in spans.values():
        assert (len(span["traceId"]), len(span["spanId"])) == (32, 16)
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        assert span.get("parentSpanId") is None or span["parentSpanId"] in spans
    tops = [span["name"] for span in spans.values() if "parentSpanId" not in span]
    assert tops == ["invoke_agent a", "invoke_agent b"]
    (child,) = [span for span in spans.values() if span["name"] == "invoke_agent a/r0c0"]
    assert spans[child["parentSpanId"]]["name"] == "execute_tool agent"
    unended = [span["name"] for span in spans.values() if span.get("status", {}).get("code") == 2]
    assert unended == ["invoke_agent b", "chat m"]
