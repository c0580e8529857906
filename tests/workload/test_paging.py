"""Contexts paged as MemGPT does: alert, flush, summary, cut; worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.workload.files import Workload
from marsbench.core.workload.paging import paged
from marsbench.errors import UsageError
from workload.builders import session, workload
from workload.test_mooncake import numbered, sessions

SAVE = ToolCall("memory", "wait", floor_s=0.01)
TEST = (ToolCall("test", "cpu", 2.0, cores=2),)


def one(*rounds: Round, window: int, **fields: object) -> Session:
    (found,) = paged(workload(session("a", *rounds, **fields)), window).sessions
    return found


def test_what_fits_is_left_as_it_is() -> None:
    before = workload(session("a", Round(1000, 500, TEST), Round(900, 300)))
    assert paged(before, 4000).sessions == before.sessions
    assert paged(before, 4000).meta["context_paging"] == 4000


def test_past_the_warning_the_model_is_alerted_once_and_saves() -> None:
    """1,500, then 2,900 behind the answer; 3,000 is past 70 % of 4,000."""
    found = one(
        Round(1000, 500), Round(900, 500), Round(100, 300, TEST), Round(50, 50), window=4000
    )
    assert found.rounds[2:] == (
        Round(160, 150, (SAVE,)),
        Round(30, 300, TEST),
        Round(50, 50),
    )


def test_a_full_window_is_flushed_by_half_behind_the_system_prompt() -> None:
    """Four rounds leave 200 + 3,540; 300 and 400 more are too many. 2,000 of the queue go."""
    rounds = (Round(1000, 500), Round(900, 500), Round(100, 500, TEST), Round(300, 400))
    found = one(*rounds, window=4000, prefix_group="g", prefix_tokens=200)
    assert found.rounds[4] == Round(300, 400, cut=Cut(200 + 150 + 1540, kept_tokens=200))
    test, summary = found.rounds[3].tools
    assert test == TEST[0]
    child = summary.child
    assert child is not None
    assert child.rounds == (Round(260 + 2000, 150),)
    assert child.arrival_s == 1.0  # when the tests have ended
    assert (child.prefix_group, child.prefix_tokens) == ("memgpt-summary", 260)


def test_the_next_summary_is_of_the_one_before_too() -> None:
    rounds = (Round(1000, 500), *[Round(500, 500)] * 8)
    found = one(*rounds, window=4000)
    first, second, *_ = [child.rounds[0].append_tokens for child in found.children]
    assert (first, second) == (260 + 2000, 260 + 150 + 2000)


def test_an_append_that_is_longer_comes_in_pages_with_a_call_for_each() -> None:
    found = one(Round(2700, 100, TEST), Round(10, 10), window=4000)
    assert found.rounds[:3] == (
        Round(1000, 150, (SAVE,)),
        Round(1000, 150, (SAVE,)),
        Round(700 + 60, 150, (SAVE,)),
    )
    assert found.rounds[3] == Round(30, 100, TEST)


def test_a_system_prompt_and_an_answer_are_at_most_a_quarter() -> None:
    found = one(Round(2500, 3000), Round(10, 10), window=4000, prefix_group="g", prefix_tokens=1500)
    assert found.prefix_tokens == 1000
    assert found.rounds[0] == Round(2000, 1000)


def test_a_cut_of_the_sessions_own_is_kept_where_the_context_is_longer() -> None:
    rounds = (Round(900, 100), Round(50, 50, cut=Cut(400, 300)), Round(9, 9, cut=Cut(800, 0)))
    found = one(*rounds, window=4000, prefix_group="g", prefix_tokens=200)
    assert [rnd.cut for rnd in found.rounds] == [None, Cut(400, 200), None]


def test_sub_agents_are_paged_too_and_branches_refused() -> None:
    child = session("c", *[Round(900, 500)] * 4)
    calls = (ToolCall("agent", "agent", child=child),)
    found = one(Round(100, 10, calls), Round(10, 10), window=4000)
    assert found.children[0].peak_tokens <= 4000 < child.peak_tokens
    branch = replace(calls[0], child=session("c", Round(50, 5), fork_tokens=40))
    with pytest.raises(UsageError, match="leave out --context-paging"):
        one(Round(100, 10, (branch,)), Round(10, 10), window=4000)


@settings(max_examples=40)
@given(st.lists(sessions(), min_size=1, max_size=3), st.sampled_from([2048, 3001, 8192]))
def test_no_context_passes_the_window_and_no_rounds_are_lost(
    drawn: list[Session], window: int
) -> None:
    numbers = count()
    before = Workload("w", tuple(numbered(one, numbers) for one in drawn))
    after = paged(before, window)
    for old, new in zip(before.sessions, after.sessions, strict=True):
        assert max(member.peak_tokens for member in new.walk()) <= window
        own = [call for rnd in new.rounds[:-1] for call in rnd.tools if call.name != "memory"]
        kept = {call.name: call for call in own if call.child is None}
        asked = {call.name: call for rnd in old.rounds[:-1] for call in rnd.tools}
        assert {name for name, call in asked.items() if call.child is None} <= {*kept, "memory"}
        assert len(new.rounds) >= len(old.rounds)
        for summary in (child for rnd in new.rounds for child in summaries(rnd)):
            assert len(summary.rounds) == 1  # whose input needs no summary of its own
            assert summary.rounds[0].append_tokens <= 0.75 * window


def summaries(rnd: Round) -> list[Session]:
    called = [call.child for call in rnd.tools if call.name == "summary"]
    return [child for child in called if child is not None]


def test_what_is_paged_is_not_paged_again() -> None:
    with pytest.raises(UsageError, match="paged already, in a window of 4000"):
        paged(paged(workload(), 4000), 8192)
