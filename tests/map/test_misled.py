"""Berth with wrong beliefs believes what it is told to, and nothing else moves."""

from __future__ import annotations

from backends.mars_world import queue, state
from marsbench_backends.policy import Keep, Paused, Release
from marsbench_backends.signals import RoundSubmitted, ToolStarted
from marsbench_backends.testing import FakeView
from studies.misled import Misled, MisledAdmission, is_unnamed


def paused(session: str, number: int) -> Paused:
    return Paused(session, number, 1_000, 10, 0.0, ("bash",), held=True)


def test_a_third_of_the_rounds_has_no_name_and_it_is_always_the_same() -> None:
    unnamed = [n for n in range(3_000) if is_unnamed("s", n, 0.333)]
    assert 900 < len(unnamed) < 1_100
    assert unnamed == [n for n in range(3_000) if is_unnamed("s", n, 0.333)]
    assert not any(is_unnamed("s", n, 0.0) for n in range(100))


def test_a_context_without_a_name_is_not_kept() -> None:
    policy, view = Misled(unnamed=0.333), FakeView(now=0.1)
    kept = {is_unnamed("s", n, 0.333): type(policy.retain(paused("s", n), view)) for n in range(20)}
    assert kept == {True: Release, False: Keep}


def test_a_session_whose_first_round_has_no_name_passes_uncontrolled() -> None:
    crowd = queue(*[900] * 30)  # of 1,000 blocks: one at a time
    passed = [c.session_id for c in crowd if is_unnamed(c.session_id, 0, 0.333)]
    assert passed
    let_in = MisledAdmission(unnamed=0.333).admit(crowd, state(in_flight=queue(900)))
    assert let_in == passed


def test_pauses_are_taken_for_ten_times_as_long() -> None:
    controllers = [MisledAdmission(), MisledAdmission(pauses=10.0)]
    for controller in controllers:
        controller.observe(RoundSubmitted(0.0, "s", 0, 100))
        controller.observe(ToolStarted(1.0, "s", "bash"))
        controller.observe(RoundSubmitted(5.0, "s", 1, 100))
    assert [c._duty.pause_s for c in controllers] == [4.0, 40.0]
