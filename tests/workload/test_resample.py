"""A file of sessions at another rate, with more or fewer of them."""

from __future__ import annotations

from collections import Counter

import pytest

from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.workload.files import Workload
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.resample import rearranged, recorded_rate, resampled
from marsbench.errors import UsageError


def session(name: str, arrival_s: float) -> Session:
    child = Session(f"{name}/c", (Round(5, 5),))
    tools = (ToolCall("agent", "agent", child=child),)
    return Session(name, (Round(100, 10, tools), Round(10, 10)), arrival_s, prefix_group="p",
                   prefix_tokens=50)  # fmt: skip


RECORDED = Workload("mine", (session("a", 10.0), session("b", 12.0), session("c", 30.0)))
AT_ONCE = Workload("mine", tuple(session(n, 0.0) for n in "abc"))


def gpu_s(bodies):
    return 4.0


def times(workload):
    return [s.arrival_s for s in workload.sessions]


def names(workload):
    return [s.id for s in workload.sessions]


def test_without_a_knob_it_is_played_as_it_is():
    assert rearranged(RECORDED, Knobs(), gpu_s) is RECORDED


def test_a_rate_alone_stretches_the_recorded_pattern():
    assert recorded_rate(RECORDED) == 0.1
    faster = rearranged(RECORDED, Knobs(rate=0.2), gpu_s)
    assert times(faster) == [0.0, 1.0, 10.0]
    assert names(faster) == ["a", "b", "c"]
    assert faster.meta["arrivals"] == "recorded"


def test_a_load_is_a_rate_by_the_sessions_own_gpu_seconds():
    assert rearranged(RECORDED, Knobs(load=0.8), gpu_s).meta["rate"] == 0.2


def test_more_sessions_take_each_equally_often_under_names_of_their_own():
    more = rearranged(RECORDED, Knobs(sessions=8, seed=3), gpu_s)
    origins = Counter(name.partition("~")[0] for name in names(more))
    assert sorted(origins.values()) == [2, 3, 3]
    ids = [s.id for root in more.sessions for s in root.walk()]
    assert len(set(ids)) == len(ids) == 16
    assert more.meta["rate"] == 0.1


def test_a_copy_shares_its_prefix_group_and_nothing_else():
    first, second = (s for s in resampled(RECORDED.sessions, 6, 1) if s.id.startswith("a"))
    assert (first.id, second.id) == ("a", "a~2")
    assert second.prefix_group == first.prefix_group
    assert second.children[0].id == "a/c~2"


def test_more_sessions_begin_with_the_fewer_and_another_seed_draws_others():
    few, many = (names(rearranged(RECORDED, Knobs(sessions=n), gpu_s)) for n in (4, 9))
    assert many[:4] == few
    orders = {tuple(names(rearranged(RECORDED, Knobs(seed=s), gpu_s))) for s in range(8)}
    assert len(orders) > 1


def test_lanes_need_no_rate():
    closed = rearranged(AT_ONCE, Knobs(arrivals="closed:2"), gpu_s)
    assert closed.lanes == 2


def test_sessions_that_were_recorded_at_once_are_not_stretched_into_one_instant():
    assert len(set(times(rearranged(AT_ONCE, Knobs(rate=0.5), gpu_s)))) == 3


@pytest.mark.parametrize(
    ("workload", "knobs", "message"),
    [
        (RECORDED, Knobs(tools="interactive"), "--tools is drawn by a recipe, but mine is a file"),
        (RECORDED, Knobs(prefixes=1), "--prefixes is drawn by a recipe"),
        (AT_ONCE, Knobs(sessions=9), "records no arrivals.*--load 0.8"),
        (RECORDED, Knobs(load_on="this"), "give --load too"),
    ],
)
def test_what_a_file_cannot_take_is_refused(workload, knobs, message):
    with pytest.raises(UsageError, match=message):
        rearranged(workload, knobs, gpu_s)
