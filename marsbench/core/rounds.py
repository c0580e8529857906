"""What follows from a session's rounds, for every engine alike: what a prompt can find computed,
and what is still to come.
"""

from __future__ import annotations

from dataclasses import dataclass

from marsbench.core.session import Prompt, Session
from marsbench_backends.signals import Future


@dataclass(slots=True)
class ComputedTokens:
    """How many leading tokens of a session's context have been computed so far.

    They are what would be found in a cache that evicts nothing.
    """

    num_tokens: int = 0
    epoch: int = 0

    def forked(self, child: Session) -> ComputedTokens:
        """Of a child that begins now: what was computed of the context that it takes over."""
        return ComputedTokens(min(self.num_tokens, child.fork_tokens))

    def begin(self, prompt: Prompt) -> None:
        """A round is submitted: of what was computed before a cut, what it kept still counts."""
        if prompt.epoch != self.epoch:
            self.num_tokens = min(self.num_tokens, prompt.kept_tokens)
            self.epoch = prompt.epoch

    def reusable(self, num_tokens: int, block_size: int) -> int:
        """Of a request of so many tokens, those in whole blocks that were computed before.

        vLLM always computes the last one.
        """
        return max(0, min(self.num_tokens, num_tokens - 1)) // block_size * block_size

    def preempted(self, num_tokens: int) -> None:
        """A request lost the blocks of so many computed tokens."""
        self.num_tokens = max(self.num_tokens, num_tokens)

    def end(self, prompt: Prompt, tail: int | None = None) -> None:
        """The round has been answered. Its last output token is sampled but never computed.

        tail: tokens at the prompt's end behind which nothing is part of the next one; None where
            prompt and answer both are.
        """
        kept = prompt.output_tokens - 1 if tail is None else -tail
        self.num_tokens = prompt.num_tokens + kept


class Futures:
    """What a clairvoyant policy is told of a session, a round: the rest of it.

    Computed when the first is asked for, and kept here.
    """

    __slots__ = ("_rests", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rests: list[Future] | None = None

    def of(self, number: int) -> Future:
        """The rest of the session from round `number` on, that round included."""
        if self._rests is None:
            self._rests = _rests(self._session)
        return self._rests[number]


def _rests(session: Session) -> list[Future]:
    """Of every round, in order: one pass from the last to the first."""
    prompt = output = 0
    tools_s, peak = 0.0, session.peak_tokens
    rests: list[Future] = []
    for rnd in reversed(session.rounds):
        prompt += rnd.append_tokens
        output += rnd.output_tokens
        next_tool_s = max((call.alone_s for call in rnd.tools), default=0.0)
        tools_s += next_tool_s
        rests.append(Future(len(rests) + 1, prompt, output, tools_s, next_tool_s, peak))
    rests.reverse()
    return rests
