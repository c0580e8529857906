"""What an agent does: a session of rounds with tool calls between them. Pure values, no I/O.

A session is one agent task. Each round is one LLM call: it appends tokens to the context (a user
message, tool results), generates output tokens, and may end in tool calls that run at the same
time; the next round is ready when the last of them has ended. The context only grows, except
where a round says that it was cut (compacted or reset) first.

A call may be a session of its own. Several of them in one round are branches that run at the same
time and join in the next round; one that begins with its parent's context is a fork of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Literal

ToolKind = Literal["cpu", "wait", "agent"]
_WARM = re.compile(r"~warm\d+$")


def warm_id(session_id: str, number: int) -> str:
    """The id of the rest of a session that was in flight at the start; `number` of them all."""
    return f"{session_id}~warm{number}"


def is_warm(session_id: str) -> bool:
    """Whether the session, or the one that it is a sub-agent of, was in flight at the start.

    Nobody saw it begin, so no figure is of its latency. The id says so, in files of sessions and
    in events alike, whoever plays them.
    """
    return _WARM.search(session_id) is not None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call of a round.

    kind: "cpu" burns `cpu_s` CPU-seconds on the tool host, "wait" only lets time pass (network, a
        human), "agent" is a sub-agent: the parent waits for the session `child`.
    floor_s: wall seconds that the call takes however idle the host is.
    cores: the most that it can use at once (`make -j4`: 4), its CPU-seconds spread evenly on them.
    """

    name: str
    kind: ToolKind = "wait"
    cpu_s: float = 0.0
    floor_s: float = 0.0
    child: Session | None = None
    cores: int = 1

    def __post_init__(self) -> None:
        if self.cpu_s < 0 or self.floor_s < 0:
            raise ValueError(f"tool call {self.name!r}: cpu_s and floor_s must not be negative")
        if self.kind != "cpu" and self.cpu_s:
            raise ValueError(f"tool call {self.name!r}: only kind 'cpu' has cpu_s")
        if self.cores < 1 or (self.kind != "cpu" and self.cores > 1):
            raise ValueError(f"tool call {self.name!r}: cores are 1, or more of kind 'cpu'")
        if (self.kind == "agent") != (self.child is not None):
            raise ValueError(f"tool call {self.name!r}: kind 'agent' and a child go together")

    @property
    def burns_cpu(self) -> bool:
        """Whether the tool host has work with it; a person, the network, a sub-agent are none."""
        return self.cpu_s > 0

    @property
    def alone_s(self) -> float:
        """Seconds that it takes on an idle host; of a sub-agent, those that it takes at least."""
        return max(self.floor_s, self.cpu_s / self.cores)


@dataclass(frozen=True, slots=True)
class Cut:
    """The context was cut before a round: compacted to a summary, or reset.

    to_tokens: length of the context after the cut, before the round's own append.
    kept_tokens: how many leading tokens of the old context are unchanged (never less than what
        the session shares with its prefix group, as far as the cut context reaches); the rest of
        `to_tokens` is new text.
    """

    to_tokens: int
    kept_tokens: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.kept_tokens <= self.to_tokens:
            raise ValueError(f"a cut keeps 0 to {self.to_tokens} tokens, not {self.kept_tokens}")


@dataclass(frozen=True, slots=True)
class Round:
    """One LLM call: what is appended to the context, what is generated, what follows."""

    append_tokens: int
    output_tokens: int
    tools: tuple[ToolCall, ...] = ()
    cut: Cut | None = None

    def __post_init__(self) -> None:
        if self.append_tokens < 0:
            raise ValueError(f"append_tokens must not be negative: {self.append_tokens}")
        if self.output_tokens < 1:
            raise ValueError(f"output_tokens must be at least 1: {self.output_tokens}")
        if self.cut is not None and not self.cut.to_tokens + self.append_tokens:
            raise ValueError("a round whose context is cut to 0 tokens must append at least 1")


