"""A session's prompts: how long each is, and which of its tokens are whose."""

from __future__ import annotations

import pytest

from marsbench.core.session import Cut, Generate, Round, RunTools, Session, ToolCall, play


def lengths(*rounds: Round) -> list[int]:
    return [p.num_tokens for p in Session("s", rounds).prompts()]


def test_the_context_grows_by_what_is_appended_and_generated() -> None:
    assert lengths(Round(100, 10), Round(5, 20), Round(0, 1)) == [100, 115, 135]


def test_a_cut_sets_the_length_before_the_rounds_own_append() -> None:
    assert lengths(Round(100, 10), Round(5, 20, cut=Cut(30)), Round(1, 1)) == [100, 35, 56]


def test_a_cut_keeps_the_epochs_of_what_it_keeps() -> None:
    cuts = [Cut(50, kept_tokens=40), Cut(45, kept_tokens=45), Cut(20, kept_tokens=20)]
    rounds = (Round(100, 10), *(Round(10, 10, cut=cut) for cut in cuts))
    edges = [p.edges for p in Session("s", rounds).prompts()]
    assert edges == [(), ((40, 0),), ((40, 0), (45, 1)), ((20, 0),)]
    assert [p.kept_tokens for p in Session("s", rounds).prompts()] == [0, 40, 45, 20]


def test_a_cut_keeps_the_shared_prefix_as_far_as_it_reaches() -> None:
    def kept(to_tokens: int) -> tuple[tuple[int, int], ...]:
        rounds = (Round(100, 10), Round(10, 10, cut=Cut(to_tokens)))
        session = Session("s", rounds, prefix_group="g", prefix_tokens=40)
        return [p.edges for p in session.prompts()][1]

    assert kept(60) == ((40, 0),)
    assert kept(30) == ((30, 0),)
    assert kept(0) == ()


def test_a_session_is_played_round_by_round_and_its_last_tools_are_left_out() -> None:
    tools = (ToolCall("t", floor_s=1.0),)
    session = Session("s", (Round(10, 1, tools), Round(10, 1), Round(10, 1, tools)))
    steps = list(play(session))
    assert [type(s) for s in steps] == [Generate, RunTools, Generate, Generate]
    rounds = [s for s in steps if isinstance(s, Generate)]
    assert [s.is_last for s in rounds] == [False, False, True]
    assert [s.calls for s in rounds] == [tools, (), ()]


def test_the_peak_is_the_longest_prompt_with_its_output() -> None:
    session = Session("s", (Round(100, 50), Round(5, 20, cut=Cut(30))))
    assert session.peak_tokens == 150


def test_sessions_below_a_session_are_walked_with_it() -> None:
    grandchild = Session("s/0/0", (Round(1, 1),))
    child = Session("s/0", (Round(1, 1, (ToolCall("a", "agent", child=grandchild),)),))
    session = Session("s", (Round(1, 1, (ToolCall("a", "agent", child=child),)),))
    assert [s.id for s in session.walk()] == ["s", "s/0", "s/0/0"]


def forking(tokens: int) -> ToolCall:
    return ToolCall("b", "agent", child=Session("b", (Round(tokens, 1),), fork_tokens=tokens))


def test_a_branch_may_begin_with_all_that_there_is_when_it_starts() -> None:
    rounds = (Round(10, 1, (forking(11),)), Round(5, 2, (forking(18),)))
    assert [child.fork_tokens for child in Session("s", rounds).children] == [11, 18]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Session("s", ()), "no rounds"),
        (lambda: Session("s", (Round(10, 1),), arrival_s=-1), "arrival_s"),
        (lambda: Session("s", (Round(10, 1, cut=Cut(5)),)), "no context to cut"),
        (lambda: Session("s", (Round(10, 1),), prefix_tokens=20), "less than its shared prefix"),
        (lambda: Session("s", (Round(10, 1),), fork_tokens=11), "forks 0 to 10 tokens"),
        (
            lambda: Session("s", (Round(10, 1),), prefix_group="g", fork_tokens=5),
            "leave out its prefix group",
        ),
        (
            lambda: Session("s", (Round(10, 1, (forking(12),)),)),
            "forks 12 tokens of its parent's context, which has 11",
        ),
        (lambda: Round(-1, 1), "append_tokens"),
        (lambda: Round(1, 0), "output_tokens"),
        (lambda: Cut(5, kept_tokens=6), "keeps 0 to 5"),
        (lambda: Round(0, 10, cut=Cut(0)), "cut to 0 tokens must append at least 1"),
        (lambda: ToolCall("t", "wait", cpu_s=1.0), "only kind 'cpu'"),
        (lambda: ToolCall("t", "agent"), "a child go together"),
        (lambda: ToolCall("t", "cpu", cpu_s=-1.0), "negative"),
    ],
)
def test_what_cannot_be_says_why(make, reason: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=reason):
        make()
