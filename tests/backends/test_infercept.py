"""InferCept's waste by hand: 1 ms to recompute a token, 0.1 ms to move it, 1,600 tokens paused."""

from __future__ import annotations

from typing import Any

import pytest

from marsbench_backends.policies.infercept import InferCept, RunningBatch, preserve_waste
from marsbench_backends.policies.infercept_static import InferCeptStatic
from marsbench_backends.policy import Keep, Paused, Release, Swap
from marsbench_backends.testing import FakeView, order, paused, play, req, running, submitted

ALONE = RunningBatch(0, 0)


def a_pause(session: str = "a", **facts: Any) -> Paused:
    return paused(session, **{"num_tokens": 1_600, "num_blocks": 100, "held": True, **facts})


def with_host(now: float, *others: Paused, **facts: Any) -> FakeView:
    known: dict[str, Any] = {
        "host_free_blocks": 1_000,
        "link_free_at": 0.0,
        "waiting": [req("x")],
    }
    return FakeView(now=now, paused={p.session_id: p for p in others}, **{**known, **facts})


def test_preserving_wastes_the_context_for_as_long_as_the_tool_has_run() -> None:
    assert preserve_waste(a_pause(paused_at=1.0), at=3.0) == 2.0 * 1_600


def test_discarding_wastes_half_the_context_while_it_is_recomputed() -> None:
    # T_fwd(C) x C / 2 = 1.6 s x 1,600 / 2, and nobody else waits.
    assert InferCept()._discard_waste(a_pause(), ALONE, FakeView()) == 1_280.0


@pytest.mark.parametrize(("saturation", "decodes"), [(None, 0), (802, 2)])
def test_discarding_makes_the_others_wait_chunk_by_chunk(
    saturation: int | None, decodes: int
) -> None:
    # n = 1 chunk, or 1,600 / (802 - 2) = 2 of 0.8 s: 1.6 s x 500 tokens of others either way.
    policy = InferCept(saturation_tokens=saturation)
    waste = policy._discard_waste(a_pause(), RunningBatch(500, decodes), FakeView())
    assert waste == 1_280.0 + 1.6 * 500


def test_a_chunk_attends_to_what_is_before_it() -> None:
    asked = []

    class Profile(FakeView):
        def prefill_s(self, num_tokens: int, prefix_tokens: int = 0) -> float:
            asked.append((num_tokens, prefix_tokens))
            return 1.0

    InferCept(saturation_tokens=400)._discard_waste(a_pause(), ALONE, Profile())
    assert (400, 600) in asked  # the middle one of four chunks


def test_without_host_memory_the_context_stays_until_recomputing_it_is_cheaper() -> None:
    # 1,600 t > 1,280 from t = 0.8 s on.
    policy = InferCept()
    assert policy.retain(a_pause(), FakeView(now=0.3)) == Keep(pytest.approx(0.4))
    assert isinstance(policy.retain(a_pause(), FakeView(now=0.79)), Keep)
    assert policy.retain(a_pause(), FakeView(now=0.81)) == Release()


def test_a_larger_batch_keeps_the_context_longer() -> None:
    batch = [running("b", num_computed_tokens=1_600, decoding=True)]
    # 1,280 + 1.6 s x 1,600 = 3,840: until t = 2.4 s.
    policy = InferCept()
    assert isinstance(policy.retain(a_pause(), FakeView(now=2.3, running=batch)), Keep)
    assert policy.retain(a_pause(), FakeView(now=2.5, running=batch)) == Release()


def test_it_is_swapped_while_room_is_needed() -> None:
    policy = InferCept()
    assert policy.retain(a_pause(), with_host(0.1)) == Swap()
    assert isinstance(policy.retain(a_pause(), with_host(0.1, waiting=[])), Keep)
    assert isinstance(policy.retain(a_pause(), with_host(0.0)), Keep)  # nothing wasted yet


def test_the_swap_budget_goes_to_the_largest_waste() -> None:
    larger = a_pause("b", num_tokens=3_200)
    assert isinstance(InferCept().retain(a_pause(), with_host(0.5, larger)), Keep)
    assert InferCept().retain(larger, with_host(0.7, a_pause())) == Swap()


@pytest.mark.parametrize(
    "full", [{"link_free_at": 0.6}, {"host_free_blocks": 99}], ids=["link", "memory"]
)
def test_without_budget_nothing_is_swapped(full: dict[str, float]) -> None:
    assert isinstance(InferCept().retain(a_pause(), with_host(0.5, **full)), Keep)


