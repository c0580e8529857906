"""The rows of a Mooncake file, plain, of several turns (AIPerf) or agentic (Dynamo)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, Field

from marsbench.formats.history import Lengths
from marsbench.formats.opening import lines_of
from marsbench.formats.reading import (
    ReadError,
    Record,
    SessionSource,
    failed,
    json_of,
    record_of,
)

BLOCK = 512
"""Tokens that one of `hash_ids` stands for."""

EXTRA = "marsbench"
"""The key of a row under which our own exports keep what the format cannot hold."""

Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _packed(ids: list[int]) -> Sequence[int]:
    """Eight bytes a hash and not forty, unless one has more than 64 bits."""
    for kind in ("q", "Q"):
        with suppress(OverflowError):
            return array(kind, ids)
    return ids


class ToolEvent(Record):
    """A tool span that ended before the row's request began."""

    tool_class: str | None = None
    duration_ms: Milliseconds | None = None
    started_at_unix_ms: float | None = None
    ended_at_unix_ms: float | None = None


class MooncakeRow(Record):
    """One request. A row waits for `wait_for`, then `delay` and `tool_wait_ms`."""

    prompt: int = Field(ge=0, validation_alias=AliasChoices("input_length", "input_tokens"))
    recorded_output: int = Field(
        ge=0, validation_alias=AliasChoices("output_length", "output_tokens")
    )
    hash_ids: Annotated[list[int], AfterValidator(_packed)] = Field(default_factory=list)
    timestamp: Milliseconds | None = Field(
        None, validation_alias=AliasChoices("timestamp", "created_time")
    )
    delay: Milliseconds | None = Field(None, validation_alias=AliasChoices("delay", "delay_ms"))
    tool_wait_ms: Milliseconds | None = None
    session_id: str | int | None = None
    request_id: str | None = None
    wait_for: list[str] = Field(default_factory=list)
    branches: list[str] = Field(default_factory=list)
    prefix_reset: bool | None = None
    tool_events: list[ToolEvent] = Field(default_factory=list)
    marsbench: dict[str, Any] | None = None

    @property
    def lengths(self) -> Lengths:
        """An output is at least 1: a round generates something."""
        return Lengths(self.prompt, max(1, self.recorded_output), self.hash_ids)


@dataclass(frozen=True, slots=True)
class Placed:
    """A row and where it is: FILE:LINE."""

    place: str
    row: MooncakeRow


def read_rows(path: Path) -> tuple[list[Placed], list[SessionSource]]:
    """The rows of a file, and a source that fails for each line that is none.

    Raises ReadError where the file is damaged: half of a trace is another trace.
    """
    rows: list[Placed] = []
    problems: list[SessionSource] = []
    for place, line in lines_of(path):
        _read_row(place, line, rows, problems)
    return rows, problems


def _read_row(place: str, line: bytes, rows: list[Placed], problems: list[SessionSource]) -> None:
    try:
        value = json_of(line)
        if not _is_header(value):
            rows.append(Placed(place, record_of(MooncakeRow, value)))
    except ReadError as error:
        problems.append(failed(place, error))


def _is_header(value: Any) -> bool:
    """Newer agentic files begin with a line that names their schema."""
    return isinstance(value, dict) and "schema" in value and "output_length" not in value


def by_session(rows: Sequence[Placed], stem: str) -> dict[str, list[Placed]]:
    """The rows of each session, in order.

    A row without `session_id` goes on the session of the first row that it waits for; one that
    waits for none is a session of its own, named by its file and line.
    """
    sessions: dict[str, list[Placed]] = {}
    owner: dict[str, str] = {}
    for placed in rows:
        row = placed.row
        name = None if row.session_id is None else str(row.session_id)
        if name is None:
            waits = [owner[r] for r in row.wait_for if r in owner]
            name = waits[0] if waits else f"{stem}-{placed.place.rpartition(':')[2]}"
        sessions.setdefault(name, []).append(placed)
        if row.request_id is not None:
            owner[row.request_id] = name
    return sessions
