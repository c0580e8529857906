"""Where the seconds of a slowdown went: by hand, and that they always add up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsbench.core.events import (
    Event,
    Evicted,
    GpuEnd,
    GpuFirstToken,
    GpuStart,
    GpuSubmit,
    Preempted,
    RoundReady,
    SessionAdmitted,
    SessionArrived,
    SessionEnded,
    ToolEnd,
    ToolStart,
)
from marsbench.core.metrics.stream import Stream
from marsbench.errors import UsageError
from marsbench.hardware.steptime import StepTime
from marsbench.judge.why.alone import Alone
from marsbench.judge.why.causes import mean
from marsbench.judge.why.explain import Explained, ExplainedRun
from marsbench.judge.why.story import story_of
from marsbench.show.why import why_json
from metrics.story import a_round, a_session, told


class Flat:
    """A tenth of a second for a hundred prompt tokens, and for each answered one."""

    def prefill_s(self, num_tokens: int, prefix: int, budget: int) -> float:
        return num_tokens / 1000

    def seconds(self, num_decodes: int, kv_tokens: int) -> float:
        return 0.1

    def run_seconds(self, decodes: int, kv: int, prefills: object, steps: int) -> list[float]:
        return [0.1] * steps


ALONE = Alone(cast("StepTime", Flat()), budget=8192)


def run_of(*parts: Iterable[Event], alone: Alone | None = ALONE, **ideal_s: float) -> ExplainedRun:
    return ExplainedRun("run", Stream(told(*parts)), ideal_s, alone)


def causes(one: Explained) -> dict[str, float]:
    return {name: round(value, 9) for name, value in one.causes.known.items() if round(value, 9)}


def waited(*rounds: Iterable[Event], admitted: float, ended: float) -> list[Event]:
    begin = [SessionArrived(0.0, "a"), SessionAdmitted(admitted, "a")]
    return told(begin, *rounds, [SessionEnded(ended, "a", "finished")])


# Alone: 1,000 tokens in 1 s, and ten more answered ones in 1 s; then 200 new ones in 0.2 s.
TWO_ROUNDS = [
    *a_round("a", 0, ready=0, submit=2, start=5, first=8, end=10, prompt=1000, output=11),
    *a_round(
        "a", 1, ready=14, start=15, first=19, end=19, prompt=1200, output=1, cached=300,
        reusable=1000,
    ),
]  # fmt: skip


def test_each_second_has_its_cause() -> None:
    run = run_of(waited(TWO_ROUNDS, admitted=2, ended=19), a=5.2)  # its pause alone: 3 s
    one = run.session("a")
    assert one.slowdown_s == pytest.approx(13.8)
    assert causes(one) == {
        "admission_s": 2.0,
        "queue_s": 3.0 + 1.0,
        "recompute_s": 0.7,
        "contention_s": (5.0 - 2.0) + (4.0 - 0.2 - 0.7),
        "tools_s": 1.0,
    }


def test_a_preempted_round_queues_again_and_computes_again() -> None:
    rounds = [
        *a_round("a", 0, ready=0, first=1, end=9, prompt=1000, output=11),
        Preempted(1.5, "a", 0, 1005),
        GpuStart(4.0, "a", 0, 200, 1004, resumed=True, loaded_tokens=100),
    ]
    one = run_of(waited(rounds, admitted=0, ended=9), a=2.0).session("a")
    # 705 tokens, of which the last would have been answered alone too, in a step of 0.1 s.
    assert causes(one) == {"queue_s": 2.5, "recompute_s": 0.605, "contention_s": 3.895}
    assert one.rounds[0].lost_tokens == 704


def test_what_others_had_computed_is_a_gain() -> None:
    rounds = a_round("a", ready=0, first=0.4, end=1.4, prompt=1000, output=11, cached=600)
    one = run_of(waited(rounds, admitted=0, ended=1.4), a=2.0).session("a")
    assert causes(one) == {"found_s": -0.6}


def with_a_child(last: float) -> list[Event]:
    """The sub-agent ends at 6 s, a tool beside it at `last`."""
    child = a_round("c", ready=2, start=4, first=5, end=6, prompt=1000, output=1)
    calls = [
        ToolStart(2.0, "a", 0, 0, "agent", "c"), ToolStart(2.0, "a", 0, 1, "test"),
        ToolEnd(6.0, "a", 0, 0, "agent"), ToolEnd(last, "a", 0, 1, "test"),
    ]  # fmt: skip
    ready = max(6.0, last)
    rounds = [
        *a_round("a", 0, ready=0, first=1, end=2, prompt=1000, output=11),
        *a_round("a", 1, ready=ready, first=ready + 1, end=ready + 1, prompt=1000, output=1),
    ]
    parent = waited(rounds, calls, admitted=0, ended=ready + 1)
    return told(parent, a_session("c", 2.0, 6.0, parent="a", rounds=child))


def test_a_sub_agent_that_was_waited_for_is_a_cause_of_its_own() -> None:
    one = run_of(with_a_child(last=3.0), a=4.0).session("a")
    assert causes(one) == {"agents_s": 3.0}  # 2 s queued, 1 s of contention
    one = run_of(with_a_child(last=7.0), a=4.0).session("a")
    assert causes(one) == {"tools_s": 4.0}


def test_branches_share_steps_even_alone_which_no_tool_made_up_for() -> None:
    """Alone the two take 2 s more than the one: of the 3 s that it lost, 1 s is a slowdown."""
    branch = a_round("d", ready=2, start=2, first=5, end=5, prompt=1000, output=1)
    call = [ToolStart(2.0, "a", 0, 2, "agent", "d"), ToolEnd(5.0, "a", 0, 2, "agent")]
    fanned = told(with_a_child(last=3.0), call, a_session("d", 2.0, 5.0, parent="a", rounds=branch))
    assert causes(run_of(fanned, a=6.0).session("a")) == {"agents_s": 1.0}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Event], float]:
    """A session of some rounds with preemptions and pauses, and any time alone."""
    wait = st.floats(0, 100).map(lambda s: round(s, 3))
    at = admitted = draw(wait)
    found: list[Event] = [SessionArrived(0.0, "a"), SessionAdmitted(admitted, "a")]
    for number in range(draw(st.integers(1, 4))):
        ready, submit = (0.0, admitted) if number == 0 else (at, at)
        prompt, output = draw(st.integers(1, 5000)), draw(st.integers(1, 50))
        tokens = st.integers(0, prompt - 1)
        at = submit + draw(wait)
        found += [RoundReady(ready, "a", number), GpuSubmit(submit, "a", number, prompt, output)]
        found.append(GpuStart(at, "a", number, draw(tokens), draw(tokens), False, 0))
        for _ in range(draw(st.integers(0, 2))):
            at += draw(wait)
            found.append(Preempted(at, "a", number, prompt))
            at += draw(wait)
            found.append(GpuStart(at, "a", number, draw(tokens), draw(tokens), True, 0))
        at += draw(wait)
        found += [GpuFirstToken(at, "a", number), GpuEnd(at, "a", number, output)]
        ended = at
        at += draw(wait)
    return [*found, SessionEnded(ended, "a", "finished")], draw(st.floats(0.1, 1000))


def test_an_answer_is_priced_once_however_often_it_is_asked_for() -> None:
    asked: list[int] = []

    class Counted(Flat):
        def run_seconds(self, decodes: int, kv: int, prefills: object, steps: int) -> list[float]:
            asked.append(steps)
            return super().run_seconds(decodes, kv, prefills, steps)

    alone = Alone(cast("StepTime", Counted()), budget=8192)
    assert [alone.decode_s(100, out) for out in (11, 5, 11)] == pytest.approx([1.0, 0.4, 1.0])
    assert asked == [10, 4]


@given(history=histories(), modelled=st.booleans())
def test_the_causes_add_up_to_completion_less_time_alone(
    history: tuple[list[Event], float], modelled: bool
) -> None:
    events, ideal_s = history
    one = run_of(events, alone=ALONE if modelled else None, a=ideal_s).session("a")
    assert one.record.completion_s is not None
    assert one.causes.total_s == pytest.approx(one.record.completion_s - ideal_s, abs=1e-9)
    assert ("rest_s" in one.causes.known) is not modelled


def test_without_modelled_steps_only_what_was_seen_is_told() -> None:
    run = run_of(waited(TWO_ROUNDS, admitted=2, ended=19), alone=None, a=5.2)
    assert causes(run.session("a")) == {"admission_s": 2.0, "queue_s": 4.0, "rest_s": 7.8}
    unseen = [e for e in TWO_ROUNDS if not isinstance(e, GpuStart)]
    one = run_of(waited(unseen, admitted=2, ended=19), alone=None, a=5.2).session("a")
    assert one.causes.queue_s is None
    assert causes(one) == {"admission_s": 2.0, "rest_s": 11.8}


def lost_to(*others: Iterable[Event]) -> Sequence[str]:
    evictions = [Evicted(11.0, "a", 30), Evicted(12.0, "a", 10), Evicted(30.0, "a", 5)]
    run = run_of(waited(TWO_ROUNDS, admitted=2, ended=19), evictions, *others, a=5.2)
    return [line for line in story_of(run, run.session("a")) if "recomputed" in line]


def test_the_story_names_whose_prompt_was_computed_when_blocks_went() -> None:
    b = a_session("b", 0.0, 14.0, rounds=a_round("b", 3, ready=10.5, first=11.5, end=14))
    (line,) = lost_to(b)
    assert line == (
        "Round 1 recomputed 700 tokens (0.700 s alone): 40 blocks of the session were evicted "
        "between 11.0 s and 12.0 s, while the prompt of b (round 3) was computed."
    )
    (line,) = lost_to()
    assert line.endswith("12.0 s, while answers grew or a policy discarded them.")


def test_a_mean_is_of_what_every_session_can_tell_and_adds_up() -> None:
    seen = run_of(waited(TWO_ROUNDS, admitted=2, ended=19), a=5.2).explained
    blind = run_of(waited(TWO_ROUNDS, admitted=4, ended=19), alone=None, a=5.2).explained
    told = mean([e.causes for e in (*seen, *blind)])
    assert told.known == {"admission_s": 3.0, "queue_s": 3.0, "rest_s": pytest.approx(7.8)}
    assert told.total_s == pytest.approx(13.8)
    assert mean([]).known == {}


def test_the_json_has_every_cause_and_null_for_what_is_not_told() -> None:
    run = run_of(waited(TWO_ROUNDS, admitted=2, ended=19), alone=None, a=5.2)
    (found,) = json.loads(why_json([run], None))
    assert (found["sessions"], found["left_out"]) == (1, 0)
    assert found["mean"]["causes"]["recompute_s"] is None
    (told_one,) = json.loads(why_json([run], "a"))
    assert [r["queue_s"] for r in told_one["rounds"]] == [3.0, 1.0]
    assert told_one["story"][0].startswith("a took 19.00 s where alone it takes 5.20 s")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x", "run has no session 'x'; it explains 1, a to a"),
        ("c", "c is a sub-agent, .* ask for a,"),
        ("f", r"f has no slowdown: it is failed \(the tool broke\)"),
        ("u", r"u has no slowdown: it is finished \(its time alone is not known\)"),
    ],
)
def test_what_has_no_slowdown_is_refused_with_the_reason(name: str, says: str) -> None:
    others = (a_session("f", 0.0, 5.0, outcome="failed"), a_session("u", 0.0, 5.0))
    run = run_of(with_a_child(last=3.0), *others, a=4.0, f=1.0)
    assert run.num_left_out == 2
    with pytest.raises(UsageError, match=says):
        run.session(name)
