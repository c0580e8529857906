"""llm-d's least attained service: scores by hand, halving, and what a program is."""

from __future__ import annotations

from typing import Any

import pytest

from marsbench_backends.policies.las import Las
from marsbench_backends.signals import FirstToken, Signal
from marsbench_backends.testing import (
    FakeReq,
    FakeView,
    computed,
    ended,
    gone,
    order,
    play,
    req,
    started,
    submitted,
)


def comes(session: str, tenant: str, at: float = 0.0, tokens: int = 100, n: int = 0) -> Signal:
    return submitted(session, at, number=n, tokens=tokens, tenant=tenant)


def served(session: str, tenant: str, at: float, tokens: int, output: int) -> list[Any]:
    """A round from its coming to its end, all at once; its first token comes with the prompt."""
    return [
        comes(session, tenant, at, tokens),
        started(session, at),
        FirstToken(at, session, 0, 0.0),
        computed(session, at, tokens=output - 1),
        ended(session, at, tokens=tokens + output, output=output),
    ]


def of(tenant: str, session: str, position: int = 1, **facts: Any) -> FakeReq:
    return req(session, tenant=tenant, position=position, **facts)


def test_the_program_with_the_least_service_goes_first() -> None:
    # 100 + 2 x 20 = 140 against 130 + 2 x 4 = 138.
    story = [*served("r", "red", 0.0, 100, 20), *served("b", "blue", 0.0, 130, 4)]
    policy = play(Las(), *story, comes("r", "red", 1.0, n=1), comes("b", "blue", 1.0, n=1))
    reqs = (of("red", "r", 1, round=1), of("blue", "b", 2, round=1))
    assert order(policy, *reqs) == ["b", "r"]
    more = play(Las(), *story, comes("b2", "blue", 1.0), started("b2", 1.0), gone("b2", 1.0),
                comes("r", "red", 1.0, n=1), comes("b", "blue", 1.0, n=1))  # fmt: skip
    assert order(more, *reqs) == ["r", "b"], "a session's last round counts too: 238"


def test_a_long_wait_of_the_first_outweighs_a_little_service() -> None:
    """Three tenants: services 0, 60, 100 and waits 0, 10, 10 s are 0.8, 0.52 and 0.2."""
    story = [*served("r", "red", 0.0, 58, 1), *served("g", "green", 0.0, 98, 1)]
    waits = [comes("r2", "red"), comes("g2", "green"), comes("b", "blue", 10.0)]
    reqs = (of("red", "r2", 1), of("green", "g2", 2), of("blue", "b", 3))
    assert order(play(Las(), *story, *waits), *reqs) == ["b", "r2", "g2"]
    heavy = {"service_weight": 0.5, "wait_weight": 0.5}
    # 0.5 x (0, .4 of the range left and all of the wait, ...): 0.5, 0.7, 0.5; of the two that are
    # left then, green has the service and the wait against it and for it: level, so by arrival.
    assert order(play(Las(**heavy), *story, *waits), *reqs) == ["r2", "g2", "b"]


def test_service_halves_each_minute() -> None:
    """red had 400 a minute before blue had 202: 200."""
    story = [*served("r", "red", 0.0, 398, 1), *served("b", "blue", 60.0, 200, 1)]
    waits = [comes("r2", "red", 60.0), comes("b2", "blue", 60.0)]
    reqs = (of("red", "r2", 2), of("blue", "b2", 1))
    assert order(play(Las(), *story, *waits), *reqs) == ["r2", "b2"]
    assert order(play(Las(half_life_s=70.0), *story, *waits), *reqs) == ["b2", "r2"]


def test_time_alone_changes_no_order() -> None:
    story = [*served("r", "red", 0.0, 398, 1), *served("b", "blue", 60.0, 202, 1)]
    policy = play(Las(), *story, comes("r2", "red", 60.0), comes("b2", "blue", 61.0))
    reqs = (of("red", "r2", 1), of("blue", "b2", 2))
    assert policy.changes_at(FakeView(now=61.0)) == float("inf")
    assert order(policy, *reqs, view=FakeView(now=61.0)) == order(
        policy, *reqs, view=FakeView(now=1e6)
    )


def test_a_program_is_picked_again_until_its_answers_are_complete() -> None:
    """The router counts service when a request ends, so one picks all of the least served."""
    story = [*served("r", "red", 0.0, 400, 1)]
    waits = [comes("r2", "red"), comes("b1", "blue"), comes("b2", "blue")]
    reqs = (of("red", "r2", 1), of("blue", "b1", 2), of("blue", "b2", 3))
    assert order(play(Las(), *story, *waits), *reqs) == ["b1", "b2", "r2"]


@pytest.mark.parametrize(("by", "found"), [("tenant", ["b", "r2"]), ("session", ["r2", "b"])])
def test_a_program_is_a_tenant_or_a_session(by: str, found: list[str]) -> None:
    story = [*served("r", "red", 0.0, 400, 1), *served("b", "blue", 0.0, 100, 1)]
    policy = play(Las(by=by), *story, comes("b", "blue", 1.0, n=1), comes("r2", "red", 1.0))
    assert order(policy, of("blue", "b", 1, round=1), of("red", "r2", 2)) == found


def test_one_program_alone_is_first_come_first_served() -> None:
    policy = play(Las(), *served("x", "red", 0.0, 50, 1), comes("a", "red"), comes("b", "red"))
    assert order(policy, of("red", "b", 2), of("red", "a", 1)) == ["a", "b"]


def test_a_preempted_round_goes_first() -> None:
    policy = play(Las(), comes("b", "blue"), *served("r", "red", 0.0, 400, 9)[:3])
    again = of("red", "r", -1, num_preemptions=1)
    assert order(policy, of("blue", "b", 1), again) == ["r", "b"]


@pytest.mark.parametrize("wrong", [{"by": "user"}, {"half_life_s": 0.0}])
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Las(**wrong)