def test_swapping_can_be_switched_off() -> None:
    assert isinstance(InferCept(host_tokens=0).retain(a_pause(), with_host(0.5)), Keep)


def test_a_session_that_is_back_keeps_its_context() -> None:
    assert InferCept().retain(a_pause(returned=True), with_host(9.0)) == Keep()


def test_all_are_looked_at_again_at_the_same_instants() -> None:
    policy = InferCept(review_s=0.2)
    for now in (0.0, 0.1, 0.2, 0.6, 0.30000000000000004):
        answer = policy.retain(a_pause(paused_at=now), FakeView(now=now))
        assert isinstance(answer, Keep)
        assert now < answer.until <= now + 0.2 + 1e-9
        assert answer.until / 0.2 == pytest.approx(round(answer.until / 0.2))


def test_under_pressure_those_go_that_are_not_worth_their_memory() -> None:
    young, old, older = a_pause("a", paused_at=3.5), a_pause("b", paused_at=2.0), a_pause("c")
    back = a_pause("d", returned=True)
    policy, view = InferCept(), FakeView(now=4.0)
    assert policy.reclaim([young, back], req("x"), view) is None
    assert policy.reclaim([young, old, older, back], req("x"), view) == "c"


def test_between_two_reviews_time_alone_takes_nothing_away() -> None:
    # Worth its memory until 0.8 s: at 0.99 s the last review, at 0.8 s, still kept it.
    policy = InferCept()
    assert policy.reclaim([a_pause()], req("x"), FakeView(now=0.99)) is None
    assert policy.reclaim([a_pause()], req("x"), FakeView(now=1.0)) == "a"


def test_a_session_comes_back_at_its_first_arrival() -> None:
    story = [submitted("a", 0.0), submitted("b", 1.0), submitted("a", 5.0, number=3)]
    policy = play(InferCept(), *story)
    reqs = req("b", position=1), req("a", position=2)
    assert order(policy, *reqs) == ["a", "b"]
    preserved = FakeView(paused={"b": a_pause("b")})
    assert order(policy, *reqs, view=preserved) == ["b", "a"]
    assert policy.victim([running("b"), running("a")], FakeView()).session_id == "b"


def test_the_review_interval_must_be_positive() -> None:
    with pytest.raises(ValueError, match="review_s"):
        InferCept(review_s=0)


# --- the re-implementation of MARS


def test_the_static_ttl_is_where_preserving_and_discarding_break_even() -> None:
    others = [running("b", num_computed_tokens=3_200)]
    # 0.32 s x (1,600 + 3,200) / (2 x 1,600), and 1.6 s by the engine's own profile.
    ttl_s = InferCeptStatic()._ttl_s(a_pause(held=False), FakeView(running=others))
    assert ttl_s == pytest.approx(0.32 * 1.5)
    profiled = InferCeptStatic(reload_token_s=None)
    assert profiled._ttl_s(a_pause(), FakeView(running=others)) == pytest.approx(1.6 * 1.5)


def test_a_long_context_is_held_for_ten_seconds_at_least() -> None:
    assert InferCeptStatic()._ttl_s(a_pause(num_tokens=100_000), FakeView()) == pytest.approx(10.0)


def test_the_static_ttl_is_fixed_at_the_start() -> None:
    policy, view = InferCeptStatic(), FakeView(now=2.0)
    answer = policy.retain(a_pause(held=False), view)
    assert answer == Keep(pytest.approx(2.0 + 0.16))
    assert policy.retain(a_pause(held=True), FakeView(now=2.2)) == Release()
    assert policy.retain(a_pause(held=True, returned=True), FakeView(now=2.2)) == Keep()


def test_a_very_short_pin_is_not_made() -> None:
    # 0.0002 x 100 / 2 = 0.01 s.
    small = paused("a", num_tokens=100)
    assert InferCeptStatic().retain(small, FakeView()) == Release()


def test_when_nothing_runs_the_pin_that_ends_last_yields() -> None:
    soon, late = a_pause("a", held_until=3.0), a_pause("b", held_until=5.0)
    policy = InferCeptStatic()
    assert policy.reclaim([soon, late], req("x"), FakeView()) == "b"
    assert policy.reclaim([soon, late], req("x"), FakeView(running=[running("y")])) is None
    alone = running("x")
    assert policy.reclaim([soon, late], alone, FakeView(running=[alone])) == "b"
