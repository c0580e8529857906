"""T-LRU's tail: what is safe to evict, by hand from L + Q - X."""

from __future__ import annotations

import math

import pytest

from marsbench_backends.policies.t_lru import TLru
from marsbench_backends.policy import EvictionRank
from marsbench_backends.testing import FakeView, req


@pytest.mark.parametrize(
    ("history", "threshold", "next_tokens", "needed"),
    [
        (10_000, 4_096, 200, 6_104),  # 10,000 + 200 - 4,096
        (10_000, 0, 0, 10_000),  # SGLang's defaults: nothing is safe, plain LRU
        (10_000, 4_096, 5_000, 10_904),  # the next prompt alone is late: all is needed
        (3_000, 4_096, 200, 0),  # all of it can be computed in time
    ],
)
def test_what_is_past_the_need_is_safe(
    history: int, threshold: int, next_tokens: int, needed: int
) -> None:
    policy = TLru(threshold_tokens=threshold, next_tokens=next_tokens)
    ranks = policy.eviction_order(req("a", num_tokens=history), FakeView())
    assert ranks == (EvictionRank(needed, 0.0), EvictionRank(math.inf, -1.0))


def test_its_defaults_are_of_the_rfc() -> None:
    assert (TLru().threshold_tokens, TLru().next_tokens) == (4_096, 200)


@pytest.mark.parametrize("name", ["threshold_tokens", "next_tokens"])
def test_impossible_settings_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be 0 or more"):
        TLru(**{name: -1})
