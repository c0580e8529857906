"""What every policy in the table promises, tried on random stories without vLLM."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench_backends.answers.allowed import RULES
from marsbench_backends.policy import Discard, Keep, Paused, Policy, Release, Swap
from marsbench_backends.registry import BACKENDS, load
from marsbench_backends.signals import (
    EngineStarted,
    FirstToken,
    Future,
    RoundEnded,
    RoundPreempted,
    RoundStarted,
    RoundSubmitted,
    SessionEnded,
    Signal,
    StepEnded,
    ToolEnded,
    ToolStarted,
)
from marsbench_backends.testing import BLOCK, FakeReq, FakeView

DOCS = Path(__file__).parents[2] / "docs" / "backends.md"
TOOLS = ("read", "bash", "test")


@dataclass
class Life:
    """A session of a random story: which state it is in, and its request or its pause."""

    name: str
    parent: str | None
    state: str = "paused"
    round: int = -1
    tokens: int = 400
    at: float = 0.0
    preemptions: int = 0

    @property
    def tenant(self) -> str:
        return "red" if self.name.endswith(("0", "3")) else "blue"

    def step(self, choice: int, now: float) -> Iterator[Signal | StepEnded]:
        """The next thing that happens to it; `choice` decides where there are several."""
        since, self.at = self.at, now
        if self.state == "paused":
            yield from self._submit(choice, now, since)
        elif self.state == "waiting":
            self.state, again = "running", self.preemptions > 0
            evicted = choice % 2 == 0
            yield RoundStarted(now, self.name, self.round, now - since, 16, evicted, again)
        elif choice % 5 == 0:
            self.state, self.preemptions = "waiting", self.preemptions + 1
            yield RoundPreempted(now, self.name, self.round, self.tokens)
        elif choice % 5 == 1:
            yield from self._pause(choice, now)
        else:
            self.tokens += 7 * choice
            prefill = choice % 5 == 2
            yield StepEnded(now, now - since, [(self.name, 7 * choice, prefill)])
            yield FirstToken(now, self.name, self.round, 0.5)

    def _submit(self, choice: int, now: float, since: float) -> Iterator[Signal]:
        if self.round >= 0:
            yield ToolEnded(now, self.name, TOOLS[choice % 3], now - since)
        self.round, self.state, self.preemptions = self.round + 1, "waiting", 0
        future = Future(3, self.tokens, 30, 5.0, float(choice), self.tokens + 30)
        facts = (self.round, self.tokens, self.parent, future, self.tenant)
        yield RoundSubmitted(now, self.name, *facts)

    def _pause(self, choice: int, now: float) -> Iterator[Signal]:
        self.state, tool = "paused", TOOLS[choice % 3]
        yield RoundEnded(now, self.name, self.round, self.tokens, 10, (tool,), 1.0)
        yield ToolStarted(now, self.name, tool)

    def req(self) -> FakeReq:
        blocks = self.tokens // BLOCK if self.state == "running" else 0
        facts: dict[str, Any] = {"num_blocks": blocks, "num_preemptions": self.preemptions}
        facts["tenant"] = self.tenant
        tokens = {"num_tokens": self.tokens, "num_computed_tokens": blocks * BLOCK}
        return FakeReq(self.name, self.round, self.at, **tokens, **facts)

    def pause(self) -> Paused:
        held = self.tokens % 2 == 0
        until = self.at + 1.0 if held else float("-inf")
        blocks = self.tokens // BLOCK
        return Paused(self.name, self.round, self.tokens, blocks, self.at, ("bash",), held, until)


@dataclass
class Story:
    """Sessions to which something happens, one after the other, as in an engine."""

    lives: list[Life] = field(
        default_factory=lambda: [
            Life(f"session-{n}", "session-0" if n == 3 else None) for n in range(4)
        ]
    )
    now: float = 0.0

    def tell(self, policy: Any, choices: Sequence[int]) -> None:
        if self.now == 0.0 and isinstance(policy, Policy):
            policy.observe(EngineStarted(0.0, "", 60, BLOCK))  # 960 tokens: a few sessions
        for choice in choices:
            self.now += 0.37 * (choice % 7)
            for one in self.lives[choice % 4].step(choice // 4, self.now):
                if not isinstance(one, StepEnded):
                    policy.observe(one)
                elif isinstance(policy, Policy):  # an admission controller is not told of steps
                    policy.serve(one)

    def end(self, policy: Any) -> None:
        for life in reversed(self.lives):
            policy.observe(SessionEnded(self.now, life.name, life.round + 1))

    def view(self) -> FakeView:
        reqs = [life.req() for life in self.lives]
        by_state = [
            [r for r, life in zip(reqs, self.lives, strict=True) if life.state == s]
            for s in ("running", "waiting")
        ]
        paused = {one.name: one.pause() for one in self.lives if one.state == "paused"}
        return FakeView(
            self.now,
            free_blocks=40,
            running=by_state[0],
            waiting=by_state[1],
            paused=paused,
            host_free_blocks=1_000,
            link_free_at=0.0,
        )


def answers(policy: Policy, view: FakeView) -> list[Any]:
    """Every decision there is to take."""
    found: list[Any] = [policy.changes_at(view)]
    for one in (*view.running, *view.waiting):
        found += [policy.waiting_key(one, view), policy.running_key(one, view)]
        found += [policy.chunk(one, 512, view), policy.shrink(one, 512, 100, view)]
        found.append(policy.steady_tokens(one, view))
        found.append(policy.eviction_order(one, view))
    if view.running:
        found.append(policy.victim(view.running, view))
    for pause in view.paused.values():
        found.append(policy.retain(pause, view))
    held = [p for p in view.paused.values() if p.held]
    for one in (*view.running, *view.waiting) if held else ():
        found.append(policy.reclaim(held, one, view))
    return found


def names_in(thing: object, seen: set[int]) -> Iterator[str]:
    """Every session's name that can be reached from here."""
    if isinstance(thing, str):
        if thing.startswith("session-"):
            yield thing
        return
    if id(thing) in seen or isinstance(thing, type | int | float | bytes):
        return
    seen.add(id(thing))
    for part in parts_of(thing):
        yield from names_in(part, seen)


