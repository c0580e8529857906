"""A sound stream has no violations; every rule that is broken is named."""

from __future__ import annotations

import pytest

from marsbench.core.events import (
    Evicted,
    GpuEnd,
    GpuFirstToken,
    GpuStart,
    GpuSubmit,
    Held,
    HostEvicted,
    KvUsage,
    Preempted,
    RoundReady,
    SessionAdmitted,
    SessionArrived,
    SessionEnded,
    SwappedIn,
    SwappedOut,
    ToolEnd,
    ToolStart,
    Unheld,
)
from marsbench.core.metrics.check import Checker, check_stream

SOUND = [
    SessionArrived(0.0, "a"),
    RoundReady(0.0, "a", 0),
    SessionAdmitted(1.0, "a"),
    GpuSubmit(1.0, "a", 0, 160, 9),
    GpuStart(2.0, "a", 0, 0, 0),
    Preempted(3.0, "a", 0, 32),
    GpuStart(4.0, "a", 0, 16, 32, resumed=True),
    GpuFirstToken(5.0, "a", 0),
    Preempted(5.5, "a", 0, 160),
    GpuStart(5.7, "a", 0, 16, 160, resumed=True),
    KvUsage(5.8, 20, 0, 80, 1, 0, 0),
    GpuEnd(6.0, "a", 0, 9),
    Held(6.0, "a", 10, 20.0),
    ToolStart(6.0, "a", 0, 0, "task", "sub"),
    SessionArrived(6.0, "sub", parent="a"),
    Evicted(6.5, "a", 3),
    Evicted(6.5, "prefix:tools", 3),
    SessionEnded(7.0, "sub", "failed", "broke"),
    ToolEnd(7.0, "a", 0, 0, "task"),
    Unheld(7.0, "a", "swapped"),
    SwappedOut(7.0, "a", 8),
    HostEvicted(7.0, "a", 2),
    RoundReady(7.0, "a", 1),
    GpuSubmit(7.0, "a", 1, 200, 1),
    SwappedIn(7.5, "a", 1, 6),
    GpuFirstToken(8.0, "a", 1),
    GpuEnd(8.0, "a", 1, 1),
    Held(8.0, "a", 10, None),
    SessionEnded(8.0, "a", "finished"),
    Unheld(8.0, "a", "session_ended"),
]


def upto(kind, number=0):
    """The sound stream to just before an event of this kind."""
    at = [i for i, event in enumerate(SOUND) if isinstance(event, kind)][number]
    return SOUND[:at]


def test_a_sound_stream_has_no_violations():
    assert check_stream(SOUND, total_blocks=100) == []


@pytest.mark.parametrize("length", range(len(SOUND)))
def test_a_stream_cut_short_anywhere_is_sound(length):
    assert check_stream(SOUND[:length]) == []


def test_a_checker_passes_the_events_on():
    checker = Checker()
    assert list(checker.watch(SOUND)) == SOUND
    assert checker.violations == []


RUNNING = upto(GpuFirstToken)

BROKEN = {
    "time went back from 8 s": [*SOUND, Evicted(7.5, "a", 1)],
    "session a arrived twice": [*upto(GpuSubmit), SessionArrived(1.0, "a")],
    "session a was admitted twice": [*upto(GpuSubmit), SessionAdmitted(1.0, "a")],
    "session x has not arrived": [SessionAdmitted(0.0, "x")],
    "session a has ended": [*SOUND, SessionEnded(8.0, "a", "finished")],
    "round 0 of session a came twice": [*upto(GpuSubmit), RoundReady(1.0, "a", 0)],
    "session a has another round under way": [*upto(GpuSubmit), RoundReady(1.0, "a", 1)],
    "round 0 of session a has no round_ready": [SOUND[0], GpuSubmit(1.0, "a", 0, 160, 9)],
    "round 0 of session a has no gpu_submit": [*upto(GpuSubmit), GpuStart(1.0, "a", 0, 0, 0)],
    "round 0 of session a has no gpu_start": [*upto(GpuStart), Preempted(1.0, "a", 0, 0)],
    "round 0 of session a has no gpu_first_token": [*RUNNING, GpuEnd(5.0, "a", 0, 9)],
    "round 0 of session a has ended": [*upto(Held), GpuEnd(6.0, "a", 0, 9)],
    "round 0 of session a had this before": [*RUNNING, GpuSubmit(5.0, "a", 0, 160, 9)],
    "round 0 of session a is preempted": [*upto(GpuStart, 1), GpuFirstToken(4.0, "a", 0)],
    "round 0 of session a: resumed=False": [*RUNNING, GpuStart(5.0, "a", 0, 0, 0)],
    "round 0 of session a was not preempted": [*RUNNING, GpuStart(5.0, "a", 0, 0, 0, True)],
    "round 0 of session a is not running": [*upto(GpuStart, 1), Preempted(4.0, "a", 0, 0)],
    "call 0 of a started twice": [*upto(Evicted), ToolStart(6.5, "a", 0, 0, "task")],
    "call 1 of a has not started": [*upto(Evicted), ToolEnd(6.5, "a", 0, 1, "task")],
    "the sub-agent of call 0 of a goes on": [*upto(Evicted), ToolEnd(6.5, "a", 0, 0, "task")],
    "owner b has not arrived": [Evicted(0.0, "b", 1)],
    "0 blocks were evicted": [*SOUND, Evicted(9.0, "a", 0)],
    "0 blocks were moved": [*upto(HostEvicted), HostEvicted(7.0, "a", 0)],
    "session c has not arrived": [SwappedOut(0.0, "c", 1)],
    "round 1 of session a has no gpu_submit": [*upto(GpuSubmit, 1), SwappedIn(7.0, "a", 1, 6)],
    "round 0 of session a is running": [*RUNNING, SwappedIn(5.0, "a", 0, 6)],
    "session a is held already": [*upto(Evicted), Held(6.5, "a", 10, None)],
    "session a is not held": [*SOUND, Unheld(9.0, "a", "expired")],
    "session b is not held": [*SOUND, Unheld(9.0, "b", "expired")],
    "a negative number of blocks: [-1, 0]": [KvUsage(0.0, -1, 0, None, None, None, None)],
    "101 blocks of 100": [KvUsage(0.0, 50, 1, 50, None, None, None)],
    "round 0 of session a has not ended": [*RUNNING, SessionEnded(5.0, "a", "finished")],
    "call 0 of round 0 of a has not ended": [*upto(Evicted), SessionEnded(6.5, "a", "finished")],
}


@pytest.mark.parametrize("violation", BROKEN)
def test_a_broken_rule_is_named_with_its_time(violation):
    events = BROKEN[violation]
    found = check_stream(events, total_blocks=100)
    assert [text.partition(": ")[2] for text in found] == [violation]
    assert found[0].startswith(f"{events[-1].kind} at {events[-1].at:g} s: ")


def test_a_session_that_failed_may_leave_rounds_and_calls_open():
    assert check_stream([*RUNNING, SessionEnded(5.0, "a", "failed")]) == []
    assert check_stream([*upto(Evicted), SessionEnded(6.5, "a", "failed")]) == []
