"""Sessions one after another, each with the engine to itself, without vLLM's scheduler.

Alone a session never has two requests at once, finds all of its blocks again, and waits for
nobody: which step computes what follows from its lengths. Times and sums are added up in the order
in which `Simulation` adds them, macro steps included, so that they are its bit for bit
(tests/sim/test_solo.py). `fits` says for which sessions this holds; the others are simulated.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from marsbench.core.session import Generate, Prompt, Session
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.ends import MOST_STEPS, SOON, Batch, ends_of
from marsbench.core.sim.ledger import BlockLedger
from marsbench.core.sim.sessions import Emit, LiveSession, SimSessions
from marsbench.core.sim.tools import SimTools
from marsbench.hardware.host import ToolHost
from marsbench.hardware.steptime import StepTime, batch_seconds
from marsbench_backends.admission import Admission
from marsbench_backends.signals import Signal


def fits(session: Session, num_blocks: int, block_size: int) -> bool:
    """Whether it has one request at a time, and the cache room for all that it ever writes."""
    blocks = sum(
        prompt.num_tokens + prompt.output_tokens + block_size
        for one in session.walk()
        for prompt in _longest(one)
    )
    alone = all(
        sum(call.child is not None for call in rnd.tools) <= 1
        for one in session.walk()
        for rnd in one.rounds
    )
    return alone and blocks <= num_blocks * block_size


def _longest(session: Session) -> Sequence[Prompt]:
    """The last prompt before each cut, and the last of all."""
    return list({prompt.epoch: prompt for prompt in session.prompts()}.values())


@dataclass(slots=True)
class _Request:
    """The one that runs: tokens of its prompt and output, found cached, computed, generated."""

    live: LiveSession
    number: int
    prompt: int
    output: int
    cached: int
    computed: int
    generated: int = 0
    started: bool = False

    @property
    def left(self) -> int:
        return self.prompt + self.generated - self.computed


class Solo:
    """An engine for one request at a time; `busy_s` is the virtual time that its steps took."""

    def __init__(
        self,
        step_time: StepTime,
        settings: EngineSettings,
        num_blocks: int,
        tool_cores: int,
        emit: Emit,
    ) -> None:
        self._clock = VirtualClock()
        self._step_time = step_time
        self._budget = settings.max_num_batched_tokens
        self._block_size = settings.block_size
        self._num_blocks = num_blocks
        self._ledger = BlockLedger(settings.block_size)
        self._cached: set[bytes] = set()
        self._request: _Request | None = None
        self._keys: list[bytes] = []
        self._last_duration = 0.0
        self.busy_s = 0.0
        tools = SimTools(self._clock, ToolHost(tool_cores, None))
        self.sessions = SimSessions(self._clock, tools, Admission(), self, emit)

    def run(self, sessions: Sequence[Session]) -> None:
        """Play them all, each when the one before has ended."""
        self.sessions.schedule(sessions, lanes=1)
        while self._request is not None or self._clock.next_due < float("inf"):
            if self._request is None:
                self._pass_time(self._clock.next_due)
            else:
                self._step(self._request)

    # --- what sessions ask of the engine

    def submit(self, live: LiveSession, step: Generate) -> None:
        """The round begins at once: nothing else runs."""
        assert self._request is None, "a session alone has one request at a time"
        prompt = step.prompt
        self._keys = self._ledger.hashes(live.session, prompt).keys
        most = (prompt.num_tokens - 1) // self._block_size  # the last token is always computed
        cached = self._num_cached(most) * self._block_size
        tokens = (prompt.num_tokens, prompt.output_tokens)
        self._request = _Request(live, prompt.round, *tokens, cached, cached)

    def _num_cached(self, most: int) -> int:
        """Blocks of the longest cached prefix. Nothing is lost: what follows a miss is missed."""
        keys, cached = self._keys, self._cached
        return bisect_left(range(most), True, key=lambda place: keys[place] not in cached)

    def tell(self, signal: Signal) -> None:
        """Nobody decides here."""

    def fork(self, parent: Session, child: Session) -> None:
        """The child finds the blocks of its parent, which waits for it."""
        self._ledger.fork(parent, child)

    def forget(self, session: Session) -> None:
        """The session has ended; what a session and its sub-agents wrote, nobody looks for."""
        self._ledger.forget(session)
        if self._ledger.is_empty:
            self._cached.clear()

    def kv_blocks(self) -> tuple[int, int, int]:
        return self._num_blocks, self._num_blocks, self._block_size

    # --- a step, or several alike

    def prefix_tokens(self) -> tuple[int, int]:
        return 0, 0  # everyone enters: no controller reads it

    def _step(self, request: _Request) -> None:
        now, tokens = self._clock.now, min(request.left, self._budget)
        ends = self._several(request, tokens) or [now + self._single(request, tokens)]
        request.started = True
        self._last_duration = (ends[-1] - now) / len(ends)
        self.busy_s += ends[-1] - now
        self._pass_time(ends[-1])
        request.computed += tokens * len(ends)
        if request.left <= 0:
            request.generated += len(ends)
        if request.generated == request.output:
            self._end(request)

    def _single(self, request: _Request, tokens: int) -> float:
        work = (tokens, request.computed, tokens == request.left)
        return batch_seconds(self._step_time, [work])

    def _several(self, request: _Request, tokens: int) -> list[float]:
        """When each step of a macro step ends; none where a single step has to be taken."""
        now, limit = self._clock.now, self._clock.next_due
        steps = self._alike(request, tokens)
        if limit - now <= SOON * self._last_duration or not request.started or steps < 2:
            return []
        decode: Batch = (1, request.computed + 1, [])
        batch = decode if request.left == 1 else (0, 0, [(tokens, request.computed)])
        ends = ends_of(self._step_time, batch, steps, now, limit)
        return ends if len(ends) > 1 else []

    def _alike(self, request: _Request, tokens: int) -> int:
        """Steps in which the request gets as many tokens, and for which blocks are free."""
        if request.left > 1:
            steps = (request.left - 1) // tokens
        else:
            steps = request.output - request.generated if request.generated else 1
        free = self._num_blocks + (-request.computed // self._block_size)
        return min(steps, MOST_STEPS, max(0, free - 1) * self._block_size // tokens)

    def _end(self, request: _Request) -> None:
        size = self._block_size
        self._cached.update(self._keys[request.cached // size : request.computed // size])
        self._request = None
        self.sessions.round_ended(request.live, request.output, request.number)

    def _pass_time(self, until: float) -> None:
        while (action := self._clock.pop_due(until)) is not None:
            action()
        self._clock.now = until
