"""A policy's answers looked at, without vLLM: how often, and what is taken instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from backends.bad import BAD_ADMISSION
from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.answers.admission import watched
from marsbench_backends.answers.policy import EVERY, FIRST, Answers
from marsbench_backends.answers.wrong import WarnOnce, Wrong, WrongAnswerError, quoted, refuse
from marsbench_backends.policy import Key, Policy, Release, Req, View
from marsbench_backends.signals import SessionEnded
from marsbench_backends.testing import FakeReq, FakeView, paused, req, running

VIEW = FakeView(now=7.0)
STATE = EngineState(7.0, (), 100, 100, 16, 0, 8, arrivals_over=False)
CANDIDATES = [Candidate(f"s{n}", 0.0, 100) for n in range(5)]


class Turning(Policy):
    """Answers well until it is told to answer otherwise."""

    sorts_running = True

    def __init__(self) -> None:
        self.keys: Callable[[Req], Any] = lambda req: (-req.position,)

    def waiting_key(self, req: Req, view: View) -> Key:
        key: Key = self.keys(req)
        return key

    def running_key(self, req: Req, view: View) -> Key:
        return self.waiting_key(req, view)


def asked(policy: Policy, told: Callable[[Wrong], None] = refuse) -> Answers:
    return Answers(policy, "own:Own", VIEW, told)


def three() -> tuple[list[FakeReq], dict[str, FakeReq]]:
    found = [running(name, position=n) for n, name in enumerate("abc", start=1)]
    return found, {one.request_id: one for one in found}


def test_running_requests_are_in_the_order_of_their_keys() -> None:
    order, reqs = three()
    asked(Turning()).sort_running(order, reqs)
    assert [one.session_id for one in order] == ["c", "b", "a"]


def is_refused(answers: Answers, order: list[FakeReq], reqs: dict[str, FakeReq]) -> bool:
    try:
        answers.sort_running(order, reqs)
    except WrongAnswerError as error:
        return "running_key answered (nan,) for session" in str(error)
    return False


@pytest.mark.parametrize(("num_before", "most"), [(0, 1), (FIRST, EVERY), (1_000, EVERY)])
def test_a_key_that_is_no_number_is_found_within_so_many_orders(num_before: int, most: int) -> None:
    policy = Turning()
    answers, (order, reqs) = asked(policy), three()
    for _ in range(num_before):
        answers.sort_running(order, reqs)
    policy.keys = lambda req: (float("nan"),)
    assert any(is_refused(answers, order, reqs) for _ in range(most))


def test_under_check_it_is_found_at_once() -> None:
    policy = Turning()
    answers, (order, reqs) = asked(policy), three()
    answers.thorough = True
    for _ in range(FIRST):
        answers.sort_running(order, reqs)
    policy.keys = lambda req: (float("nan"),)
    assert is_refused(answers, order, reqs)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (lambda req: {}[req.session_id], r"running_key raised KeyError: '[abc]' \(line \d+ of"),
        (lambda req: (req.position * 1j,), r"running_key answered \(3j,\) for session 'c'"),
        (lambda req: ("x" if req.position == 2 else 1,), r"answered \(1,\) and \('x',\), which"),
    ],
)
def test_a_key_that_cannot_be_sorted_is_found_at_once(
    keys: Callable[[Req], Any], said: str
) -> None:
    policy, heard = Turning(), []
    answers, (order, reqs) = asked(policy, heard.append), three()
    for _ in range(FIRST + 1):  # by now not each order is looked at
        answers.sort_running(order, reqs)
    policy.keys = keys
    answers.sort_running(order, reqs)
    assert re.search(said, heard[0].sentence), heard[0]
    assert [one.session_id for one in order] == ["a", "b", "c"], "vLLM's own order is taken"


def test_numbers_of_other_kinds_and_text_are_keys() -> None:
    numpy = pytest.importorskip("numpy")
    policy = Turning()
    policy.keys = lambda req: (numpy.float32(1.5), True, "a", (2, numpy.int64(3)), req.position)
    assert asked(policy).waiting_key(req("a", position=9))[-1] == 9


def test_every_default_is_an_answer_that_can_be_carried_out() -> None:
    answers, held = asked(Policy()), [paused("a"), paused("b")]
    first, second = running("a"), running("b")
    assert answers.retain(held[0]) == Release()
    assert answers.reclaim(held, req()) == "b"
    assert answers.victim([first, second]) is second
    assert answers.yields([first, second]) == ()
    assert answers.chunk(req(), 64) == answers.shrink(req(), 64, 16) == 64
    assert answers.steady_tokens(first) == answers.changes_at() == float("inf")


class Yielding(Policy):
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def yields(self, running: Any, view: View) -> Any:
        return self._answer


def test_who_yields_runs_and_is_named_once() -> None:
    first, second = running("a"), running("b")
    assert asked(Yielding([second])).yields([first, second]) == [second]
    for wrong in (None, "a", [running("a")], [first, first], first):
        heard: list[Any] = []
        assert asked(Yielding(wrong), heard.append).yields([first, second]) == ()
        assert "some of the requests in `running`, each once" in heard[0].sentence


class Half(Policy):
    def retain(self, paused: Any, view: View) -> Any:
        return None if paused.round else 3


def test_each_kind_of_wrong_answer_is_warned_of_once() -> None:
    said: list[str] = []
    answers = asked(Half(), WarnOnce(said.append))
    for number in (0, 1, 0, 1):
        assert answers.retain(paused("a", round=number)) == Release()
    assert [one.split(" at 7 s")[0] for one in said] == [
        "own:Own: retain answered 3 for session 'a', round 0,",
        "own:Own: retain answered None for session 'a', round 1,",
    ]


def test_a_quoted_answer_is_one_short_line() -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise ValueError

    class Lines:
        def __repr__(self) -> str:
            return "one\n  two"

    assert quoted(Unspeakable()) == "a Unspeakable"
    assert quoted("x" * 500).endswith("…")
    assert quoted(Lines()) == "one two"


# --- admission


@pytest.mark.parametrize("admission", BAD_ADMISSION, ids=lambda one: one.__name__)
def test_a_server_that_a_controller_fails_lets_all_in_and_warns_once(
    admission: type[Admission],
) -> None:
    said: list[str] = []
    controller = watched(admission(), "own:Own", WarnOnce(said.append))
    for _ in range(3):
        chosen: Sequence[str] = controller.admit(CANDIDATES, STATE)
        if admission.__name__ != "Hasty":
            assert list(chosen) == [c.session_id for c in CANDIDATES]
    assert len(said) == 1
    assert re.search(BAD_ADMISSION[admission], said[0]), said


def test_a_controller_that_raises_elsewhere_is_warned_of_too() -> None:
    class Raising(Admission):
        def tick(self, state: EngineState) -> None:
            raise ZeroDivisionError

        def observe(self, signal: Any) -> None:
            raise KeyError(signal.session_id)

    said: list[str] = []
    controller = watched(Raising(), "own:Own", WarnOnce(said.append))
    controller.tick(STATE)
    controller.observe(SessionEnded(7.0, "s1", 1))
    assert re.match(r"own:Own: Raising: tick raised ZeroDivisionError \(line \d+ of", said[0])
    assert re.match(r"own:Own: Raising: observe raised KeyError: 's1' .* session 's1'", said[1])


def test_what_is_allowed_comes_through_and_an_iterator_is_read() -> None:
    class Lazy(Admission):
        clairvoyant = True
        tick_s = 0.5

        def admit(self, waiting: Any, state: EngineState) -> Any:
            return (c.session_id for c in waiting[:2])

    controller = watched(Lazy(), "own:Own", refuse)
    assert (controller.clairvoyant, controller.tick_s) == (True, 0.5)
    assert controller.admit(CANDIDATES, STATE) == ["s0", "s1"]
