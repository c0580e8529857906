"""Autellix by hand: queues, quanta, promotion and the two ways to count a program's service."""

from __future__ import annotations

from typing import Any

import pytest

from marsbench_backends.policies.autellix import Autellix, AutellixAtlas
from marsbench_backends.signals import Signal
from marsbench_backends.testing import (
    FakeView,
    computed,
    ended,
    gone,
    order,
    play,
    preempted,
    req,
    running,
    started,
    submitted,
)


def served(session: str, seconds: float, at: float = 0.0, **facts: Any) -> list[Signal]:
    """A round that comes at `at`, starts at once, runs so long, and ends."""
    until = at + seconds
    return [
        submitted(session, at, **facts),
        started(session, at),
        computed(session, until, seconds=seconds),
        ended(session, until),
    ]


def level(policy: Autellix, session: str = "a", now: float = 0.0) -> int:
    return int(policy.waiting_key(req(session), FakeView(now=now))[0])


@pytest.mark.parametrize(("seconds", "queue"), [(1.9, 0), (2.0, 1), (3.9, 1), (4.0, 2), (500.0, 7)])
def test_a_call_enters_the_queue_of_its_programs_service(seconds: float, queue: int) -> None:
    policy = play(Autellix(), *served("a", seconds), submitted("a", seconds, number=1))
    assert level(policy, now=seconds) == queue


def test_the_least_served_program_goes_first() -> None:
    story = [*served("a", 9.0), submitted("a", 9.0, number=1), submitted("b", 9.0)]
    reqs = req("a", position=1), req("b", position=2)
    assert order(play(Autellix(), *story), *reqs, view=FakeView(now=9.0)) == ["b", "a"]


def test_within_a_queue_first_come_first_served() -> None:
    assert order(Autellix(), req("b", position=2), req("a", position=1)) == ["a", "b"]


def test_a_call_that_uses_up_its_quantum_is_demoted() -> None:
    policy = play(Autellix(), submitted("a"), started("a"), computed("a", 1.5, seconds=1.5))
    assert level(policy) == 0
    # The first queue's quantum is 2 s, the second's 4 - 2 s.
    assert level(play(policy, computed("a", 2.0, seconds=0.5))) == 1
    assert level(play(policy, computed("a", 3.9, seconds=1.9))) == 1
    assert level(play(policy, computed("a", 4.0, seconds=0.1))) == 2


def test_steps_without_the_call_are_no_service() -> None:
    story = [submitted("a"), started("a"), computed("a", 1.5, seconds=1.5)]
    policy = play(Autellix(), *story, computed("a", 9.0, seconds=0.4))
    assert level(policy) == 0
    assert policy.changes_at(FakeView(now=9.0)) == pytest.approx(9.1)


def test_several_steps_as_one_are_the_same_to_the_last_digit() -> None:
    ends = [0.1 * n for n in range(1, 20)]
    steps = [computed("a", b, seconds=b - a) for a, b in zip([0.0, *ends], ends, strict=False)]
    singly = play(Autellix(), submitted("a"), started("a"), *steps)
    at_once = play(
        Autellix(), submitted("a"), started("a"), computed("a", ends[-1], seconds=ends[-1])
    )
    view = FakeView(now=ends[-1])
    assert singly.changes_at(view) == at_once.changes_at(view) == pytest.approx(2.0)


def test_a_program_that_waited_beta_times_its_service_starts_again() -> None:
    # T_p = 5 s of service, beta = 2: after 10 s of waiting.
    policy = play(Autellix(), *served("a", 5.0), submitted("a", 5.0, number=1))
    assert policy.changes_at(FakeView(now=5.0)) == 15.0
    assert [level(policy, now=t) for t in (14.9, 15.0)] == [2, 0]


def test_a_promotion_is_paid_with_the_wait() -> None:
    story = [*served("a", 5.0), submitted("a", 5.0, number=1), started("a", 15.0, number=1)]
    policy = play(Autellix(), *story)
    assert level(policy, now=15.0) == 0
    # Preempted after another second: T_p + T_c = 5 + 1, W_c was set to 0 by the promotion.
    play(policy, computed("a", 16.0, seconds=1.0), preempted("a", 16.0, number=1))
    assert policy.changes_at(FakeView(now=16.0)) == 16.0 + 2 * 6


