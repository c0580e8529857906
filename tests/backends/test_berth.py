"""Berth's admission: places in memory and at the cores, who goes last, who goes first, shares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.mars_world import state
from marsbench_backends.admission import Candidate
from marsbench_backends.parts.duty import Duty
from marsbench_backends.parts.rolling import Ranked
from marsbench_backends.policies.berth_admission import BerthAdmission
from marsbench_backends.policies.infercept import InferCept
from marsbench_backends.registry import load
from marsbench_backends.signals import RoundSubmitted, SessionEnded, Signal, ToolEnded, ToolStarted


def life(
    name: str,
    *,
    at: float = 0.0,
    first: int = 1_000,
    peak: int = 1_000,
    away_s: float = 9.0,
    burnt_s: float | None = None,
) -> list[Signal]:
    """Two rounds of a second with a pause between them; None: its tool burns no CPU."""
    back, queued_s = at + 1.0 + away_s, None if burnt_s is None else 0.0
    return [
        RoundSubmitted(at, name, 0, first),
        ToolStarted(at + 1.0, name, "bash"),
        ToolEnded(back, name, "bash", burnt_s or away_s, queued_s),
        RoundSubmitted(back, name, 1, peak),
        SessionEnded(back + 1.0, name, 2),
    ]


def knowing(*stories: list[Signal], **settings: Any) -> BerthAdmission:
    """With room for all but a block: means are of 16,000 tokens, and rounds count as they are."""
    plain = {"fill": 1.0, "stretch": 1.0, "margin": 2.0, "overdue": 20.0}
    controller = BerthAdmission(**{**plain, **settings})
    for signal in (signal for story in stories for signal in story):
        controller.observe(signal)
    return controller


def candidate(name: str, tokens: int, arrived: float = 0.0, tenant: str = "default") -> Candidate:
    return Candidate(name, arrived, tokens, tenant=tenant)


def admitted(controller: BerthAdmission, *waiting: Candidate, **seen: Any) -> str:
    return "".join(controller.admit(waiting, state(**seen)))


CROWD = [candidate(name, 7_000) for name in "abcdefghijklmnopqrstuvwxyz"]


# --- memory


def test_before_anything_is_known_first_prompts_have_to_fit() -> None:
    assert admitted(BerthAdmission(fill=1.0), *CROWD) == "abc"  # the third finds 2,000 left
    assert admitted(BerthAdmission(fill=0.5), *CROWD) == "ab"


def test_a_session_counts_for_the_share_of_its_life_in_which_it_computes() -> None:
    # A second in ten: 700 tokens each, of 16,000.
    assert len(admitted(knowing(life("x")), *CROWD)) == 23
    assert len(admitted(knowing(life("x"), stretch=3.0), *CROWD)) == 10  # 3 s in 12: 1,750


def test_contexts_are_expected_to_grow_as_those_that_ended_had() -> None:
    grown = knowing(life("x", first=1_000, peak=2_000))
    assert len(admitted(grown, *CROWD)) == 12


def test_those_inside_need_their_peaks_however_long_they_are() -> None:
    controller = knowing(life("x"))
    controller.observe(RoundSubmitted(20.0, "y", 0, 100_000))
    inside = (candidate("y", 1_000),)  # 10,000 of 16,000 tokens
    assert len(admitted(controller, *CROWD, in_flight=inside)) == 9


def test_without_measured_memory_all_get_in() -> None:
    assert len(admitted(knowing(life("x")), *CROWD, num_blocks=None)) == len(CROWD)


def test_one_is_let_in_however_large() -> None:
    large = candidate("a", 90_000)
    assert admitted(BerthAdmission(), large) == "a"
    full = (candidate("b", 16_000),)
    assert admitted(BerthAdmission(), large, in_flight=full) == ""


def test_a_count_is_worth_what_is_measured_in_use() -> None:
    controller = knowing(life("x"))
    inside = [candidate(f"i{n}", 16_000) for n in range(5)]  # 8,000 tokens of counts
    assert len(admitted(controller, *CROWD, in_flight=inside)) == 12
    controller.tick(state(750, in_flight=inside))  # and 4,000 in use
    assert len(admitted(controller, *CROWD, in_flight=inside)) == 26  # 32,000 - 8,000: all
    controller.tick(state(0, in_flight=inside))  # pauses may keep contexts while there is room
    assert len(admitted(controller, *CROWD, in_flight=inside)) == 12
    controller.tick(state(None, in_flight=inside))
    assert len(admitted(controller, *CROWD, in_flight=inside)) == 12


# --- cores


def test_tool_calls_of_all_inside_leave_the_cores_busy_and_no_more() -> None:
    controller = knowing(life("x", burnt_s=5.0), call_cores=2.0)  # half a call each
    inside = [candidate(f"y{n}", 16) for n in range(4)]
    assert len(admitted(controller, *CROWD, in_flight=inside)) == 4  # 8 of them for 8 cores
    assert controller.why_held(CROWD[:1], state(in_flight=inside * 2)) == {"a": "cpu"}


def test_calls_that_burn_no_cpu_take_no_place_at_the_cores() -> None:
    assert len(admitted(knowing(life("x")), *CROWD)) == 23


# --- who goes first


def late(controller: BerthAdmission, now: float) -> str:
    """`a` came at 0, `b` just now; there is a place for one. Alone a session takes 11 s."""
    waiting = [candidate("a", 900_000), candidate("b", 900_000, arrived=now)]
    return "".join(controller.admit(waiting, replace(state(), now=now)))


THREE = [life(name) for name in "xyz"]


@pytest.mark.parametrize(("now", "first"), [(10.9, "a"), (11.1, "b"), (219.0, "b"), (221.0, "a")])
def test_who_can_no_longer_be_good_goes_last_until_it_is_overdue(now: float, first: str) -> None:
    assert late(knowing(*THREE), now) == first


def test_a_typical_session_is_believed_after_three() -> None:
    assert late(knowing(*THREE[:2]), 100.0) == "a"


@given(waits=st.lists(st.floats(0.0, 10_000.0), min_size=2, max_size=8))
def test_nobody_who_is_overdue_is_overtaken_by_a_later_one(waits: list[float]) -> None:
    """The bound on waiting: 20 times a typical session alone, and then its turn by arrival."""
    now = 10_000.0
    crowd = [candidate(str(n), 900_000, arrived=now - wait) for n, wait in enumerate(waits)]
    (chosen,) = knowing(*THREE).admit(crowd, replace(state(), now=now))
    if max(waits) > 220.001:
        assert crowd[int(chosen)].arrived_at == min(one.arrived_at for one in crowd)


def test_the_tenant_with_the_least_by_its_share_goes_first() -> None:
    inside = (candidate("i", 4_000, tenant="red"), candidate("j", 3_000, tenant="blue"))
    waiting = [candidate("r", 16_000, tenant="red"), candidate("b", 16_000, 1.0, tenant="blue")]
    equal = BerthAdmission(fill=1.0, shares="red=1,blue=1")
    assert admitted(equal, *waiting, in_flight=inside) == "b"
    double = BerthAdmission(fill=1.0, shares="red=2")
    assert admitted(double, *waiting, in_flight=inside) == "r"
    assert admitted(BerthAdmission(fill=1.0), *waiting, in_flight=inside) == "r"  # by arrival


# --- parts, and what is refused


@pytest.mark.parametrize(("off", "let_in"), [("memory", 1), ("cpu", 23), ("neither", 1)])
def test_memory_and_cores_can_be_left_out(off: str, let_in: int) -> None:
    parts = {} if off == "neither" else {off: False}
    controller = knowing(life("x", burnt_s=10.0), call_cores=8.0, **parts)  # one call each
    assert len(admitted(controller, *CROWD)) == let_in
    held = controller.why_held(CROWD[:1], state(in_flight=CROWD))
    assert held == {"a": "kv" if off == "cpu" else "cpu"}


def test_giving_up_can_be_left_out() -> None:
    assert late(knowing(*THREE, give_up=False), 100.0) == "a"


@pytest.mark.parametrize("name", ["fill", "stretch", "call_cores", "alpha", "margin", "overdue"])
def test_values_are_more_than_nothing(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be more than 0"):
        BerthAdmission(**{name: 0.0})


@pytest.mark.parametrize("shares", ["a", "a=", "a=0", "=1", "a=x", "a=inf"])
def test_shares_are_of_named_tenants_and_more_than_nothing(shares: str) -> None:
    with pytest.raises(ValueError, match='shares must be as "a=2,b=1"'):
        BerthAdmission(shares=shares)


@pytest.mark.parametrize("name", ["fast", "kept"])
def test_shares_of_one_are_below_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 0 and below 1"):
        BerthAdmission(**{name: 1.0})


def test_inside_it_is_infercept() -> None:
    backend = load("berth")
    assert (backend.policy, backend.admission) == (InferCept, BerthAdmission)


# --- what is learned


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=40), st.floats(0.0, 0.999))
def test_a_quantile_is_of_the_last_numbers(numbers: list[float], share: float) -> None:
    recent = Ranked(8)
    for number in numbers:
        recent.add(number)
    last = sorted(numbers[-8:])
    assert recent.quantile(share) == last[int(share * len(last))]
    assert recent.mean == pytest.approx(sum(last) / len(last))


def test_seconds_are_of_rounds_and_of_pauses_apart() -> None:
    duty = Duty(fast=0.0)
    for signal in [*life("x", away_s=4.0), *life("y", at=100.0, away_s=8.0)]:
        duty.observe(signal)
    assert (duty.round_s, duty.pause_s) == (1.0, 6.0)


def test_parallel_tools_are_one_pause_and_unknown_sessions_none() -> None:
    duty = Duty(fast=0.0)
    first, call, *_ = life("x")
    for signal in (first, call, ToolStarted(5.0, "x", "read"), ToolStarted(6.0, "nobody", "read")):
        duty.observe(signal)
    assert duty.round_s == 1.0
    duty.observe(RoundSubmitted(11.0, "x", 1, 1_000))
    assert duty.pause_s == 10.0