def parts_of(thing: Any) -> list[object]:
    if isinstance(thing, dict):
        return [*thing.keys(), *thing.values()]
    if hasattr(thing, "__iter__"):
        return list(thing)
    slots = [n for c in type(thing).__mro__ for n in getattr(c, "__slots__", ())]
    values: list[object] = [getattr(thing, name, None) for name in slots]
    bound = getattr(thing, "__self__", None)
    return [*values, *vars(thing).values(), bound] if hasattr(thing, "__dict__") else values


def built(name: str) -> tuple[Policy, Any]:
    needed = {"cap": 3} if name == "fcfs-cap" else {}
    one = load(name).build(needed)
    return one.policy, one.admission


CHOICES = st.lists(st.integers(0, 400), max_size=80)
few = settings(max_examples=12, deadline=None, derandomize=True)


@pytest.mark.parametrize("name", BACKENDS)
@few
@given(choices=CHOICES)
def test_asking_twice_gives_the_same_answer(name: str, choices: list[int]) -> None:
    policy, story = built(name)[0], Story()
    story.tell(policy, choices)
    view = story.view()
    assert answers(policy, view) == answers(policy, view)


@pytest.mark.parametrize("name", BACKENDS)
@few
@given(choices=CHOICES)
def test_answers_are_ones_that_can_be_carried_out(name: str, choices: list[int]) -> None:
    policy, story = built(name)[0], Story()
    story.tell(policy, choices)
    view = story.view()
    assert policy.changes_at(view) > view.now
    if view.running:
        assert policy.victim(view.running, view) in view.running
    held = [p for p in view.paused.values() if p.held]
    for one in (*view.running, *view.waiting):
        assert 0 <= policy.chunk(one, 512, view) <= 512
        assert 0 <= policy.shrink(one, 512, 100, view) <= 512
        assert policy.steady_tokens(one, view) > 0
        allows, _ = RULES["eviction_order"]
        assert allows(policy.eviction_order(one, view), view.now, one)
        if held:
            assert policy.reclaim(held, one, view) in {None, *(p.session_id for p in held)}
    for pause in view.paused.values():
        answer = policy.retain(pause, view)
        assert isinstance(answer, Keep | Release | Discard | Swap)
        if isinstance(answer, Keep):
            assert answer.until > view.now, "it would be asked again at once, for ever"


@pytest.mark.parametrize("name", BACKENDS)
@few
@given(choices=CHOICES)
def test_an_ended_session_leaves_no_state(name: str, choices: list[int]) -> None:
    policy, admission = built(name)
    for learner in (policy, admission):
        story = Story()
        story.tell(learner, choices)
        answers(policy, story.view())
        story.end(learner)
        assert not list(names_in(learner, set()))


@pytest.mark.parametrize("name", BACKENDS)
@few
@given(choices=CHOICES, more=CHOICES)
def test_the_same_story_gives_the_same_answers(
    name: str, choices: list[int], more: list[int]
) -> None:
    """Having been asked in between changes nothing."""
    asked, quiet = built(name)[0], built(name)[0]
    one, other = Story(), Story()
    one.tell(asked, choices)
    answers(asked, one.view())
    one.tell(asked, more)
    other.tell(quiet, [*choices, *more])
    assert answers(asked, one.view()) == answers(quiet, other.view())


READINGS = [
    (name, parameter.name, value)
    for name in BACKENDS
    for parameter in load(name).parameters
    if parameter.reading is not None
    for value in parameter.reading.others
]


def test_every_backend_but_vllms_own_has_readings() -> None:
    assert set(BACKENDS) - {name for name, *_ in READINGS} == {"fcfs"}


@pytest.mark.parametrize(("name", "parameter", "value"), READINGS)
def test_another_reading_can_be_built_and_is_another(
    name: str, parameter: str, value: object
) -> None:
    one = load(name).build({parameter: value})
    assert one.params[parameter] == value
    assert {p.name: p.default for p in load(name).parameters}[parameter] != value


def test_an_infinite_parameter_is_a_word_in_json_and_reads_back() -> None:
    one = load("berth").build({"margin": "inf"})
    assert one.admission.margin == math.inf  # type: ignore[attr-defined]
    again = json.loads(json.dumps(one.params, allow_nan=False))
    assert again["margin"] == "inf"
    assert load("berth").build(again).params == one.params


def test_no_number_is_no_parameter() -> None:
    with pytest.raises(ValueError, match="margin must be of type float, not 'nan'"):
        load("berth").build({"margin": "nan"})


def test_the_published_mars_is_mars_without_our_reservation() -> None:
    published, whole = load("mars-published").build({}), load("mars").build({"reserve": False})
    assert published.params == whole.params
    assert type(published.policy) is type(whole.policy)
    assert not published.params["reserve"]


def test_the_table_of_the_documentation_has_every_backend_once() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", DOCS.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(BACKENDS)