def test_a_first_call_is_not_promoted_for_having_had_nothing() -> None:
    policy = play(Autellix(), submitted("a"))
    assert policy.changes_at(FakeView(now=0.0)) == float("inf")


def test_plas_adds_up_what_parallel_branches_had_and_atlas_takes_the_longest_path() -> None:
    one, two = served("a.1", 5.0, 3.0, parent_id="a"), served("a.2", 4.0, 3.0, parent_id="a")
    both = [*one[:2], *two[:2], *two[2:], *one[2:], gone("a.1", 8.0), gone("a.2", 8.0)]
    story = [*served("a", 3.0), *both, submitted("a", 8.0, number=1)]
    # PLAS: 3 + 5 + 4 = 12 s. ATLAS: 3 + max(5, 4) = 8 s.
    edges = (3.5, 8.5, 11.5)
    assert level(play(Autellix(edges=edges), *story), now=8.0) == 3
    assert level(play(AutellixAtlas(edges=edges), *story), now=8.0) == 1


def test_a_sub_agents_calls_are_its_programs() -> None:
    policy = play(Autellix(), *served("a", 5.0), submitted("a.1", 5.0, parent_id="a"))
    assert level(policy, "a.1", now=5.0) == 2


def in_tokens(**parameters: Any) -> Autellix:
    return Autellix(service="tokens", **parameters)


def test_service_in_tokens_has_the_edges_of_the_mars_authors() -> None:
    policy = play(in_tokens(), submitted("a"), started("a"), computed("a", 1.0, tokens=2_047))
    assert level(policy) == 0
    assert policy.steady_tokens(running("a"), FakeView()) == 1
    assert level(play(policy, computed("a", 1.0, tokens=1))) == 1
    assert policy.steady_tokens(running("a"), FakeView()) == 8_192 - 2_048
    assert policy.changes_at(FakeView()) == float("inf")


def test_waiting_in_tokens_is_what_others_were_given_meanwhile() -> None:
    others = [submitted("b"), started("b")]
    mine = [submitted("a"), started("a"), computed("a", tokens=3_000), ended("a")]
    policy = play(in_tokens(), *others, *mine, submitted("a", number=1))
    assert level(play(policy, computed("b", tokens=5_999))) == 1
    # The next step brings the meter to beta x T_p = 6,000 tokens.
    assert policy.steady_tokens(running("b"), FakeView()) == 1
    version = policy.version
    assert level(play(policy, computed("b", tokens=1))) == 0
    assert policy.version == version + 1


def test_the_victim_is_of_the_last_queue_then_the_largest_then_the_latest() -> None:
    policy = play(Autellix(), submitted("a"), started("a"), computed("a", 2.0, seconds=2.0))
    low, large = running("a", blocks=1), running("b", blocks=9)
    late, early = running("c", blocks=9, submitted_at=2.0), running("b", blocks=9)
    assert policy.victim([low, large], FakeView()) is low
    assert policy.victim([large, running("c", blocks=8)], FakeView()) is large
    assert policy.victim([early, late], FakeView()) is late


def test_chunks_are_whole_unless_the_mars_authors_quanta_are_asked_for() -> None:
    assert Autellix().chunk(req("a"), 4_096, FakeView()) == 4_096
    quanta = in_tokens(chunk_quanta=(2048, 1024, 512, 256))
    assert quanta.chunk(req("a"), 4_096, FakeView()) == 2_048
    play(quanta, submitted("a"), started("a"), computed("a", tokens=40_000))
    assert quanta.chunk(req("a"), 4_096, FakeView()) == 256


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"service": "rounds"}, "service"),
        ({"edges": (2.0, 1.0)}, "edges"),
        ({"edges": ()}, "edges"),
        ({"beta": 0.0}, "beta"),
        ({"chunk_quanta": (0,)}, "chunk_quanta"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(parameters: dict[str, Any], names: str) -> None:
    with pytest.raises(ValueError, match=names):
        Autellix(**parameters)
