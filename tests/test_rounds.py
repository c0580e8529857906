"""What follows from rounds: what a prompt can find computed, and how much of a session is left."""

from __future__ import annotations

from hypothesis import given, settings

from marsbench.core.rounds import ComputedTokens, Futures
from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench_backends.signals import Future
from sim.worlds import sessions


def by_hand(session: Session, number: int) -> Future:
    """The same by its definition, from that round to the last."""
    rest = session.rounds[number:]
    tools = [max((max(t.cpu_s / t.cores, t.floor_s) for t in r.tools), default=0.0) for r in rest]
    seconds = 0.0
    for tool_s in reversed(tools):
        seconds += tool_s
    return Future(
        len(rest),
        sum(r.append_tokens for r in rest),
        sum(r.output_tokens for r in rest),
        seconds,
        tools[0],
        max(p.num_tokens + p.output_tokens for p in session.prompts()),
    )


@settings(max_examples=50, deadline=None, derandomize=True)
@given(sessions())
def test_the_rest_of_a_session_is_the_sum_of_its_rounds(session: Session) -> None:
    futures = Futures(session)
    for number in range(len(session.rounds)):
        assert futures.of(number) == by_hand(session, number)


def test_five_thousand_rounds_are_one_pass_backward() -> None:
    tool = ToolCall("test", "cpu", cpu_s=0.5, floor_s=0.25)
    session = Session("long", tuple(Round(2, 3, (tool,)) for _ in range(5_000)))
    futures = Futures(session)
    assert futures.of(0) == Future(5_000, 10_000, 15_000, 2_500.0, 0.5, 25_000)
    assert futures.of(4_999) == Future(1, 2, 3, 0.5, 0.5, 25_000)
    assert futures.of(7) is futures.of(7), "computed once, and kept with the session"


def reusable(session: Session, tail: int | None = None, block_size: int = 10) -> list[int]:
    """Of every round's prompt, where each is answered before the next."""
    computed, found = ComputedTokens(), []
    for prompt in session.prompts():
        computed.begin(prompt)
        found.append(computed.reusable(prompt.num_tokens, block_size))
        computed.end(prompt, tail)
    return found


def test_what_was_computed_is_reusable_in_whole_blocks_but_for_the_last_output_token() -> None:
    # 100 and 19 of 20 output tokens: 119; then 125 + 20 and 4 of 5.
    assert reusable(Session("s", (Round(100, 20), Round(25, 5), Round(5, 1)))) == [0, 110, 140]


def test_vllm_computes_the_last_token_of_a_prompt_that_is_all_there() -> None:
    computed = ComputedTokens(num_tokens=200)
    assert [computed.reusable(n, 10) for n in (100, 101, 1)] == [90, 100, 0]


def test_of_a_cut_context_what_it_kept_is_reusable() -> None:
    rounds = (Round(100, 20), Round(25, 5, cut=Cut(60, kept_tokens=45)), Round(50, 1))
    assert reusable(Session("s", rounds)) == [0, 40, 80]


def test_behind_a_tail_nothing_is_part_of_the_next_prompt() -> None:
    session = Session("s", (Round(104, 20), Round(25, 5)))
    assert reusable(session, tail=5) == [0, 90]
    assert reusable(Session("s", (Round(3, 20), Round(25, 5))), tail=5) == [0, 0]


def test_what_a_preempted_request_had_computed_is_reusable() -> None:
    computed = ComputedTokens(num_tokens=50)
    computed.preempted(80)
    assert computed.reusable(200, 10) == 80
    computed.preempted(30)
    assert computed.reusable(200, 10) == 80
