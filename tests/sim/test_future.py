"""What a clairvoyant policy is told: the rest of a session, however long it is."""

from __future__ import annotations

from hypothesis import given, settings

from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.sim.future import Futures
from marsbench_backends.signals import Future
from sim.worlds import sessions


def by_hand(session: Session, number: int) -> Future:
    """The same by its definition, from that round to the last."""
    rest = session.rounds[number:]
    tools = [max((max(t.cpu_s, t.floor_s) for t in r.tools), default=0.0) for r in rest]
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
