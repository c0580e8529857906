"""Reading back what we exported where sub-agents stand beside their parents, under their ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from marsbench.core.session import Session
from marsbench.formats.reading import ReadError, Reading, SessionSource


@dataclass(frozen=True, slots=True)
class LinkedSession:
    """One that names its sub-agents. `session` makes it, given what makes one of an id."""

    id: str
    where: str
    children: Collection[str]
    session: Callable[[Callable[[str], Session]], Session]


def linked_sources(sessions: Sequence[LinkedSession], missing: str) -> list[SessionSource]:
    """A source for every session that is nobody's sub-agent.

    missing: what to say, behind its id, of a sub-agent that is not there.
    """
    by_id = {one.id: one for one in sessions}
    children = {child for one in sessions for child in one.children}
    read = partial(_session, by_id=by_id, missing=missing, above=frozenset())
    return [
        SessionSource(one.where, partial(_reading, read, one.id))
        for one in sessions
        if one.id not in children
    ]


def _reading(read: Callable[[str], Session], name: str) -> Reading:
    return Reading(read(name))


def _session(
    name: str, by_id: Mapping[str, LinkedSession], missing: str, above: frozenset[str]
) -> Session:
    if name not in by_id or name in above:
        raise ReadError(missing.format(repr(name)))
    child = partial(_session, by_id=by_id, missing=missing, above=above | {name})
    return by_id[name].session(child)
