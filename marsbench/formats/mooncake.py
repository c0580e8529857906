"""Reads Mooncake files: requests with lengths, arrival times and hashes of their blocks.

Rows of one `session_id` are the rounds of a session; a plain row is a session of one round. A
session that begins after a request of another, and that the other's next request waits for, is
its sub-agent. What a file's hashes and times stand for is told by its rows (`mooncake_dialect`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.workload.generate import USER
from marsbench.core.workload.recipe import SUBAGENT
from marsbench.formats.blocks import NONE, num_shared
from marsbench.formats.clock import MISSING, span_of
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.gathering import ImportResult, TrackSources, gather
from marsbench.formats.history import grown_by_lengths, grown_from
from marsbench.formats.mooncake_dialect import Dialect, dialect_of, in_milliseconds, wrong_rows
from marsbench.formats.mooncake_export import is_ours, read_ours
from marsbench.formats.mooncake_rows import MooncakeRow, by_session, in_order, read_rows
from marsbench.formats.prefix_groups import SharedPrefix, share
from marsbench.formats.reading import (
    Contents,
    ReadError,
    Reading,
    Repair,
    SessionSource,
    Stated,
    failed,
)

WAIT = "wait"
"""The name of a tool call that is all the time between two requests."""


def import_mooncake(
    paths: Sequence[Path], fallback: Fallback, track: TrackSources | None = None
) -> ImportResult:
    """The sessions of these files; of files that `workload export` wrote, just as they were."""
    return gather((FORMAT.contents(path, fallback) for path in paths), track)


def read_mooncake(path: Path, fallback: Fallback) -> Contents:
    """The sessions of one file, which has a hash space of its own. Raises ReadError."""
    found = read_rows(path, fallback.most)
    if is_ours(found.rows):
        sources, header = read_ours(found.rows)
        return Contents((*found.problems, *sources), header=header)
    stem = path.name.partition(".")[0]
    dialect = dialect_of(found.rows, by_session(found.rows, stem), found.block_size)
    wrong = wrong_rows(found.rows, dialect.block)
    rows = [in_milliseconds(row, dialect.unit_s) for row in found.rows if row.place not in wrong]
    sessions = by_session(rows, stem)
    mended = {name: [_OUT_OF_ORDER] for name in in_order(sessions)}
    bad = [failed(place, ReadError(why)) for place, why in wrong.items()]
    has_arrivals = any(row.timestamp is not None for row in rows)
    notes = [f"{path}: {dialect.said(rows)}"] if dialect.is_told(rows) else []
    file = _File(sessions, fallback, dialect, mended)
    read = chain(found.problems, bad, file.sources())
    return Contents(read, tuple(notes), None, has_arrivals)


_OUT_OF_ORDER = Repair("rows out of order", "its rows are put in the order of their time stamps")


def _recognised(head: Head) -> str | None:
    keys = [frozenset(row) for row in head.objects]
    if any(row >= {"chat_id", "parent_chat_id", "input_length"} for row in keys):
        return "its rows have Bailian's chat_id and parent_chat_id"
    lengths = ({"input_length", "output_length"}, {"input_tokens", "output_tokens", "hash_ids"})
    if any(row >= needed for row in keys for needed in lengths):
        return "its rows have an input and an output length"
    return None


@dataclass(slots=True)
class _File:
    """The sessions of one file, and how they hang together.

    mended: by session, what was mended in its rows; what is mended on the way joins it.
    """

    rows: dict[str, list[MooncakeRow]]
    fallback: Fallback
    dialect: Dialect
    mended: dict[str, list[Repair]]
    shared: dict[str, SharedPrefix] = field(init=False)
    parents: Mapping[str, tuple[str, int]] = field(init=False)
    children: Mapping[tuple[str, int], list[str]] = field(init=False)
    arrivals: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        firsts = [rows[0].blocks for rows in self.rows.values()]
        self.shared = dict(zip(self.rows, share(firsts), strict=True))
        for rows in self.rows.values():
            if len(rows) == 1:
                rows[0].blocks = NONE  # no later row is held against them, and most rows are such
        self.parents = _parents(self.rows)
        children: dict[tuple[str, int], list[str]] = {}
        for child, place in self.parents.items():
            children.setdefault(place, []).append(child)
        self.children = children
        self.arrivals = self._arrivals()

    def _arrivals(self) -> dict[str, float]:
        """When each session begins; one without a time stamp, with the one before it."""
        found: dict[str, float] = {}
        before = 0.0
        has_times = any(row.timestamp is not None for rows in self.rows.values() for row in rows)
        for name, rows in self.rows.items():
            at = rows[0].timestamp
            if at is None and has_times and name not in self.parents:
                said = "has no time stamp, and arrives with the row before it"
                self.mended.setdefault(name, []).append(Repair(MISSING, said))
            before = found[name] = before if at is None else at / 1000
        return found

    def sources(self) -> Iterator[SessionSource]:
        """One for every session that is nobody's sub-agent, in order of arrival."""
        names = [name for name in self.rows if name not in self.parents]
        for name in sorted(names, key=lambda name: self.arrivals[name]):
            yield SessionSource(self.rows[name][0].place, partial(self._read, name))
            if not self.children:
                del self.rows[name], self.arrivals[name], self.shared[name]  # most of the memory

    def _read(self, name: str) -> Reading:
        session = self._session(name, self.arrivals[name])
        left_out = self._below(name) - (sum(1 for _ in session.walk()) - 1)
        rows = self.rows[name]
        stated = _UNTIMED
        if len(rows) > 1 and all(row.timestamp is not None for row in rows):
            stated = Stated(span_s=span_of((row.timestamp or 0.0) / 1000 for row in rows))
        return Reading(session, (), left_out, stated, tuple(self.mended.get(name, ())))

    def _below(self, name: str) -> int:
        """Sub-agents under a session, at any depth, awaited or not."""
        if not self.children:
            return 0
        places = ((name, number) for number in range(len(self.rows[name])))
        children = [child for place in places for child in self.children.get(place, ())]
        return len(children) + sum(self._below(child) for child in children)

    def _session(self, name: str, arrival_s: float) -> Session:
        rows = self.rows[name]
        rounds = [
            Round(append, row.lengths.output, self._tools(name, number, rows), cut)
            for number, (row, (cut, append)) in enumerate(
                zip(rows, _growth(rows, self.dialect), strict=True)
            )
        ]
        shared = self.shared[name]
        prefix = min(shared.blocks * self.dialect.block, rows[0].prompt)
        group = None if shared.group is None else f"blocks-{shared.group}"
        return Session(name, tuple(rounds), arrival_s, prefix_group=group, prefix_tokens=prefix)

    def _tools(self, name: str, number: int, rows: Sequence[MooncakeRow]) -> tuple[ToolCall, ...]:
        """What runs between this round and the next: sub-agents, or the tools of the next row."""
        if number + 1 == len(rows):
            return ()
        following = rows[number + 1]
        agents = [
            ToolCall(SUBAGENT, "agent", child=self._session(child, _wait_s(first)))
            for child, first in self._awaited(name, number, following)
        ]
        if self.dialect.chats:
            return (*agents, *_user(rows[number], following))
        return (*agents, *_pause(following, self.fallback))

    def _awaited(
        self, name: str, number: int, following: MooncakeRow
    ) -> list[tuple[str, MooncakeRow]]:
        """The sub-agents that began after this round and that the next one waits for."""
        waits = set(following.wait_for)
        return [
            (child, self.rows[child][0])
            for child in self.children.get((name, number), ())
            if waits & _ids(self.rows[child])
        ]


