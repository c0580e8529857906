"""Reads Mooncake files: requests with lengths, arrival times and hashes of 512-token blocks.

Rows of one `session_id` are the rounds of a session; a plain row is a session of one round. A
session that begins after a request of another, and that the other's next request waits for, is
its sub-agent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.workload.recipe import SUBAGENT
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.gathering import ImportResult, TrackSources, gather
from marsbench.formats.history import grown_by_hashes, grown_by_lengths
from marsbench.formats.mooncake_export import is_ours, read_ours
from marsbench.formats.mooncake_rows import BLOCK, MooncakeRow, Placed, by_session, read_rows
from marsbench.formats.prefix_groups import SharedPrefix, share
from marsbench.formats.reading import Contents, ReadError, Reading, SessionSource

WAIT = "wait"
"""The name of a tool call that is all the time between two requests."""


def import_mooncake(
    paths: Sequence[Path], fallback: Fallback, track: TrackSources | None = None
) -> ImportResult:
    """The sessions of these files; of files that `workload export` wrote, just as they were."""
    return gather((FORMAT.contents(path, fallback) for path in paths), track)


def read_mooncake(path: Path, fallback: Fallback) -> Contents:
    """The sessions of one file, which has a hash space of its own."""
    rows, problems = read_rows(path)
    header = None
    if is_ours(rows):
        found, header = read_ours(rows)
    else:
        found = _File(by_session(rows, path.name.partition(".")[0]), fallback).sources()
    return Contents((*problems, *found), header=header)


def _recognised(head: Head) -> str | None:
    if any({"input_length", "output_length"} <= row.keys() for row in head.objects):
        return "its rows have an input_length and an output_length"
    return None


@dataclass(slots=True)
class _File:
    """The sessions of one file, and how they hang together."""

    rows: Mapping[str, Sequence[Placed]]
    fallback: Fallback
    shared: Mapping[str, SharedPrefix] = field(init=False)
    parents: Mapping[str, tuple[str, int]] = field(init=False)
    children: Mapping[tuple[str, int], list[str]] = field(init=False)

    def __post_init__(self) -> None:
        firsts = [rows[0].row.hash_ids for rows in self.rows.values()]
        self.shared = dict(zip(self.rows, share(firsts), strict=True))
        self.parents = _parents(self.rows)
        children: dict[tuple[str, int], list[str]] = {}
        for child, place in self.parents.items():
            children.setdefault(place, []).append(child)
        self.children = children

    def sources(self) -> list[SessionSource]:
        """One for every session that is nobody's sub-agent."""
        return [
            SessionSource(rows[0].place, partial(self._read, name))
            for name, rows in self.rows.items()
            if name not in self.parents
        ]

    def _read(self, name: str) -> Reading:
        arrival_ms = self.rows[name][0].row.timestamp or 0.0
        session = self._session(name, arrival_ms / 1000)
        left_out = self._below(name) - (sum(1 for _ in session.walk()) - 1)
        return Reading(session, unawaited=left_out)

    def _below(self, name: str) -> int:
        """Sub-agents under a session, at any depth, awaited or not."""
        places = ((name, number) for number in range(len(self.rows[name])))
        children = [child for place in places for child in self.children.get(place, ())]
        return len(children) + sum(self._below(child) for child in children)

    def _session(self, name: str, arrival_s: float) -> Session:
        rows = [placed.row for placed in self.rows[name]]
        rounds = [
            Round(append, row.lengths.output, self._tools(name, number, rows), cut)
            for number, (row, (cut, append)) in enumerate(zip(rows, _growth(rows), strict=True))
        ]
        shared = self.shared[name]
        prefix = min(shared.blocks * BLOCK, rows[0].prompt)
        group = None if shared.group is None else f"blocks-{shared.group}"
        return Session(name, tuple(rounds), arrival_s, prefix_group=group, prefix_tokens=prefix)

    def _tools(self, name: str, number: int, rows: Sequence[MooncakeRow]) -> tuple[ToolCall, ...]:
        """What runs between this round and the next: sub-agents, or the tools of the next row."""
        if number + 1 == len(rows):
            return ()
        following = rows[number + 1]
        agents = [
            ToolCall(SUBAGENT, "agent", child=self._session(child, _wait_s(first.row)))
            for child, first in self._awaited(name, number, following)
        ]
        return (*agents, *_pause(following, self.fallback))

    def _awaited(self, name: str, number: int, following: MooncakeRow) -> list[tuple[str, Placed]]:
        """The sub-agents that began after this round and that the next one waits for."""
        waits = set(following.wait_for)
        return [
            (child, self.rows[child][0])
            for child in self.children.get((name, number), ())
            if waits & _ids(self.rows[child])
        ]


def _parents(sessions: Mapping[str, Sequence[Placed]]) -> dict[str, tuple[str, int]]:
    """For each session that begins after a request of another: whose, and after which round."""
    places = {
        placed.row.request_id: (name, number)
        for name, rows in sessions.items()
        for number, placed in enumerate(rows)
        if placed.row.request_id is not None
    }
    branches = {
        request: (name, number)
        for name, rows in sessions.items()
        for number, placed in enumerate(rows)
        for request in placed.row.branches
    }
    found = {}
    for name, rows in sessions.items():
        first = rows[0].row
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


def _ids(rows: Sequence[Placed]) -> set[str]:
    return {placed.row.request_id for placed in rows if placed.row.request_id is not None}


def _growth(rows: Sequence[MooncakeRow]) -> Iterator[tuple[Cut | None, int]]:
    """By the hashes where both rows have them: the last block of a prompt is not full."""
    lengths = [row.lengths for row in rows]
    for before, own, row in zip((None, *lengths[:-1]), lengths, rows, strict=True):
        if before is not None and before.hash_ids and own.hash_ids:
            yield grown_by_hashes(before, own, BLOCK, needed=before.prompt // BLOCK)
        else:
            yield grown_by_lengths(before, own, 0 if row.prefix_reset else None)


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
    tried=("Mooncake FAST25 3b5a594 (2025-02)",),
    recognise=_recognised,
    read=read_mooncake,
    has_arrivals=True,
)
