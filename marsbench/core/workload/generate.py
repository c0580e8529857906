"""Draws the bodies of sessions from a recipe.

The body of session i depends on the recipe, the tool mix, the seed and i alone: more sessions
extend the same list, and neither rate nor arrivals change it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.workload.distributions import phi
from marsbench.core.workload.draws import normals, stream
from marsbench.core.workload.exact import Floats, microseconds
from marsbench.core.workload.recipe import (
    BRANCH,
    SHORTEST_S,
    SUBAGENT,
    ContextShape,
    FanOut,
    Recipe,
    Subagent,
)
from marsbench.core.workload.tool_times import ToolTimeDraws
from marsbench.errors import UsageError

USER = "user"
"""The name of a tool call that is a human: the turn ended, and a message comes."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A round before the limit of the context has been applied, and what follows it."""

    append: int
    output: int
    tools: tuple[ToolCall, ...]


class Generator:
    """Makes session bodies of one recipe, tool mix, prefix pool and seed."""

    def __init__(self, recipe: Recipe, tools: str, prefixes: int, seed: int) -> None:
        self._recipe = recipe
        self._mix = recipe.mix(tools)
        self._times = ToolTimeDraws(recipe.tools, self._mix.shares, recipe.tools.clip(self._mix))
        self._prefixes = prefixes
        self._seed = seed
        self._agent_times: dict[int, ToolTimeDraws] = {}
        self._p_subagent = self._mix.shares.get(SUBAGENT, 0.0)
        if self._p_subagent and recipe.subagent is None:
            raise UsageError(
                f"The tool mix {tools!r} has sub-agents and the recipe {recipe.name} describes "
                f"none: add a [subagent] table to it, or choose another --tools."
            )

    def body(self, number: int) -> Session:
        """Session `number`, without its arrival."""
        recipe = self._recipe
        name = f"{recipe.name}-{number:04d}"
        group = self._prefix_group(number)
        lengths = _lengths(stream(self._seed, "lengths", number), recipe, recipe)
        tools, messages = self._pauses(name, number, lengths.u_gap, group)
        # What a round's tool prints, or the user types after it, opens the next round.
        answers = [a if m is None else m for a, m in zip(lengths.appends, messages, strict=True)]
        drafts = _drafts(lengths, answers, tools)
        if recipe.fan_out is not None:
            drafts = self._fanned(drafts, recipe.fan_out, name, (number,), group)
        shared = min(recipe.prefix.tokens, int(lengths.first * recipe.prefix.max_share))
        cuts = stream(self._seed, "cuts", number)
        return grafted(_session(name, fit(drafts, recipe.context, shared, cuts), group, shared))

    def _prefix_group(self, number: int) -> str | None:
        """Which of the pool's prefixes this session begins with; None when nothing is shared."""
        if self._prefixes == 0:
            return None
        variant = int(stream(self._seed, "prefixes", number).random() * self._prefixes)
        return f"{self._recipe.name}-p{variant:03d}"

    def _pauses(
        self, name: str, number: int, u_gap: Floats, group: str | None
    ) -> tuple[list[ToolCall], list[int | None]]:
        """What follows every round: its call, and the message where that call is a human."""
        rng = stream(self._seed, "tools", number)
        u_turn, u_agent, which, u_message, u_user = rng.random((5, len(u_gap)))
        is_end = u_turn < self._mix.p_turn_end
        is_agent = ~is_end & (u_agent < self._p_subagent)
        is_tool = ~(is_end | is_agent)
        tools = iter(self._times.calls(u_gap[is_tool], which[is_tool]))
        turns = iter(self._turns(u_user[is_end], u_message[is_end]))
        calls: list[ToolCall] = []
        messages: list[int | None] = []
        for i, (end, agent) in enumerate(zip(is_end.tolist(), is_agent.tolist(), strict=True)):
            call, message = next(turns) if end else (None, None)
            if agent:
                child = self._child(f"{name}/r{i}c0", (number, i), group)
                call = ToolCall(SUBAGENT, "agent", child=child)
            calls.append(next(tools) if call is None else call)
            messages.append(message)
        return calls, messages

    def _turns(self, u_gap: Floats, u_message: Floats) -> list[tuple[ToolCall, int]]:
        """The human's gap and the length of the message, for each pair of uniform numbers."""
        if not u_gap.size:
            return []
        gaps = microseconds(self._recipe.turns.gap_s.quantile(u_gap)).tolist()
        lengths = self._recipe.turns.message.tokens(u_message).tolist()
        calls = [ToolCall(USER, "wait", floor_s=gap) for gap in gaps]
        return list(zip(calls, lengths, strict=True))

    def _child(self, name: str, numbers: tuple[int, ...], group: str | None) -> Session:
        """A sub-agent that a call of the tool mix starts."""
        agent = self._recipe.subagent
        assert agent is not None  # the constructor saw to that
        rng = stream(self._seed, "subagents", *numbers)
        return self._agent(agent, name, numbers, group, rng)

    def _agent(
        self,
        agent: Subagent,
        name: str,
        numbers: tuple[int, ...],
        group: str | None,
        rng: np.random.Generator,
    ) -> Session:
        recipe = self._recipe
        lengths = _lengths(rng, agent, recipe)
        u_class = rng.random(len(lengths.u_gap))
        times = self._times_of(agent)
        tools = times.calls(lengths.u_gap, u_class) if agent.shares else [None] * len(u_class)
        drafts = _drafts(lengths, lengths.appends, tools)
        if agent.fan_out is not None:
            drafts = self._fanned(drafts, agent.fan_out, name, numbers, group)
        limit = ContextShape(max_tokens=agent.max_tokens, on_overflow="stop")
        shared = min(agent.prefix_tokens, lengths.first)
        rounds = fit(drafts, limit, shared, rng)
        return _session(name, rounds, None if group is None else f"{group}-{SUBAGENT}", shared)

    def _times_of(self, agent: Subagent) -> ToolTimeDraws:
        """Made once for each kind of agent that the recipe has."""
        if id(agent) not in self._agent_times:
            tools = self._recipe.tools
            self._agent_times[id(agent)] = ToolTimeDraws(
                tools, agent.shares, (SHORTEST_S, tools.timeout_s)
            )
        return self._agent_times[id(agent)]

    def _fanned(
        self,
        drafts: Sequence[Draft],
        fan_out: FanOut,
        name: str,
        numbers: tuple[int, ...],
        group: str | None,
    ) -> list[Draft]:
        """With branches after some of the rounds, and what they answer in the rounds behind."""
        agent = fan_out.agent or self._recipe.subagent
        assert agent is not None  # the recipe saw to that
        call = BRANCH if agent.forks else SUBAGENT
        found = list(drafts)
        for i in range(fan_out.every - 1, len(drafts) - 1, fan_out.every):
            rng = stream(self._seed, "fan-outs", *numbers, i)
            count = fan_out.branches.one_count(rng.random())
            answers = fan_out.answer.tokens(rng.random(count)).tolist()
            children = (
                self._agent(
                    agent,
                    f"{name}/r{i}c{j}",
                    (*numbers, i, j),
                    group,
                    stream(self._seed, "branches", *numbers, i, j),
                )
                for j in range(count)
            )
            calls = tuple(ToolCall(call, "agent", child=child) for child in children)
            found[i] = replace(found[i], tools=calls)
            found[i + 1] = replace(found[i + 1], append=sum(answers))
        return found


