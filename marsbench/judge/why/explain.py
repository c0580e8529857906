"""A run's sessions, each with where its slowdown came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from pathlib import Path

from marsbench.bounds.hardware import hardware_of
from marsbench.core.events import EVENT_TYPES, Evicted, KvUsage, ToolEnd, ToolStart
from marsbench.core.metrics.rounds import RoundRecord, rounds_of
from marsbench.core.metrics.sessions import SessionRecord, roots, sessions_of
from marsbench.core.metrics.stream import Stream
from marsbench.errors import UsageError
from marsbench.judge.why.alone import Alone
from marsbench.judge.why.causes import Causes
from marsbench.judge.why.culprits import BlockLosses
from marsbench.judge.why.rounds import RoundCost, Runs, cost_of
from marsbench.runs import RunFolder

KINDS = frozenset(EVENT_TYPES) - {KvUsage.kind}
CAUSE_KINDS = KINDS - {Evicted.kind}
"""Of events that causes are told from; a story names who was in the way as well."""
_PRICES: dict[tuple[str, int], Alone] = {}
"""By hardware and budget: runs that are told one after the other have sessions in common."""
_OF_ROUNDS = ("queue_s", "recompute_s", "found_s", "contention_s")


@dataclass(frozen=True, slots=True)
class Explained:
    """A finished session. slowdown_s: completion - ideal, which the causes add up to.

    paused_s: from each round's last token to when the next is ready, all together.
    """

    record: SessionRecord
    slowdown_s: float
    paused_s: float
    causes: Causes
    rounds: tuple[RoundCost, ...]


class ExplainedRun:
    """A run whose sessions can be asked why. note: why causes cannot be told apart, or None."""

    def __init__(
        self,
        name: str,
        stream: Stream,
        ideal_s: Mapping[str, float],
        alone: Alone | None,
        backend: str = "",
        note: str | None = None,
    ) -> None:
        self.name = name
        self.backend = backend
        self.stream = stream
        self.note = note
        self.rounds = rounds_of(stream)
        self.sessions = {s.session: s for s in sessions_of(stream, self.rounds, ideal_s)}
        self._alone = alone
        self._runs = Runs.of(stream)
        self._costs: dict[str, tuple[RoundCost, ...]] = {}
        self._own_rounds: defaultdict[str, list[RoundRecord]] = defaultdict(list)
        for record in self.rounds:
            self._own_rounds[record.session].append(record)

    @staticmethod
    def read(
        path: Path, profile: Path | None = None, kinds: Collection[str] = KINDS
    ) -> ExplainedRun:
        """Raises UsageError for a run without events, or without times alone.

        kinds: of events that its stream has; no cause needs any others.
        """
        folder = RunFolder.open(path)
        ideal_s = folder.ideal_s()
        if ideal_s is None:
            raise UsageError(
                f"{path} has no times alone (ideal.json), which a slowdown is measured against; "
                "give a run that came further."
            )
        alone, note = _alone(folder, profile)
        stream = folder.stream(kinds)
        return ExplainedRun(
            path.resolve().name, stream, ideal_s, alone, folder.config.backend, note
        )

    @cached_property
    def explained(self) -> tuple[Explained, ...]:
        """Every session that finished and has a time alone, in order of arrival."""
        whole = [s for s in roots(tuple(self.sessions.values())) if s.slowdown is not None]
        return tuple(map(self._explain, whole))

    @property
    def num_left_out(self) -> int:
        """Sessions that did not finish, or have no time alone."""
        return len(roots(tuple(self.sessions.values()))) - len(self.explained)

    def session(self, name: str) -> Explained:
        """Raises UsageError, saying why, for one that has no slowdown."""
        record = self.sessions.get(name)
        if record is None:
            known = [one.record.session for one in self.explained]
            raise UsageError(
                f"{self.name} has no session {name!r}; it explains {len(known)}"
                f"{f', {known[0]} to {known[-1]}' if known else ''} (`marsbench why RUN`)."
            )
        if record.parent is not None:
            raise UsageError(
                f"{name} is a sub-agent, which has no time alone; ask for {record.parent}, which "
                "waited for it."
            )
        if record.slowdown is None:
            why = record.reason or ("its time alone is not known" if record.completion_s else "")
            raise UsageError(
                f"{name} has no slowdown: it is {record.outcome}{f' ({why})' if why else ''}; ask "
                "for a session that finished."
            )
        return self._explain(record)

    def costs(self, session: str) -> tuple[RoundCost, ...]:
        """Of its answered rounds, in order."""
        if session not in self._costs:
            let_in = self.sessions[session].admitted_at or 0.0
            self._costs[session] = tuple(
                cost_of(record, let_in, self._runs, self._alone)
                for record in self._own_rounds[session]
                if record.ended_at is not None
            )
        return self._costs[session]

    def _explain(self, record: SessionRecord) -> Explained:
        assert record.completion_s is not None, "roots with a slowdown have finished"
        assert record.ideal_s is not None, "roots with a slowdown have a time alone"
        slowdown_s = record.completion_s - record.ideal_s
        costs = self.costs(record.session)
        paused_s = record.completion_s - fsum(cost.whole_s for cost in costs)
        own = _of_rounds(costs)
        agents = [self._delay_s(child) for child in self._awaited(record.session)]
        alone_s = [cost.alone_s for cost in costs]
        if None in own.values() or None in agents or None in alone_s:
            told = {"admission_s": own["admission_s"], "queue_s": own["queue_s"]}
            left = slowdown_s - fsum(value for value in told.values() if value is not None)
            causes = Causes(**told, rest_s=left)
        else:
            agents_s = fsum(value for value in agents if value is not None)
            pauses_alone_s = record.ideal_s - fsum(value for value in alone_s if value is not None)
            tools_s = paused_s - pauses_alone_s - agents_s
            if self._fans_out(record.session):
                agents_s, tools_s = agents_s + tools_s, 0.0
            causes = Causes(**own, agents_s=agents_s, tools_s=tools_s)
        return Explained(record, slowdown_s, paused_s, causes, costs)

    def _delay_s(self, session: str) -> float | None:
        """What a sub-agent, and those that it waited for, lost to all but tools."""
        own = [*_of_rounds(self.costs(session)).values()]
        own += [self._delay_s(child) for child in self._awaited(session)]
        return None if None in own else fsum(value for value in own if value is not None)

    def _fans_out(self, session: str) -> bool:
        """Whether sub-agents run side by side in it, at any depth: alone they share steps too."""
        return any(
            len(children) > 1 or any(map(self._fans_out, children))
            for children in self._started.get(session, {}).values()
        )

    @cached_property
    def _started(self) -> Mapping[str, Mapping[int, Sequence[str]]]:
        """By session and round, the sub-agents that started after it."""
        found: defaultdict[str, defaultdict[int, list[str]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for start in self.stream.of(ToolStart):
            if start.child is not None:
                found[start.session][start.round].append(start.child)
        return found

    def _awaited(self, session: str) -> Iterator[str]:
        """The sub-agents that came back last in a pause, so that the next round waited for them."""
        for before in self._own_rounds[session][:-1]:
            child = self._last_call.get((session, before.round))
            if child in self.sessions:
                yield child

    @cached_property
    def evictions(self) -> BlockLosses:
        """Who lost blocks when, and whose prompts were computed then."""
        return BlockLosses(self.stream, self.rounds)

    @cached_property
    def _last_call(self) -> Mapping[tuple[str, int], str]:
        """Of each round after which a sub-agent ended last, that sub-agent."""
        children = {(*e.key, e.call): e.child for e in self.stream.of(ToolStart)}
        last = {e.key: children.get((*e.key, e.call)) for e in self.stream.of(ToolEnd)}
        return {key: child for key, child in last.items() if child is not None}


def _of_rounds(costs: Sequence[RoundCost]) -> dict[str, float | None]:
    """What the rounds of a session lost together, by cause."""
    values = {name: [getattr(cost, name) for cost in costs] for name in _OF_ROUNDS}
    sums = {name: None if None in own else fsum(own) for name, own in values.items()}
    return {"admission_s": fsum(cost.entered_s for cost in costs), **sums}


def _alone(folder: RunFolder, profile: Path | None) -> tuple[Alone | None, str | None]:
    """The prices of a run in the simulator; else, why there are none."""
    config = folder.config
    if config.engine != "sim":
        return None, f"the engine {config.engine!r} has no modelled step times"
    try:
        hardware = hardware_of(folder.path, config, profile)
    except UsageError as error:
        return None, str(error)
    budget = config.settings.get("max_num_batched_tokens")
    if budget is None:
        return None, "the run does not say how many tokens a step may compute"
    return _PRICES.setdefault((hardware.hash, budget), Alone(hardware.step_time, budget)), None
