"""The rows of a Mooncake file, plain, of several turns (AIPerf), agentic (Dynamo) or Bailian's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from pydantic import AliasChoices, Field

from marsbench.formats.blocks import NONE, Blocks, Packer
from marsbench.formats.gathering import MOST_SESSIONS
from marsbench.formats.history import Lengths
from marsbench.formats.opening import lines_of
from marsbench.formats.reading import (
    ReadError,
    Record,
    SessionSource,
    Tokens,
    failed,
    json_of,
    record_of,
)

BLOCK = 512
"""Tokens that one of `hash_ids` stands for, where nothing says otherwise."""

EXTRA = "marsbench"
"""The key of a row under which our own exports keep what the format cannot hold."""

MOST_PLAIN = 2 * MOST_SESSIONS
"""Rows that are sessions of one round, to draw a sample from: with hashes half a gigabyte."""

Milliseconds = Annotated[float, Field(ge=0, le=1e20, allow_inf_nan=False)]


class ToolEvent(Record):
    """A tool span that ended before the row's request began."""

    tool_class: str | None = None
    duration_ms: Milliseconds | None = None
    started_at_unix_ms: Annotated[float, Field(allow_inf_nan=False)] | None = None
    ended_at_unix_ms: Annotated[float, Field(allow_inf_nan=False)] | None = None


class _Checked(Record):
    """One request, as it may be written by anybody."""

    prompt: Tokens = Field(validation_alias=AliasChoices("input_length", "input_tokens"))
    output: Tokens = Field(validation_alias=AliasChoices("output_length", "output_tokens"))
    hash_ids: list[int] | None = None
    timestamp: Milliseconds | None = Field(
        None, validation_alias=AliasChoices("timestamp", "created_time")
    )
    delay: Milliseconds | None = Field(None, validation_alias=AliasChoices("delay", "delay_ms"))
    tool_wait_ms: Milliseconds | None = None
    session_id: str | int | None = None
    request_id: str | int | None = None
    wait_for: list[str | int] | None = None
    branches: list[str | int] | None = None
    prefix_reset: bool | None = None
    tool_events: list[ToolEvent] | None = None
    chat_id: str | int | None = None
    parent_chat_id: str | int | None = None
    block_size: Annotated[int, Field(ge=1, le=2**20)] | None = None
    marsbench: dict[str, Any] | None = None


_Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
_Time = Annotated[float, msgspec.Meta(ge=0, le=1e20)]


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """The rows that nearly all large files have: read ten times as fast as by `_Checked`, which
    gets every other row, and says what is wrong with it."""

    input_length: _Count
    output_length: _Count
    hash_ids: list[int] = []
    timestamp: _Time | None = None
    session_id: str | None = None


_DECODER = msgspec.json.Decoder(_Plain)


class MooncakeRow(msgspec.Struct, gc=False):
    """One request. A row waits for `wait_for`, then `delay` and `tool_wait_ms`.

    file, line: where it stands, told by `place`. blocks: its hashes. timestamp, delay,
    tool_wait_ms: milliseconds.
    """

    file: str
    line: int
    prompt: int
    recorded_output: int
    blocks: Blocks = NONE
    timestamp: float | None = None
    session_id: str | None = None
    delay: float | None = None
    tool_wait_ms: float | None = None
    request_id: str | None = None
    wait_for: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    prefix_reset: bool = False
    tool_events: tuple[ToolEvent, ...] = ()
    chat_id: str | None = None
    parent_chat_id: str | None = None
    marsbench: dict[str, Any] | None = None

    @property
    def place(self) -> str:
        """FILE:LINE."""
        return f"{self.file}:{self.line}"

    @property
    def lengths(self) -> Lengths:
        """An output is at least 1: a round generates something."""
        return Lengths(self.prompt, max(1, self.recorded_output))


class MooncakeFile(msgspec.Struct):
    """The rows of a file of that name, sources that fail for lines that are none, and what a header
    says."""

    name: str
    rows: list[MooncakeRow] = []
    problems: list[SessionSource] = []
    block_size: int | None = None