def grafted(session: Session) -> Session:
    """With its branches behind the context that they begin with, at any depth."""
    if not session.children:
        return session
    rounds = []
    for rnd, prompt in zip(session.rounds, session.prompts(), strict=True):
        context = prompt.num_tokens + prompt.output_tokens
        calls = tuple(_grafted(call, context) for call in rnd.tools)
        rounds.append(replace(rnd, tools=calls))
    return replace(session, rounds=tuple(rounds))


def _grafted(call: ToolCall, context: int) -> ToolCall:
    child = call.child
    if child is None:
        return call
    if call.name == BRANCH:
        first, *others = child.rounds
        longer = replace(first, append_tokens=context + first.append_tokens)
        child = replace(child, rounds=(longer, *others), fork_tokens=context)
    return replace(call, child=grafted(child))


def fit(
    drafts: Sequence[Draft], limit: ContextShape, shared: int, rng: np.random.Generator
) -> tuple[Round, ...]:
    """The rounds of a session whose context, output included, never passes the limit.

    A round that would pass it ends the session before ("stop"), or has the context cut first
    ("compact"): to a summary behind the shared prefix. A first round never passes it alone, but
    its output may, and is shortened.
    """
    rounds: list[Round] = []
    length = 0
    for draft in drafts:
        cut = None
        if rounds and length + draft.append + draft.output > limit.max_tokens:
            if limit.compact_to is None:
                break
            to_tokens = limit.compact_to.one_count(rng.random())
            cut = Cut(to_tokens, min(shared, to_tokens))
            length = to_tokens
        append = min(draft.append, limit.max_tokens - length - 1)
        output = min(draft.output, limit.max_tokens - length - append)
        rounds.append(Round(append, output, draft.tools, cut))
        length += append + output
    # Nothing waits for the tools of the last round.
    return (*rounds[:-1], replace(rounds[-1], tools=()))


@dataclass(frozen=True, slots=True)
class _Lengths:
    """A session's first prompt, and per round its output, what its tool prints and takes."""

    first: int
    outputs: list[int]
    appends: list[int]
    u_gap: Floats


def _lengths(rng: np.random.Generator, of: Recipe | Subagent, recipe: Recipe) -> _Lengths:
    """Of a session of the recipe, or of a sub-agent."""
    u_first, u_rounds = rng.random(2).tolist()
    count = of.rounds.one_count(u_rounds)
    # A Gaussian copula: coupled ranks, whatever the two distributions are.
    z, other = normals(rng, 2 * count).reshape(2, count)
    correlation = recipe.append_gap_correlation
    coupled = correlation * z + math.sqrt(1 - correlation * correlation) * other
    return _Lengths(
        of.initial_tokens.one_count(u_first),
        (of.output or recipe.output).tokens(rng.random(count)).tolist(),
        of.append.tokens(phi(z)).tolist(),
        phi(coupled),
    )


def _drafts(
    lengths: _Lengths, answers: Sequence[int], tools: Sequence[ToolCall | None]
) -> list[Draft]:
    """A round opens with what came after the one before it; the first with the first prompt."""
    appends = [lengths.first, *answers[:-1]]
    calls = [() if tool is None else (tool,) for tool in tools]
    return [Draft(*row) for row in zip(appends, lengths.outputs, calls, strict=True)]


def _session(name: str, rounds: tuple[Round, ...], group: str | None, shared: int) -> Session:
    if group is None or shared == 0:
        return Session(name, rounds)
    return Session(name, rounds, prefix_group=group, prefix_tokens=shared)
