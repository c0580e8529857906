"""The lines of a Claude Code log as the calls of each conversation in it.

One reply is several lines with one message id, a line a block; the last has the whole usage.
Sub-agents of early versions are lines among the others; later ones have files of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import Field

from marsbench.core.workload.generate import USER
from marsbench.formats.clock import seconds_of
from marsbench.formats.messages import objects_of
from marsbench.formats.reading import (
    Record,
    Repair,
    Tokens,
    each_read,
    record_of,
)
from marsbench.formats.timed import TimedCall, Usage, Use
from marsbench.formats.weka import CLIENT_GAP

SYNTHETIC = "<synthetic>"
"""The model of what Claude Code itself says in a reply's place, such as an error's text."""

LONGEST_TOKEN = 16
"""Characters a token that no tokenizer reaches on average over a text."""


class _Usage(Record):
    input_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None

    @property
    def prompt(self) -> int | None:
        """All of it: what was read from the cache and what was put there are not in the input."""
        if self.input_tokens is None:
            return None
        return (
            self.input_tokens
            + (self.cache_creation_input_tokens or 0)
            + (self.cache_read_input_tokens or 0)
        )


class _Message(Record):
    id: str | None = None
    model: str | None = None
    content: Any = None
    stop_reason: str | None = None
    usage: _Usage | None = None


class Line(Record):
    """One line: of a person or a tool (user), of the model (assistant), or of Claude Code."""

    type: str
    timestamp: datetime | None = None
    uuid: str | None = None
    parent: str | None = Field(None, validation_alias="parentUuid")
    session: str | None = Field(None, validation_alias="sessionId")
    agent: str | None = Field(None, validation_alias="agentId")
    is_side: bool | None = Field(None, validation_alias="isSidechain")
    is_meta: bool | None = Field(None, validation_alias="isMeta")
    is_summary: bool | None = Field(None, validation_alias="isCompactSummary")
    is_error: bool | None = Field(None, validation_alias="isApiErrorMessage")
    subtype: str | None = None
    message: _Message | None = None
    result: Any = Field(None, validation_alias="toolUseResult")

    @property
    def at(self) -> float | None:
        return None if self.timestamp is None else seconds_of(self.timestamp)

    @property
    def blocks(self) -> list[Mapping[str, Any]]:
        content = None if self.message is None else self.message.content
        return [{"type": "text", "text": content}] if isinstance(content, str) else objects_of(
            content
        )  # fmt: skip


@dataclass(slots=True)
class Conversation:
    """One conversation: the session's own, or a sub-agent's.

    asked: the text that it begins with. agents: by a tool's id, the name of the sub-agent that it
    started, and what it was asked. times: of all its lines.
    """

    calls: list[TimedCall] = field(default_factory=list)
    times: list[float | None] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    asked: str | None = None
    uses: dict[str, Use] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    _by_id: dict[str, TimedCall] = field(default_factory=dict)
    _last_at: float | None = None
    _set_off_by: str = CLIENT_GAP
    _anew: bool = False
    _unfinished: dict[str, int] = field(default_factory=dict)

    def take(self, line: Line, keeps_text: bool) -> None:
        """The next line of it."""
        self.times.append(line.at)
        if line.type == "assistant" and line.message is not None:
            if not line.is_error and line.message.model != SYNTHETIC:
                self._reply(line, line.message, keeps_text)
        elif line.type == "user":
            self._said(line)
        elif line.subtype == "compact_boundary":
            self._anew = True

    def _reply(self, line: Line, message: _Message, keeps_text: bool) -> None:
        name = message.id or line.uuid or f"line {len(self.times)}"
        call = self._by_id.get(name)
        if call is None:
            call = self._by_id[name] = self._begun()
        call.ended_at = line.at if call.ended_at is None else max(call.ended_at, line.at or 0.0)
        if message.usage is not None:
            call.usage = _merged(call.usage, message.usage)
        text = "".join(_text(block) for block in line.blocks)
        self._unfinished[name] = self._unfinished.get(name, 0) + len(text)
        if message.stop_reason is not None:
            self._unfinished[name] = -(10**12)  # its usage is whole
        if keeps_text:
            call.generated += text
        for block in line.blocks:
            if block.get("type") == "tool_use":
                self._use(call, block, line.at)

    def _begun(self) -> TimedCall:
        before = self.calls[-1].ended_at if self.calls else None
        known = [at for at in (before, self._last_at) if at is not None]
        call = TimedCall(
            of=f"call {len(self.calls)}",
            sent_at=max(known) if self._last_at is not None else None,
            set_off_by=self._set_off_by,
            anew=self._anew,
        )
        self.calls.append(call)
        self._last_at, self._set_off_by, self._anew = None, CLIENT_GAP, False
        return call

    def _use(self, call: TimedCall, block: Mapping[str, Any], at: float | None) -> None:
        name, asked = str(block.get("id")), block.get("input")
        if name in self.uses:
            return
        use = self.uses[name] = Use(name=str(block.get("name") or "tool"), asked_at=at)
        call.uses = (*call.uses, use)
        prompt = asked.get("prompt") if isinstance(asked, Mapping) else None
        if isinstance(prompt, str):
            self.prompts[name] = prompt

    def _said(self, line: Line) -> None:
        """What a tool answered, or a person or Claude Code said."""
        if line.at is not None:
            self._last_at = line.at
        self._anew = self._anew or bool(line.is_summary)
        answers = [block for block in line.blocks if block.get("type") == "tool_result"]
        for block in answers:
            self._answered(str(block.get("tool_use_id")), line)
        if not answers and not line.is_meta and not line.is_summary:
            self._set_off_by = USER
        if self.asked is None and not answers:
            self.asked = "".join(_text(block) for block in line.blocks)

    def _answered(self, name: str, line: Line) -> None:
        use = self.uses.get(name)
        if use is None or use.answered_at is not None:
            return
        use.answered_at = line.at
        agent = line.result.get("agentId") if isinstance(line.result, Mapping) else None
        if isinstance(agent, str):
            self.agents[name] = agent

    def finish(self, counts: bool) -> None:
        """Say of which replies the usage is that of their first words. counts: there is a
        tokenizer, which tells it instead."""
        for name, num_chars in self._unfinished.items():
            call = self._by_id[name]
            if num_chars <= LONGEST_TOKEN * (call.usage.output or 0):
                continue
            if counts:
                call.usage = Usage(call.usage.prompt, None, call.usage.cached)
            said = f"{call.of} counts {call.usage.output or 0} tokens of {num_chars:,} characters"
            how = "they are counted" if counts else "give --tokenizer NAME_OR_PATH"
            self.repairs.append(
                Repair("an output of which the begin was counted", f"{said}; {how}")
            )


def _merged(known: Usage, own: _Usage) -> Usage:
    """The lines of one reply count its output so far."""
    outputs = [one for one in (known.output, own.output_tokens) if one is not None]
    return Usage(
        prompt=known.prompt if own.prompt is None else own.prompt,
        output=max(outputs, default=None),
        cached=known.cached if own.prompt is None else own.cache_read_input_tokens,
    )


def _text(block: Mapping[str, Any]) -> str:
    if block.get("type") == "tool_use":
        return f"{block.get('name', '')} {block.get('input', '')}"
    text = block.get("text") if block.get("type") == "text" else block.get("thinking")
    return text if isinstance(text, str) else ""


@dataclass(slots=True)
class Log:
    """One file: the session's own conversation, and those of sub-agents in it, by their names."""

    own: Conversation
    sides: dict[str, Conversation]


def log_of(lines: Iterable[tuple[str, bytes]], keeps_text: bool, is_side: bool) -> Log:
    """What is in these lines. is_side: the file is a sub-agent's own. Raises ReadError."""
    own, sides, roots = Conversation(), dict[str, Conversation](), dict[str, str]()
    for line in each_read(lines, partial(record_of, Line), own.repairs):
        name = None if is_side else _side(line, roots)
        found = own if name is None else sides.setdefault(name, Conversation())
        found.take(line, keeps_text)
    for one in (own, *sides.values()):
        one.finish(keeps_text)
    return Log(own, sides)


def _side(line: Line, roots: dict[str, str]) -> str | None:
    """Which sub-agent's the line is; it is told by its name, or by the line before it."""
    if not line.is_side:
        return None
    uuid = line.uuid or ""
    root = line.agent or roots.get(line.parent or "", uuid)
    roots[uuid] = root
    return root
