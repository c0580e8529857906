"""Clairvoyant admission: sessions count for the time they compute; who can be good goes first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.mars_world import state
from marsbench_backends.admission import Candidate
from marsbench_backends.policies.clairvoyant_admission import ClairvoyantAdmission
from marsbench_backends.registry import load
from marsbench_backends.signals import Future


def candidate(
    session: str, peak: int, *, output: int = 1_000, tool_s: float = 0.0, arrived: float = 0.0
) -> Candidate:
    """Nine milliseconds a token: 9 s of its own, and what its prompt of one token takes."""
    return Candidate(session, arrived, 1, Future(3, 1, output, tool_s, 0.0, peak))


def admitted(
    *waiting: Candidate, inside: tuple[Candidate, ...] = (), now: float = 0.0, **values: float
) -> str:
    """Ids of those let in; the engine has 16,000 tokens."""
    seen = replace(state(in_flight=inside), now=now)
    controller = ClairvoyantAdmission(**{"fill": 1.0, **values})  # type: ignore[arg-type]
    return "".join(controller.admit(waiting, seen))


def test_without_pauses_peaks_have_to_fit() -> None:
    crowd = [candidate(name, 7_000) for name in "abc"]
    assert admitted(*crowd) == "ab"
    assert admitted(*crowd, fill=0.8) == "a"


def test_a_session_counts_for_the_time_in_which_it_computes() -> None:
    crowd = [candidate(name, 7_000, tool_s=18.0) for name in "abcdef"]
    assert admitted(*crowd) == "abcd"  # half of 7,000 each: 18 s of tools beside 2 x 9 s


def test_all_peaks_fit_into_gpu_and_host_memory() -> None:
    crowd = [candidate(name, 7_000, tool_s=180.0) for name in "abcdef"]
    assert admitted(*crowd) == "abcdef"
    assert admitted(*crowd, host_tokens=5_000) == "abc"


def test_the_least_time_by_memory_goes_first_and_another_fills_the_gap() -> None:
    long, wide = candidate("a", 8_000, output=3_000), candidate("b", 12_000)
    small = candidate("c", 3_000, output=9_000)
    assert admitted(long, wide, small) == "bc"


def test_who_can_no_longer_be_good_goes_last_and_nobody_passes_it() -> None:
    late, fresh = candidate("a", 2_000), candidate("b", 15_000, arrived=30.0)
    assert admitted(late, fresh, now=30.0) == "b"
    assert admitted(late, fresh, now=1.0) == "a"


def test_one_is_let_in_however_large() -> None:
    assert admitted(candidate("a", 90_000)) == "a"
    assert admitted(candidate("a", 90_000), inside=(candidate("b", 1),)) == ""


@pytest.mark.parametrize("name", ["fill", "stretch", "alpha", "margin", "tick_s", "output_token_s"])
def test_values_are_more_than_nothing(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be more than 0"):
        ClairvoyantAdmission(**{name: 0.0})


def test_the_backend_says_what_stands_before_the_scheduler_too() -> None:
    about = load("clairvoyant").about
    assert about.startswith("Clairvoyant admission")
    assert "InferCept" in about.splitlines()[-1] or "InferCept:" in about
