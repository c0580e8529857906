"""Which replicas are there, and when: `--replica-events FILE`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marsbench.errors import UsageError
from marsbench.problems import first_problem

What = Literal["leaves", "drains", "joins"]
EXAMPLE = '{"at": 120, "replica": 2, "event": "leaves"}'


class ReplicaEvent(BaseModel):
    """At `at` seconds a replica leaves with all that it has, drains (it answers what it has, and
    gets no more), or joins, empty if it had left. One that joins first was not there before.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: float = Field(ge=0, allow_inf_nan=False)
    replica: int = Field(ge=0)
    event: What


def read_changes(path: Path, num: int) -> tuple[ReplicaEvent, ...]:
    """Those of a file, one JSON object a line, in the order of their times.

    Raises UsageError for a file that cannot be read, a replica that there is none of, a change that
    cannot be, and a moment at which no replica takes rounds.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"Cannot read the replica events {path} ({error}); give a file with lines like "
            f"{EXAMPLE}."
        ) from error
    found = [_change(path, n, line) for n, line in enumerate(lines, 1) if line.strip()]
    found.sort(key=lambda change: change.at)  # equal times stay in the order of the file
    _check(path, found, num)
    return tuple(found)


def _change(path: Path, number: int, line: str) -> ReplicaEvent:
    try:
        return ReplicaEvent.model_validate_json(line)
    except ValidationError as error:
        raise UsageError(
            f"{path}:{number}: {first_problem(error)}; a line is like {EXAMPLE}, and an event one "
            f"of {', '.join(get_args(What))}."
        ) from error


def absent_at_first(changes: Sequence[ReplicaEvent]) -> set[int]:
    """Replicas that join before anything else happens to them."""
    first: dict[int, What] = {}
    for change in changes:
        first.setdefault(change.replica, change.event)
    return {replica for replica, event in first.items() if event == "joins"}


def _check(path: Path, changes: Sequence[ReplicaEvent], num: int) -> None:
    here = set(range(num)) - absent_at_first(changes)
    draining: set[int] = set()
    if not here:
        raise UsageError(f"{path}: no replica is there at the start; let one of them not join.")
    for change in changes:
        who, what = change.replica, change.event
        is_there = who in here or (what == "leaves" and who in draining)
        if who >= num:
            raise UsageError(f"{path}: there is no replica {who} of {num}; the first is 0.")
        if is_there != (what != "joins"):
            raise UsageError(
                f"{path}: replica {who} {what} at {change.at:g} s, where it is "
                f"{'there already' if is_there else 'not there'}; leave the line out."
            )
        (here.add if what == "joins" else here.discard)(who)
        (draining.add if what == "drains" else draining.discard)(who)
        if not here:
            raise UsageError(
                f"{path}: from {change.at:g} s on no replica takes rounds; let one join before."
            )


class Changes:
    """Those that are still to come, and who is there.

    open: replicas that take rounds. there: those, and the ones that drain.
    """

    def __init__(self, changes: Sequence[ReplicaEvent], num: int) -> None:
        self._left = deque(changes)
        self.open = set(range(num)) - absent_at_first(changes)
        self.there = set(self.open)

    @property
    def next_at(self) -> float:
        """When the next one is; inf when none is."""
        return self._left[0].at if self._left else math.inf

    def take(self) -> ReplicaEvent:
        """The next one, which has happened."""
        change = self._left.popleft()
        joins = change.event == "joins"
        (self.open.add if joins else self.open.discard)(change.replica)
        if joins or change.event == "leaves":
            (self.there.add if joins else self.there.discard)(change.replica)
        return change


def facts_of(changes: Sequence[ReplicaEvent]) -> list[dict[str, Any]]:
    """As JSON, for the run's settings."""
    return [change.model_dump() for change in changes]
