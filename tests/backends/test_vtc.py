"""VTC: counters by hand, the order that the paper's algorithm gives, and the bound it proves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench_backends.policies.vtc import Vtc
from marsbench_backends.policy import Policy
from marsbench_backends.signals import FirstToken, RoundSubmitted, Signal, StepEnded
from marsbench_backends.testing import (
    FakeReq,
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


def comes(session: str, tenant: str, tokens: int = 100, number: int = 0) -> Signal:
    return submitted(session, number=number, tokens=tokens, tenant=tenant)


def first(session: str) -> Signal:
    return FirstToken(0.0, session, 0, 0.0)


def of(tenant: str, session: str, position: int = 1, **facts: int) -> FakeReq:
    return req(session, tenant=tenant, position=position, **facts)


def test_who_was_served_less_goes_first() -> None:
    # red has had 300 prompt tokens; blue 100, one output token with its prompt, and 60 more.
    story = (
        *(comes("r", "red", 300), comes("b", "blue", 100), comes("r2", "red"), comes("b2", "blue")),
        *(started("r"), started("b"), first("b"), computed("b", tokens=60)),
    )
    reqs = (of("red", "r2", 1), of("blue", "b2", 2))
    assert order(play(Vtc(), *story), *reqs) == ["b2", "r2"]
    # 100 + 2 x 101 passes 300.
    assert order(play(Vtc(), *story, computed("b", tokens=40)), *reqs) == ["r2", "b2"]


def test_rounds_of_one_tenant_are_first_come_first_served() -> None:
    policy = play(Vtc(), comes("a", "red", 900), comes("b", "red", 10), comes("c", "red"))
    assert order(policy, of("red", "c", 3), of("red", "b", 2), of("red", "a", 1)) == [*"abc"]


def test_a_tenant_takes_its_turns_as_if_each_prompt_were_charged_when_it_starts() -> None:
    """The algorithm picks r1 (0), b1 (0), b2 (100), then r2 (250): prompts of 250 and 100."""
    story = [comes("r1", "red", 250), comes("b1", "blue"), comes("r2", "red"), comes("b2", "blue")]
    reqs = [of("red", "r1", 1), of("blue", "b1", 2), of("red", "r2", 3), of("blue", "b2", 4)]
    policy = play(Vtc(), *story)
    assert order(policy, *reqs) == ["r1", "b1", "b2", "r2"]
    assert order(play(policy, started("r1")), *reqs[1:]) == ["b1", "b2", "r2"], "nothing changes"


def test_a_tenant_that_comes_back_is_lifted_to_the_lowest_that_waits() -> None:
    story = (comes("r", "red", 500), started("r"), comes("r2", "red"), comes("b", "blue"))
    policy = play(Vtc(), *story)
    # blue begins at 500, not at 0: red's r2 came first and goes first.
    assert order(policy, of("blue", "b", 2), of("red", "r2", 1)) == ["r2", "b"]
    # A tenant with more than the lowest keeps what it has.
    late = play(policy, comes("g", "green", 50), started("g"), comes("g2", "green"))
    reqs = (of("red", "r2", 1), of("blue", "b", 2), of("green", "g2", 3))
    assert order(late, *reqs) == ["r2", "b", "g2"]


def test_where_nobody_waits_it_is_lifted_to_the_one_who_left_last() -> None:
    alone = play(Vtc(), comes("r", "red", 500), started("r"), comes("b", "blue"))
    # blue is lifted to red's 500; so red, which comes after it, goes after it.
    play(alone, comes("r2", "red", 1))
    assert order(alone, of("red", "r2", 2), of("blue", "b", 1)) == ["b", "r2"]
    assert order(alone, of("red", "r2", 1), of("blue", "b", 2)) == ["r2", "b"], "level, so by place"


@pytest.mark.parametrize(("blue", "found"), [(201, ["b", "r2"]), (203, ["r2", "b"])])
def test_what_a_preempted_round_computes_again_is_no_service(blue: int, found: list[str]) -> None:
    story = (
        *(comes("r", "red", 100), comes("x", "blue", blue), started("r"), started("x")),
        *(first("r"), computed("r", tokens=49)),
        *(preempted("r", tokens=150), started("r", cached=30, resumed=True)),
        # 120 tokens again, and one new: red has had 100 + 2 x (1 + 49 + 1) = 202.
        *(computed("r", tokens=100), computed("r", tokens=21)),
        *(comes("w", "green", 1_000), comes("r2", "red"), comes("b", "blue")),
    )
    assert order(play(Vtc(), *story), of("red", "r2", 1), of("blue", "b", 2)) == found


def test_a_preempted_round_goes_first() -> None:
    policy = play(Vtc(), comes("b", "blue"), comes("r", "red", 500), started("r"))
    again = of("red", "r", -1, num_preemptions=1)
    assert order(policy, of("blue", "b", 1), again) == ["r", "b"]


@pytest.mark.parametrize(("counts", "turns"), [(True, (1_110, 1_110)), (False, (110, 120))])
def test_cached_tokens_may_be_free(counts: bool, turns: tuple[int, int]) -> None:
    """Ahead of its start, what the session has computed is taken to be cached."""
    story = (
        *(comes("r", "red", 100), started("r"), ended("r", tokens=1_000)),
        *(comes("r", "red", 1_010, 1), comes("r2", "red")),
    )
    policy, last = Vtc(count_cached=counts), of("red", "r2")
    assert play(policy, *story).waiting_key(last, FakeView())[1] == turns[0]
    play(policy, started("r", number=1, cached=990))
    assert policy.waiting_key(last, FakeView())[1] == turns[1]


TWO_WAIT = (
    *(comes("r", "red", 100), comes("b", "blue", 213), comes("r2", "red"), comes("b2", "blue")),
    *(started("r"), first("r"), started("b")),
)
"""red waits at 100 + 2, blue at 213."""


def test_keys_are_asked_again_when_two_tenants_change_places_and_only_then() -> None:
    policy = play(Vtc(), *TWO_WAIT)
    version = policy.version
    play(policy, computed("r", tokens=55))
    assert policy.version == version, "212 is still ahead"
    play(policy, computed("r", tokens=1))
    assert policy.version > version


def test_steps_are_steady_until_the_next_tenant_is_reached() -> None:
    policy = play(Vtc(), *TWO_WAIT)  # 111 / 2 tokens
    one, blue = running("r", tenant="red"), running("b", tenant="blue")
    assert policy.steady_tokens(one, FakeView(running=[one, blue])) == 56
    both = FakeView(running=[one, running("r3", tenant="red"), blue])
    assert policy.steady_tokens(one, both) == 28
    assert policy.steady_tokens(blue, both) == math.inf, "nobody is ahead of whom it grows"
    assert policy.steady_tokens(of("red", "r"), both) == math.inf, "its prompt was charged"
    alone = play(Vtc(), comes("r", "red"), started("r"), comes("r2", "red"))
    assert alone.steady_tokens(one, both) == math.inf


@pytest.mark.parametrize("name", ["input_weight", "output_weight"])
def test_tokens_weigh_something(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be more than 0"):
        Vtc(**{name: 0.0})


# --- the bound

LONGEST, MEMORY = 120, 400
WEIGHTS = (1.0, 2.0)


@dataclass
class Engine:
    """The paper's: whole prompts are computed at once, nobody is preempted, memory is tokens.

    A round reserves its prompt and its whole output. `served`: weighted tokens of each tenant.
    left: of the rounds that run, output tokens to come.
    """

    policy: Policy
    waiting: list[FakeReq] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)
    running: list[FakeReq] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    served: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def submit(self, tenant: str, prompt: int, output: int) -> None:
        self.count += 1
        name = f"s{self.count}"
        self.outputs[name] = output
        self.waiting.append(of(tenant, name, self.count, num_prompt_tokens=prompt))
        self.policy.observe(RoundSubmitted(0.0, name, 0, prompt, tenant=tenant))

    def step(self) -> None:
        view = FakeView(waiting=self.waiting)
        self.waiting.sort(key=lambda one: (self.policy.waiting_key(one, view), one.position))
        begun: list[FakeReq] = []
        while self.waiting and self.size(*self.running, *begun, self.waiting[0]) <= MEMORY:
            begun.append(self.waiting.pop(0))
        for one in begun:
            self.policy.observe(started(one.session_id))
            self.serve(one.tenant, WEIGHTS[0] * one.num_prompt_tokens)
            self.left[one.session_id] = self.outputs[one.session_id]
        self.running += begun
        self.policy.serve(StepEnded(0.0, 0.0, [(r.session_id, 1, False) for r in self.running]))
        for one in self.running:
            self.serve(one.tenant, WEIGHTS[1])
            self.left[one.session_id] -= 1
            if not self.left[one.session_id]:
                self.policy.observe(gone(one.session_id))
        self.running = [one for one in self.running if self.left[one.session_id]]

    def size(self, *reqs: FakeReq) -> int:
        return sum(one.num_prompt_tokens + self.outputs[one.session_id] for one in reqs)

    def serve(self, tenant: str, tokens: float) -> None:
        self.served[tenant] = self.served.get(tenant, 0.0) + tokens


Wish = st.tuples(st.integers(40, LONGEST), st.integers(1, 40))


def widest_gap(policy: Policy, wishes: dict[str, list[tuple[int, int]]], steps: int) -> float:
    """Between the service of any two tenants, all of whom have rounds waiting all the time."""
    engine, gap = Engine(policy), 0.0
    for number in range(steps):
        for tenant, asked in wishes.items():
            backlog = sum(one.tenant == tenant for one in engine.waiting)
            for _ in range(10 - backlog):
                engine.submit(tenant, *asked[(number + backlog) % len(asked)])
        engine.step()
        served = [engine.served.get(tenant, 0.0) for tenant in wishes]
        gap = max(gap, max(served) - min(served))
    return gap


@settings(max_examples=10, deadline=None, derandomize=True)
@given(wishes=st.fixed_dictionaries({t: st.lists(Wish, min_size=1, max_size=4) for t in "abc"}))
def test_tenants_that_wait_all_the_time_differ_by_a_bounded_service(
    wishes: dict[str, list[tuple[int, int]]],
) -> None:
    """Theorem 4.4: at most 2 max(w_p L, w_q M), L the longest prompt, M the memory in tokens."""
    w_p, w_q = WEIGHTS
    assert widest_gap(Vtc(), wishes, 40) <= 2 * max(w_p * LONGEST, w_q * MEMORY)


def test_first_come_first_served_knows_no_such_bound() -> None:
    wishes = {"a": [(LONGEST, 4)], "b": [(40, 1)]}
    bound = 2 * max(WEIGHTS[0] * LONGEST, WEIGHTS[1] * MEMORY)
    assert widest_gap(Policy(), wishes, 100) > bound > widest_gap(Vtc(), wishes, 100)