def read_rows(path: Path, most: int | None = None) -> MooncakeFile:
    """The rows of a file. most: of plain rows, each of which is a session, so many are enough.

    Raises ReadError where the file is damaged, for half of a trace is another trace, and for one
    of more plain rows than are kept.
    """
    found = MooncakeFile(str(path))
    packer = Packer()
    are_plain = True
    for place, line in lines_of(path):
        row = _read_row(place, line, packer, found)
        if row is None:
            continue
        found.rows.append(row)
        are_plain = are_plain and _is_plain(row)
        if are_plain and len(found.rows) == most:
            break
        if are_plain and len(found.rows) > MOST_PLAIN:
            raise ReadError(f"has more than {MOST_PLAIN:,} requests of no session; give --limit N")
    return found


def _is_plain(row: MooncakeRow) -> bool:
    """Whether it can have no other round."""
    return row.session_id is None and row.request_id is None and row.chat_id is None


def _read_row(place: str, line: bytes, packer: Packer, found: MooncakeFile) -> MooncakeRow | None:
    try:
        row = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _checked_row(place, line, packer, found)
    blocks = packer.packed(row.hash_ids)
    return MooncakeRow(
        found.name, _line(place), row.input_length, row.output_length, blocks, row.timestamp,
        row.session_id,
    )  # fmt: skip


def _line(place: str) -> int:
    return int(place.rpartition(":")[2])


def _checked_row(
    place: str, line: bytes, packer: Packer, found: MooncakeFile
) -> MooncakeRow | None:
    try:
        value = json_of(line)
        if _is_header(value):
            found.block_size = record_of(_Header, value).block_size
            return None
        row = record_of(_Checked, value)
    except ReadError as error:
        found.problems.append(failed(place, error))
        return None
    found.block_size = row.block_size or found.block_size
    return MooncakeRow(
        found.name,
        _line(place),
        row.prompt,
        row.output,
        packer.packed(row.hash_ids or ()),
        row.timestamp,
        _name(row.session_id),
        row.delay,
        row.tool_wait_ms,
        _name(row.request_id),
        tuple(map(str, row.wait_for or ())),
        tuple(map(str, row.branches or ())),
        bool(row.prefix_reset),
        tuple(row.tool_events or ()),
        _name(row.chat_id),
        _name(row.parent_chat_id),
        row.marsbench,
    )


class _Header(Record):
    block_size: Annotated[int, Field(ge=1, le=2**20)] | None = None


def _name(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _is_header(value: Any) -> bool:
    """Newer agentic files begin with a line that names their schema."""
    return isinstance(value, dict) and "schema" in value and "output_length" not in value


def by_session(rows: Sequence[MooncakeRow], stem: str) -> dict[str, list[MooncakeRow]]:
    """The rows of each session, in order.

    A row without `session_id` goes on the session of the first row that it waits for, or of the
    chat that it goes on; one of neither is a session of its own, named by its file and line. Of
    two rows that go on one chat the second begins anew: a history has one next.
    """
    sessions: dict[str, list[MooncakeRow]] = {}
    owner: dict[str, str] = {}
    chats = _Chats()
    for row in rows:
        name = row.session_id
        if name is None and row.chat_id is not None:
            name = chats.session(row)
        if name is None:
            waits = [owner[r] for r in row.wait_for if r in owner]
            name = waits[0] if waits else f"{stem}-{row.line}"
        sessions.setdefault(name, []).append(row)
        if row.request_id is not None:
            owner[row.request_id] = name
    return sessions


class _Chats:
    """Bailian's rows: which chat each goes on."""

    def __init__(self) -> None:
        self._session_of_last: dict[str, str] = {}

    def session(self, row: MooncakeRow) -> str:
        """The session whose last chat is the row's parent, or one of its own."""
        chat = row.chat_id or ""
        parent = row.parent_chat_id or ""
        name = self._session_of_last.pop(parent, None) or f"chat-{chat}"
        self._session_of_last[chat] = name
        return name


def in_order(sessions: dict[str, list[MooncakeRow]]) -> Iterator[str]:
    """Puts the rows of each session in the order of their time stamps; yields whose were not."""
    for name, rows in sessions.items():
        times = [row.timestamp for row in rows if row.timestamp is not None]
        if len(times) == len(rows) and times != sorted(times):
            rows.sort(key=lambda row: row.timestamp or 0.0)
            yield name
