"""Reads the rollouts of Codex (~/.codex/sessions), one session a file.

A reply's items come first and its usage behind them, as an event `token_count`. That is written
again when a limit changes, with the same totals. A fork, and a sub-agent, begins with the lines of
the session that it comes from, written anew at once: they are calls of that session, not of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from marsbench.core.workload.generate import USER
from marsbench.formats.clock import seconds_of
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.messages import text_of_message
from marsbench.formats.opening import lines_of
from marsbench.formats.reading import (
    Contents,
    ReadError,
    Reading,
    Record,
    Repair,
    SessionSource,
    Tokens,
    json_of,
    record_of,
)
from marsbench.formats.timed import Talk, TimedCall, Usage, Use, reading_of
from marsbench.formats.weka import CLIENT_GAP

REPLAY_S = 2.0
"""A fork has written its parent's lines within so long of its own first."""

_CALLS = ("function_call", "custom_tool_call", "local_shell_call", "web_search_call")
_NAMES = {"local_shell_call": "shell", "web_search_call": "web_search"}
_KINDS = ("session_meta", "response_item", "event_msg", "turn_context", "compacted")


class _Line(Record):
    timestamp: datetime | None = None
    type: str
    payload: dict[str, Any] = Field(default_factory=dict)

    @property
    def at(self) -> float | None:
        return None if self.timestamp is None else seconds_of(self.timestamp)


class _Usage(Record):
    """The input's cached tokens are among its tokens, and the output's reasoning among its."""

    input_tokens: Tokens
    cached_input_tokens: Tokens | None = None
    output_tokens: Tokens
    reasoning_output_tokens: Tokens | None = None

    @property
    def usage(self) -> Usage:
        return Usage(
            self.input_tokens,
            self.output_tokens,
            self.cached_input_tokens,
            self.reasoning_output_tokens,
        )


class _Info(Record):
    last_token_usage: _Usage | None = None
    total_token_usage: dict[str, Any] | None = None


class _TokenCount(Record):
    info: _Info | None = None


class _Meta(Record):
    id: str | None = None
    forked_from_id: str | None = None
    parent_thread_id: str | None = None
    source: Any = None

    @property
    def is_fork(self) -> bool:
        by_agent = isinstance(self.source, Mapping) and "subagent" in self.source
        return bool(self.forked_from_id or self.parent_thread_id or by_agent)


