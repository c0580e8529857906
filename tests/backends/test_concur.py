"""CONCUR's window: what makes it grow, shrink and stay, in agents, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from backends.mars_world import inside, queue, state
from marsbench_backends.policies.concur import Concur

CALM, FULL = 900, 400  # of 1,000 blocks: usage 0.1 and 0.6


def after(*ticks: tuple[int, int | None, int | None], **settings: Any) -> int:
    """The window after control intervals: free blocks, tokens asked of the cache so far, found."""
    controller = Concur(**settings)
    for number, (free, queried, hit) in enumerate(ticks):
        counted = {"num_queried_tokens": queried, "num_hit_tokens": hit}
        controller.tick(state(free, now=float(number), **counted))
    return controller._window.size


@pytest.mark.parametrize(
    ("free", "hit", "size"),
    [
        (CALM, 0, 10),  # U below 0.2: alpha more, whatever the hit rate
        (600, 0, 8),  # U = 0.4, between the marks
        (FULL, 90, 8),  # U above 0.5, and the cache serves 90 %
        (FULL, 49, 4),  # … and only 49 %: beta times as many
    ],
)
def test_usage_and_hit_rate_move_the_window(free: int, hit: int, size: int) -> None:
    assert after((free, 100, hit)) == size


def test_a_hit_rate_is_of_the_last_interval() -> None:
    assert after((600, 1_000, 1_000), (FULL, 1_100, 1_040)) == 4  # 40 % of the last hundred tokens


def test_an_interval_without_a_start_has_the_rate_of_the_one_before() -> None:
    assert after((600, 100, 10), (FULL, 100, 10)) == 4
    assert after((600, 100, 90), (FULL, 100, 90)) == 8


def test_where_no_hits_are_measured_usage_alone_shrinks_it() -> None:
    assert after((FULL, None, None)) == 4


def test_where_no_usage_is_measured_it_stays() -> None:
    controller = Concur()
    controller.tick(state(None))
    assert controller._window.size == 8


def test_it_stays_between_one_agent_and_its_most() -> None:
    assert after(*[(FULL, None, None)] * 9) == 1
    assert after(*[(CALM, None, None)] * 9, window_max=12) == 12


def test_agents_enter_in_order_of_arrival_while_fewer_than_the_window_are_inside() -> None:
    controller = Concur(window_init=3)
    assert controller.admit(queue(5, 1, 1), state(in_flight=inside(1))) == ["q0", "q1"]
    assert controller.admit(queue(1), state(in_flight=inside(1, 1, 1, 1))) == []
    assert controller.why_held(queue(1), state()) == {"q0": "window"}


@pytest.mark.parametrize("wrong", [{"kv_low": 0.6}, {"window_max": 0}])
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Concur(**wrong)