_UNTIMED = Stated()


def _parents(sessions: Mapping[str, Sequence[MooncakeRow]]) -> dict[str, tuple[str, int]]:
    """For each session that begins after a request of another: whose, and after which round."""
    places = {
        row.request_id: (name, number)
        for name, rows in sessions.items()
        for number, row in enumerate(rows)
        if row.request_id is not None
    }
    branches = {
        request: (name, number)
        for name, rows in sessions.items()
        for number, row in enumerate(rows)
        for request in row.branches
    }
    found = {}
    for name, rows in sessions.items():
        first = rows[0]
        after = [places[request] for request in first.wait_for if request in places]
        after += [branches[key] for key in (first.request_id, name) if key in branches]
        others = [place for place in after if place[0] != name]
        if others:
            found[name] = others[0]
    return _without_circles(found)


def _without_circles(parents: dict[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    """Raises ReadError when sessions wait for each other's beginning."""
    for name in parents:
        seen, above = {name}, parents[name][0]
        while above in parents:
            if above in seen:
                raise ReadError(f"session {name!r} waits for itself to begin")
            seen.add(above)
            above = parents[above][0]
    return parents


def _ids(rows: Sequence[MooncakeRow]) -> set[str]:
    return {row.request_id for row in rows if row.request_id is not None}


def _growth(rows: Sequence[MooncakeRow], dialect: Dialect) -> Iterator[tuple[Cut | None, int]]:
    """By the hashes where both rows have them: the last block of a prompt is not full."""
    yield None, rows[0].prompt
    for before, row in pairwise(rows):
        last, own = before.lengths, row.lengths
        if dialect.deltas:
            yield None, own.prompt
        elif before.blocks.num and row.blocks.num:
            shared = num_shared(before.blocks, row.blocks)
            needed = min(last.prompt // dialect.block, before.blocks.num)
            yield grown_from(last, own, shared, dialect.block, needed)
        else:
            yield grown_by_lengths(last, own, 0 if row.prefix_reset else None)


def _user(row: MooncakeRow, following: MooncakeRow) -> tuple[ToolCall, ...]:
    """From one chat's beginning to the next one's: nobody recorded when it was answered."""
    seconds = ((following.timestamp or 0.0) - (row.timestamp or 0.0)) / 1000
    return (ToolCall(USER, "wait", floor_s=seconds),) if seconds > 0 else ()


def _pause(following: MooncakeRow, fallback: Fallback) -> tuple[ToolCall, ...]:
    """The tool calls before a row, or all of its waiting as one call."""
    delay_s = (following.delay or 0.0) / 1000
    spans = _spans(following)
    if spans:
        return tuple(ToolCall(name, "wait", floor_s=delay_s + end_s) for name, end_s in spans)
    seconds = _wait_s(following)
    if not following.wait_for and following.delay is None and following.timestamp is not None:
        seconds = fallback.tool_time("a row with a timestamp and no delay")
    return (ToolCall(WAIT, "wait", floor_s=seconds),) if seconds else ()


def _wait_s(row: MooncakeRow) -> float:
    return ((row.delay or 0.0) + (row.tool_wait_ms or 0.0)) / 1000


def _spans(row: MooncakeRow) -> list[tuple[str, float]]:
    """Each tool with the seconds from the first one's start to its own end.

    Only where that comes to `tool_wait_ms` in all: else the spans do not tell the wait.
    """
    events = row.tool_events
    starts = [event.started_at_unix_ms for event in events]
    begin = min((start for start in starts if start is not None), default=0.0)
    ends = [
        event.duration_ms
        if event.ended_at_unix_ms is None or event.started_at_unix_ms is None
        else event.ended_at_unix_ms - begin
        for event in events
    ]
    known = [end for end in ends if end is not None]
    total = row.tool_wait_ms
    if not known or len(known) < len(ends) or total is None or abs(max(known) - total) > 1.0:
        return []
    return [(e.tool_class or WAIT, end / 1000) for e, end in zip(events, known, strict=True)]


FORMAT = Format(
    name="mooncake",
    title="a Mooncake trace",
    tried=(
        "Mooncake FAST25 3b5a594 (2025-02)",
        "AIPerf and Dynamo rows as documented (2026-06)",
        "Bailian rows as documented (2025-06)",
    ),
    recognise=_recognised,
    read=read_mooncake,
    has_arrivals=True,
)