@dataclass(slots=True)
class _Rollout:
    """One file, a line at a time.

    is_open: the last call has items, and nothing has answered it yet. replayed: calls of another.
    """

    keeps_text: bool
    name: str | None = None
    calls: list[TimedCall] = field(default_factory=list)
    times: list[float | None] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    uses: dict[str, Use] = field(default_factory=dict)
    replayed: int = 0
    _replays_until: float | None = None
    _is_open: bool = False
    _counted: bool = False
    _total: Any = None
    _last_at: float | None = None
    _set_off_by: str = CLIENT_GAP
    _said: list[str] = field(default_factory=list)
    _anew: bool = False

    def take(self, line: _Line) -> None:
        kind = line.payload.get("type")
        if line.type == "session_meta" and self.name is None:
            self._begin(line)
        if self._is_replay(line.at):
            self._total = _total(line) or self._total
            self.replayed += kind == "token_count"
            return
        self.times.append(line.at)
        if line.type == "compacted":
            self._anew = True
        elif line.type == "response_item":
            self._item(line, kind)
        elif kind == "token_count":
            self._count(line)

    def _begin(self, line: _Line) -> None:
        meta = record_of(_Meta, line.payload)
        self.name = meta.id or ""
        if meta.is_fork and line.at is not None:
            self._replays_until = line.at + REPLAY_S

    def _is_replay(self, at: float | None) -> bool:
        return self._replays_until is not None and at is not None and at <= self._replays_until

    def _item(self, line: _Line, kind: Any) -> None:
        item = line.payload
        role = item.get("role")
        if kind in _CALLS or kind == "reasoning" or role == "assistant":
            self._reply(line, item, kind)
            return
        if str(kind).endswith("_output"):
            use = self.uses.get(str(item.get("call_id")))
            if use is not None and use.answered_at is None:
                use.answered_at = line.at
        elif role == "user":
            self._set_off_by = USER
        self._is_open = False
        self._last_at = self._last_at if line.at is None else line.at
        if self.keeps_text:
            self._said.append(text_of_message(item))

    def _reply(self, line: _Line, item: Mapping[str, Any], kind: Any) -> None:
        if not self._is_open or self._counted:
            self._new(line.at)
        call = self.calls[-1]
        call.ended_at = line.at if line.at is not None else call.ended_at
        if self.keeps_text:
            call.generated += f"{text_of_message(item)} {item.get('arguments') or ''}".strip()
        if kind in _CALLS:
            name = item.get("name") or _NAMES.get(str(kind)) or "tool"
            use = Use(name=str(name), asked_at=line.at)
            call.uses = (*call.uses, use)
            if kind == "web_search_call":  # the model's own side runs it, within the reply
                use.answered_at = line.at
            self.uses[str(item.get("call_id") or item.get("id"))] = use

    def _new(self, at: float | None) -> None:
        before = self.calls[-1].ended_at if self.calls else None
        known = [one for one in (before, self._last_at) if one is not None]
        self.calls.append(TimedCall(
            of=f"call {len(self.calls)}", sent_at=max(known) if known else at,
            set_off_by=self._set_off_by, anew=self._anew, appended=self._said,
        ))  # fmt: skip
        self._is_open, self._counted, self._anew = True, False, False
        self._set_off_by, self._said, self._last_at = CLIENT_GAP, [], None

    def _count(self, line: _Line) -> None:
        """The usage of the reply before it, or of one that left no item, such as a summary's."""
        info = record_of(_TokenCount, line.payload).info
        last = None if info is None else info.last_token_usage
        total = None if info is None else info.total_token_usage
        if last is None or (total is not None and total == self._total):
            return
        self._total = total
        if last.input_tokens == 0 and last.output_tokens == 0:
            return  # an estimate after a compaction
        if self._counted or not self.calls:
            self._new(line.at)
            self.calls[-1].ended_at = line.at
        call = self.calls[-1]
        call.usage, self._counted = last.usage, True
        if self._is_open and line.at is not None:
            call.ended_at = line.at


def _total(line: _Line) -> Any:
    info = line.payload.get("info")
    return info.get("total_token_usage") if isinstance(info, Mapping) else None


def read_codex(path: Path, fallback: Fallback) -> Contents:
    """One session."""

    def read() -> Reading:
        found = _rollout(lines_of(path), fallback.tokens is not None)
        fork = (
            f"begins with {found.replayed:,} calls of the session that it comes from; they are "
            "left out"
        )
        talk = Talk(
            name=found.name or path.name.partition(".")[0],
            calls=found.calls,
            times=found.times,
            repairs=found.repairs,
            notes=(fork,) if found.replayed else (),
            shares="codex",
        )
        return reading_of(talk, fallback)

    return Contents((SessionSource(str(path), read),))


def _rollout(lines: Iterable[tuple[str, bytes]], keeps_text: bool) -> _Rollout:
    found = _Rollout(keeps_text)
    for _, text in lines:
        try:
            found.take(record_of(_Line, json_of(text)))
        except ReadError as error:
            found.repairs.append(Repair("a line that cannot be read", str(error)))
    return found


def _recognised(head: Head) -> str | None:
    if any(one.get("type") in _KINDS and "payload" in one for one in head.objects):
        return "its lines have a payload, and the types of a rollout"
    return None


FORMAT = Format(
    name="codex",
    title="a rollout of Codex",
    tried=("0.60 (2025-11)", "forks of 0.145 (2026-07)", "0.171.0 (2026-11-26)"),
    recognise=_recognised,
    read=read_codex,
    has_arrivals=True,
)
