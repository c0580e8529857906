"""Sessions in flight at the start: who they are, how far they are, and what is left of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from marsbench.core.session import Cut, Round, Session, ToolCall, is_warm
from marsbench.core.workload.files import Workload
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.resample import rearranged
from marsbench.core.workload.warm import Drawn, RoundAlone, drawn, rest, warm_started
from marsbench.errors import UsageError
from workload.builders import session, workload

PAUSED = session(
    "a",
    Round(1_000, 100, (ToolCall("bash", "wait", floor_s=30.0),)),
    Round(50, 40, (ToolCall("bash", "wait", floor_s=10.0),)),
    Round(60, 20),
    prefix_group="g",
    prefix_tokens=300,
)
ALONE = [RoundAlone(0.0, 10.0), RoundAlone(40.0, 44.0), RoundAlone(54.0, 56.0)]


def rounds(sessions: Sequence[Session]) -> Mapping[str, Sequence[RoundAlone]]:
    return {one.id: ALONE for one in sessions}


def flat(sessions: Sequence[Session]) -> Mapping[str, Sequence[RoundAlone]]:
    """Each session as one round, over the whole of its time."""
    return {one.id: [RoundAlone(0.0, 1.0)] for one in sessions}


def test_a_point_of_the_line_finds_sessions_by_length_and_falls_uniformly_within() -> None:
    """Renewal theory: the lengths found have mean E[T^2] / E[T], what is left E[T^2] / 2 E[T]."""
    rng = np.random.default_rng(1)
    lengths = (-np.log(rng.random(400))).tolist()
    sessions = [session(f"s{i}") for i in range(len(lengths))]
    ideal = {one.id: length for one, length in zip(sessions, lengths, strict=True)}
    found = drawn(sessions, ideal, rng.random(40_000).tolist())
    first, second = np.mean(lengths), np.mean(np.square(lengths))
    length = [ideal[one.session.id] for one in found]
    left = [ideal[one.session.id] - one.elapsed_s for one in found]
    # Four standard errors of 40,000 draws; unbiased sampling would give the first moment, half.
    assert np.mean(length) == pytest.approx(second / first, abs=4 * np.std(length) / 200)
    assert np.mean(left) == pytest.approx(second / first / 2, abs=4 * np.std(left) / 200)
    shares = np.array(left) / np.array(length)
    places = np.sort(shares) - (np.arange(len(shares)) + 0.5) / len(shares)
    assert np.abs(places).max() < 1.63 / math.sqrt(len(shares))  # Kolmogorov, 1 %
    assert abs(np.corrcoef(shares, length)[0, 1]) < 4 / 200


def test_in_a_pause_the_next_round_comes_when_the_pause_is_over() -> None:
    left = rest(Drawn(PAUSED, 15.0), ALONE, 3)
    assert (left.id, left.arrival_s) == ("a~warm3", 25.0)
    assert left.rounds == (Round(1_150, 40, PAUSED.rounds[1].tools), PAUSED.rounds[2])
    assert (left.prefix_group, left.prefix_tokens) == ("g", 300)


def test_a_round_under_way_generates_what_is_left_of_it() -> None:
    left = rest(Drawn(PAUSED, 41.0), ALONE, 0)
    assert left.arrival_s == 0.0
    assert left.rounds[0] == Round(1_150 + 10, 30, PAUSED.rounds[1].tools)


@pytest.mark.parametrize("elapsed", [0.0, 9.99, 10.0, 39.0, 43.0, 44.0, 55.9999])
def test_what_is_left_ends_in_the_same_context(elapsed: float) -> None:
    left = rest(Drawn(PAUSED, elapsed), ALONE, 0)
    assert left.peak_tokens == PAUSED.peak_tokens
    assert left.rounds[0].output_tokens >= 1


def test_a_context_that_was_cut_has_its_length_after_the_cut() -> None:
    cut = session(
        "a", Round(1_000, 100), Round(50, 40, cut=Cut(200, 200)), Round(60, 20),
        prefix_group="g", prefix_tokens=300,
    )  # fmt: skip
    left = rest(Drawn(cut, 40.0), ALONE, 0)
    assert left.rounds[0].append_tokens == 250
    assert left.rounds[0].cut is None
    assert left.prefix_tokens == 200


def test_sub_agents_are_of_the_session_of_the_start() -> None:
    child = session("c")
    parent = session(
        "a", Round(100, 10, (ToolCall("agent", "agent", child=child),)), Round(1, 1), Round(1, 1)
    )
    left = rest(Drawn(parent, 1.0), ALONE, 7)
    assert [one.id for one in left.walk()] == ["a~warm7", "c~warm7"]
    assert all(is_warm(one.id) for one in left.walk())


def test_as_many_as_little_says_and_those_that_arrive_stay_as_they_were() -> None:
    arriving = workload(*(session(f"s{i}", arrival_s=10.0 * i) for i in range(9)))
    ideal = {one.id: 25.0 for one in arriving.sessions}
    for times, number in ((1.0, 3), (2.0, 5), (0.1, 0)):  # 0.1 a second x 25 s
        warm = warm_started(arriving, times, ideal, flat)
        assert [is_warm(one.id) for one in warm.sessions] == [True] * number + [False] * 9
        assert warm.sessions[number:] == arriving.sessions
        assert warm.meta == {"warm_start": times, "warm_sessions": number}
        assert warm_started(arriving, times, ideal, flat) == warm


def test_another_seed_draws_others() -> None:
    bodies = tuple(session(f"s{i}", arrival_s=float(i)) for i in range(50))
    ideal = {one.id: 5.0 for one in bodies}

    def ids(seed: int) -> list[str]:
        made = warm_started(Workload("w", bodies, None, {"seed": seed}), 1.0, ideal, flat)
        return [one.id for one in made.sessions[: -len(bodies)]]

    assert len(ids(1)) == 5
    assert ids(1) == ids(1) != ids(2)


def test_a_second_warm_start_takes_the_place_of_the_first() -> None:
    arriving = workload(*(session(f"s{i}", arrival_s=10.0 * i) for i in range(9)))
    ideal = {one.id: 25.0 for one in arriving.sessions}
    once = warm_started(arriving, 1.0, ideal, flat)
    assert warm_started(once, 1.0, ideal, flat) == once
    faster = rearranged(once, Knobs(rate=1.0), lambda _: 1.0)
    assert not any(is_warm(one.id) for one in faster.sessions)
    assert rearranged(once, Knobs(warm_start=1.0), lambda _: 1.0) is once


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (workload(session(), lanes=3), r"closed:3.*--warm-start"),
        (workload(session("a"), session("b")), r"come at once.*--rate or --load"),
    ],
)
def test_without_a_rate_nobody_knows_how_many(given: Workload, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        warm_started(given, 1.0, {}, flat)


def test_a_warm_start_is_above_nothing() -> None:
    with pytest.raises(UsageError, match=r"--warm-start must be above 0, not 0"):
        Knobs(warm_start=0.0)
