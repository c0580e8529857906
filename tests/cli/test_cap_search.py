"""The best fixed cap is looked for by doubling, then between the neighbours of the best."""

from __future__ import annotations

import pytest

from marsbench.runs.cap_search import Score, best_cap


def peak_at(best: int) -> dict[int, Score]:
    return {cap: (1.0 - abs(cap - best) / 100, 0.0) for cap in range(1, 65)}


@pytest.mark.parametrize("best", [1, 2, 3, 5, 13, 31, 32, 33, 47, 63, 64])
def test_a_single_peak_is_found(best: int) -> None:
    assert best_cap(peak_at(best).__getitem__, 64)[0] == best


@pytest.mark.parametrize("most", [1, 2, 3, 5, 30])
def test_one_and_all_are_always_tried_and_nothing_beyond(most: int) -> None:
    tried = best_cap(lambda _: (0.0, 0.0), most)[1]
    assert {1, most} <= tried.keys()
    assert max(tried) == most


def test_a_smaller_cap_wins_a_tie() -> None:
    assert best_cap(lambda cap: (1.0 if cap >= 3 else 0.5, 0.0), 30)[0] == 3


def test_latency_decides_between_equal_goodputs() -> None:
    assert best_cap(lambda cap: (1.0, -abs(cap - 6.0)), 30)[0] == 6


def test_no_cap_is_scored_twice_and_few_are() -> None:
    asked: list[int] = []

    def score(cap: int) -> Score:
        asked.append(cap)
        return peak_at(21)[cap]

    _, tried = best_cap(score, 64)
    assert sorted(asked) == sorted(tried)
    assert len(asked) <= 16