@dataclass(frozen=True, slots=True)
class Session:
    """One agent task, from its first prompt to the end of its last round.

    arrival_s: seconds after the workload's start; for a child, after its tool call's start.
    tenant: on whose account it runs; a sub-agent has its own field.
    prefix_group, prefix_tokens: the leading tokens of the first prompt that are the same in every
        session of the group (system prompt and tool definitions).
    fork_tokens: of a child, the leading tokens of the first prompt that are its parent's context,
        as that is when the call starts.
    """

    id: str
    rounds: tuple[Round, ...]
    arrival_s: float = 0.0
    tenant: str = "default"
    prefix_group: str | None = None
    prefix_tokens: int = 0
    fork_tokens: int = 0

    def __post_init__(self) -> None:
        if not self.rounds:
            raise ValueError(f"session {self.id!r} has no rounds")
        if self.arrival_s < 0:
            raise ValueError(f"session {self.id!r}: arrival_s must not be negative")
        if self.rounds[0].cut is not None:
            raise ValueError(f"session {self.id!r}: the first round has no context to cut")
        if self.rounds[0].append_tokens < max(1, self.prefix_tokens):
            raise ValueError(
                f"session {self.id!r}: the first round appends {self.rounds[0].append_tokens} "
                f"tokens, less than its shared prefix of {self.prefix_tokens}, or none"
            )
        if not 0 <= self.fork_tokens <= self.rounds[0].append_tokens:
            raise ValueError(
                f"session {self.id!r} forks 0 to {self.rounds[0].append_tokens} tokens, which its "
                f"first round appends, not {self.fork_tokens}"
            )
        if self.fork_tokens and self.prefix_group is not None:
            raise ValueError(
                f"session {self.id!r} begins with its parent's context: leave out its prefix group"
            )
        if any(child.fork_tokens for child in self.children):
            self._check_forks()

    def _check_forks(self) -> None:
        """No child begins with more of the context than there is when it starts."""
        for prompt in self.prompts():
            length = prompt.num_tokens + prompt.output_tokens
            for call in self.rounds[prompt.round].tools:
                if call.child is not None and call.child.fork_tokens > length:
                    raise ValueError(
                        f"session {call.child.id!r} forks {call.child.fork_tokens} tokens of its "
                        f"parent's context, which has {length}"
                    )

    def prompts(self) -> Iterator[Prompt]:
        """The prompt of every round, in order."""
        context, epoch = 0, 0
        edges: tuple[tuple[int, int], ...] = ()
        for number, rnd in enumerate(self.rounds):
            if rnd.cut is not None:
                kept = max(rnd.cut.kept_tokens, min(self.prefix_tokens, rnd.cut.to_tokens))
                kept = min(kept, context)
                edges = _clipped((*edges, (context, epoch)), kept)
                context, epoch = rnd.cut.to_tokens, epoch + 1
            context += rnd.append_tokens
            yield Prompt(number, context, rnd.output_tokens, epoch, edges)
            context += rnd.output_tokens

    @property
    def peak_tokens(self) -> int:
        """The longest context of any round, output included; children not counted."""
        return max(p.num_tokens + p.output_tokens for p in self.prompts())

    @property
    def children(self) -> tuple[Session, ...]:
        """The sub-agents of all rounds, in order."""
        return tuple(t.child for r in self.rounds for t in r.tools if t.child is not None)

    def with_calls(self, change: Callable[[ToolCall], ToolCall]) -> Session:
        """The session with each tool call of its own rounds changed."""
        rounds = tuple(replace(r, tools=tuple(map(change, r.tools))) for r in self.rounds)
        return replace(self, rounds=rounds)

    def with_children(self, change: Callable[[Session], Session]) -> Session:
        """The session with each of its sub-agents changed."""
        return self.with_calls(
            lambda call: call if call.child is None else replace(call, child=change(call.child))
        )

    def walk(self) -> Iterator[Session]:
        """This session and all sessions below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def _clipped(segments: tuple[tuple[int, int], ...], kept: int) -> tuple[tuple[int, int], ...]:
    """The (end, epoch) segments that cover the first `kept` tokens."""
    covering = []
    begin = 0
    for end, epoch in segments:
        if begin < kept:
            covering.append((min(end, kept), epoch))
        begin = end
    return tuple(covering)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A round's prompt as lengths and identity, without text.

    Tokens before `edges[i][0]` (and after `edges[i-1][0]`) were written in epoch `edges[i][1]`;
    tokens after the last edge in `epoch`. Equal position and equal epoch mean the same token.
    """

    round: int
    num_tokens: int
    output_tokens: int
    epoch: int = 0
    edges: tuple[tuple[int, int], ...] = ()

    @property
    def kept_tokens(self) -> int:
        """The leading tokens that were written before the context was last cut."""
        return self.edges[-1][0] if self.edges else 0


@dataclass(frozen=True, slots=True)
class Generate:
    """A step of a session: generate `prompt.output_tokens` tokens from this prompt.

    calls: the tool calls that the round ends in; none where nothing waits for them.
    """

    prompt: Prompt
    is_last: bool
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class RunTools:
    """A step of a session: run these tool calls at the same time, go on when all have ended."""

    round: int
    calls: tuple[ToolCall, ...]


Step = Generate | RunTools


def play(session: Session) -> Generator[Step, None, None]:
    """Yield what the session does next; the driver resumes it when that has ended.

    The last round's tools are not run: nothing waits for them.
    """
    last = len(session.rounds) - 1
    for prompt in session.prompts():
        is_last = prompt.round == last
        calls = () if is_last else session.rounds[prompt.round].tools
        yield Generate(prompt, is_last, calls)
        if calls:
            yield RunTools(prompt.round, calls)
