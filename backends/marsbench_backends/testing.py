"""What a policy's test needs: a request, a pause and a view in a few words, and a story to play.

    policy = play(Continuum(), submitted("a", 0.0), ended("a", 5.0))
    assert policy.retain(paused("a", paused_at=5.0), FakeView(now=5.0)) == Release()

No engine is needed, and no vLLM. Blocks are of 16 tokens unless said otherwise; a prompt token
costs a millisecond on this engine, so that a test's arithmetic can be done in the head.
docs/adding-a-policy.md shows a whole test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from marsbench_backends.policy import Key, Paused, Policy, Req, Whereabouts
from marsbench_backends.signals import (
    DEFAULT_TENANT,
    EngineStarted,
    RoundEnded,
    RoundPreempted,
    RoundStarted,
    RoundSubmitted,
    SessionEnded,
    Signal,
    StepEnded,
)

BLOCK = 16
AnyPolicy = TypeVar("AnyPolicy", bound=Policy)


@dataclass
class FakeReq:
    """A request of session `session_id`; by default a prompt of 160 tokens that waits."""

    session_id: str
    round: int = 0
    submitted_at: float = 0.0
    position: int = 1
    num_prompt_tokens: int = 160
    num_tokens: int = 160
    num_computed_tokens: int = 0
    num_blocks: int = 0
    num_preemptions: int = 0
    decoding: bool = False
    cached_tokens: int = 0
    tenant: str = DEFAULT_TENANT

    @property
    def request_id(self) -> str:
        return f"{self.session_id}#{self.round}"


def req(session: str = "a", **facts: Any) -> FakeReq:
    """`num_tokens` follows `num_prompt_tokens` unless it is given."""
    if "num_prompt_tokens" in facts:
        facts.setdefault("num_tokens", facts["num_prompt_tokens"])
    return FakeReq(session, **facts)


def running(session: str = "a", *, blocks: int = 10, **facts: Any) -> FakeReq:
    """A request that holds blocks, its prompt computed."""
    tokens = blocks * BLOCK
    known = {"num_tokens": tokens, "num_computed_tokens": tokens - 1, "decoding": True}
    return FakeReq(session, num_blocks=blocks, **{**known, **facts})


def paused(session: str = "a", **facts: Any) -> Paused:
    """A session between two rounds that paused at 0 with a context of 160 tokens."""
    known: dict[str, Any] = {
        "round": 0, "num_tokens": 160, "num_blocks": 10, "paused_at": 0.0, "tools": ("bash",),
    }  # fmt: skip
    return Paused(session, **{**known, **facts})


@dataclass
class FakeView:
    """An engine of 100 blocks on which nothing runs, at time 0."""

    now: float = 0.0
    block_size: int = BLOCK
    num_blocks: int = 100
    free_blocks: int = 100
    token_budget: int = 8192
    running: Sequence[Req] = ()
    waiting: Sequence[Req] = ()
    paused: dict[str, Paused] = field(default_factory=dict)
    prefill_token_s: float = 0.001
    swap_token_s: float = 0.0001
    host_free_blocks: int = 0
    link_free_at: float = float("inf")
    places: dict[str, Whereabouts] = field(default_factory=dict)

    def prefill_s(self, num_tokens: int, prefix_tokens: int = 0) -> float:
        return self.prefill_token_s * num_tokens

    def swap_s(self, num_tokens: int) -> float:
        return self.swap_token_s * num_tokens

    def whereabouts(self, session_id: str) -> Whereabouts:
        """As `places` says; a session that is not in it has nothing anywhere."""
        return self.places.get(session_id, Whereabouts(0, 0, 0, 0.0, 0.0))


def play(policy: AnyPolicy, *story: Signal | StepEnded) -> AnyPolicy:
    """The policy after it has heard all this, in this order."""
    for one in story:
        if isinstance(one, StepEnded):
            policy.serve(one)
        else:
            policy.observe(one)
    return policy


def order(policy: Policy, *reqs: Req, view: FakeView | None = None) -> list[str]:
    """Session ids in the order of the waiting queue."""
    view = view or FakeView()

    def key(one: Req) -> tuple[Key, int]:
        return policy.waiting_key(one, view), one.position

    return [one.session_id for one in sorted(reqs, key=key)]


# --- what a story is made of


def engine(at: float = 0.0, *, blocks: int = 100) -> Signal:
    """The engine stands, with so many blocks; before anything else."""
    return EngineStarted(at, "", blocks, BLOCK)


def submitted(session: str = "a", at: float = 0.0, *, number: int = 0, **facts: Any) -> Signal:
    """Round `number` joins the queue, its prompt of 160 `tokens` unless given."""
    return RoundSubmitted(at, session, number, facts.pop("tokens", 160), **facts)


def started(
    session: str = "a",
    at: float = 0.0,
    *,
    number: int = 0,
    waited: float = 0.0,
    cached: int = 0,
    evicted: bool = False,
    resumed: bool = False,
) -> Signal:
    """It begins to run, or again after a preemption (`resumed`)."""
    return RoundStarted(at, session, number, waited, cached, evicted, resumed)


def computed(
    session: str = "a",
    at: float = 0.0,
    *,
    tokens: int = 1,
    seconds: float = 0.0,
    prefill: bool = False,
) -> StepEnded:
    """A step ends that computed so many tokens of the session."""
    return StepEnded(at, seconds, [(session, tokens, prefill)])


def preempted(session: str = "a", at: float = 0.0, *, number: int = 0, tokens: int = 0) -> Signal:
    """It loses its blocks with so many tokens computed, and waits again."""
    return RoundPreempted(at, session, number, tokens)


def ended(
    session: str = "a",
    at: float = 0.0,
    *,
    number: int = 0,
    tokens: int = 160,
    output: int = 10,
    tools: tuple[str, ...] = ("bash",),
    seconds: float = 1.0,
) -> Signal:
    """It ends with a context of so many `tokens`, and its tools begin."""
    return RoundEnded(at, session, number, tokens, output, tools, seconds)


def gone(session: str = "a", at: float = 0.0, *, rounds: int = 1) -> Signal:
    """The session's last round has ended."""
    return SessionEnded(at, session, rounds)
