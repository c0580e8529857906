"""The oracle's admission: the smallest peaks first, and never more than fit."""

from __future__ import annotations

import pytest

from backends.mars_world import state
from marsbench_backends.admission import Candidate
from marsbench_backends.policies.oracle_admission import OracleAdmission
from marsbench_backends.signals import Future


def candidate(session: str, peak: int, arrived: float = 0.0) -> Candidate:
    return Candidate(session, arrived, 100, Future(3, peak, 0, 1.0, 1.0, peak))


def admitted(*waiting: Candidate, inside: tuple[Candidate, ...] = (), fill: float = 1.0) -> str:
    """Ids of those let in; the engine has 1,000 blocks of 16 tokens."""
    seen = state(in_flight=inside)
    assert seen.num_blocks is not None
    assert seen.num_blocks * seen.block_size == 16_000
    return "".join(OracleAdmission(fill).admit(waiting, seen))


def test_the_smallest_peaks_enter_first_while_they_fit() -> None:
    a, b, c = candidate("a", 9_000), candidate("b", 4_000), candidate("c", 6_000)
    assert admitted(a, b, c) == "bc"
    assert admitted(a, c, inside=(b,)) == "c"


def test_one_is_let_in_however_large() -> None:
    assert admitted(candidate("a", 90_000)) == "a"
    assert admitted(candidate("a", 90_000), inside=(candidate("b", 1),)) == ""


def test_ties_go_to_who_came_first() -> None:
    late, early = candidate("a", 9_000, 2.0), candidate("b", 9_000, 1.0)
    assert admitted(late, early) == "b"


def test_a_larger_fill_lets_more_in() -> None:
    crowd = [candidate(name, 8_000) for name in "abcd"]
    assert admitted(*crowd) == "ab"
    assert admitted(*crowd, fill=1.5) == "abc"


def test_fill_is_more_than_nothing() -> None:
    with pytest.raises(ValueError, match="fill must be more than 0"):
        OracleAdmission(0.0)
