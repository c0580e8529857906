"""Reads the session logs of Claude Code (~/.claude/projects), one session a file.

Sub-agents are lines of the log, or files beside it: `agent-ID.jsonl`, in the folder
`SESSION/subagents` of late versions. They are read with the session that started them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from marsbench.formats.claude_lines import Conversation, Log, log_of
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head, head_of
from marsbench.formats.opening import lines_of
from marsbench.formats.reading import Contents, Reading, SessionSource
from marsbench.formats.timed import Agent, Talk, reading_of

NAME = "claude-code"
_AGENT_FILE = "agent-{}.jsonl"
_SAFE = re.compile(r"[\w.@-]{1,100}")
_DEEPEST = 20


def read_claude(path: Path, fallback: Fallback) -> Contents:
    """One session; none of a sub-agent's file that is read with its session."""
    is_side = _is_agents(path)
    if is_side and _session_file(path) is not None:
        return Contents(())

    def read() -> Reading:
        return _session(path, fallback, is_side)

    return Contents((SessionSource(str(path), read),))


def _is_agents(path: Path) -> bool:
    return path.name.startswith("agent-")


def _session_file(path: Path) -> Path | None:
    """The log of the session that started a sub-agent, where it is still there."""
    if path.parent.name == "subagents":
        names = [path.parent.parent.name]
        folder = path.parent.parent.parent
    else:
        names = [str(one.get("sessionId")) for one in islice(head_of(path).objects, 1)]
        folder = path.parent
    found = (folder / f"{name}.jsonl" for name in names if _SAFE.fullmatch(name))
    return next((one for one in found if one.is_file()), None)


def _session(path: Path, fallback: Fallback, is_side: bool) -> Reading:
    log = log_of(lines_of(path), fallback.tokens is not None, is_side)
    name = path.name.removesuffix(".gz").removesuffix(".zst").removesuffix(".jsonl")
    files = path.parent if is_side else path.parent / name / "subagents"
    reader = _Reader(fallback, (files, path.parent), log)
    return reader.session(name, log.own)


@dataclass(slots=True)
class _Reader:
    """Reads one session and its sub-agents.

    folders: where their files are looked for. read: the sub-agents that a tool call started.
    """

    fallback: Fallback
    folders: tuple[Path, Path]
    log: Log
    read: set[str] = field(default_factory=set)

    def session(self, name: str, own: Conversation) -> Reading:
        """The session itself; sub-agents that no call started are counted."""
        self._attach(own, 0)
        lost = list(self._unasked())
        num_lost = sum(len(one.calls) for one in lost)
        return reading_of(
            _talk(name, own, len(own.calls) + num_lost, sum(bool(one.calls) for one in lost)),
            self.fallback,
        )

    def _attach(self, own: Conversation, depth: int) -> None:
        """Give each tool call of a conversation the sub-agent that it started."""
        by_prompt = self._by_prompt()
        for use_id, use in own.uses.items():
            name = own.agents.get(use_id)
            if name is None and (asked := by_prompt.get(own.prompts.get(use_id, ""))):
                name = asked.pop(0)
            if name is None or name in self.read or depth > _DEEPEST:
                continue
            found = self._conversation(name)
            if found is not None and found.calls:
                self.read.add(name)
                self._attach(found, depth + 1)
                use.agent = self._agent(name, found)

    def _by_prompt(self) -> dict[str, list[str]]:
        """Sub-agents in the log itself that nobody names, by what they were asked."""
        found: dict[str, list[str]] = defaultdict(list)
        for name, one in self.log.sides.items():
            if one.asked and name not in self.read:
                found[one.asked].append(name)
        return found

    def _conversation(self, name: str) -> Conversation | None:
        if name in self.log.sides:
            return self.log.sides[name]
        path = self._file(name)
        return None if path is None else self._of_file(path)

    def _file(self, name: str) -> Path | None:
        if not _SAFE.fullmatch(name):
            return None
        paths = (folder / _AGENT_FILE.format(name) for folder in self.folders)
        return next((path for path in paths if path.is_file()), None)

    def _of_file(self, path: Path) -> Conversation:
        return log_of(lines_of(path), self.fallback.tokens is not None, is_side=True).own

    def _agent(self, name: str, own: Conversation) -> Agent:
        calls = own.calls
        return Agent(
            reading_of(_talk(f"agent-{name}", own), self.fallback),
            calls[0].sent_at or calls[0].ended_at,
            calls[-1].ended_at,
        )

    def _unasked(self) -> Iterator[Conversation]:
        """What ran beside the session, such as the call that condensed it."""
        yield from (one for name, one in self.log.sides.items() if name not in self.read)
        if self.folders[0].name != "subagents" or not self.folders[0].is_dir():
            return
        for path in sorted(self.folders[0].glob(_AGENT_FILE.format("*"))):
            if path.name.removeprefix("agent-").removesuffix(".jsonl") not in self.read:
                yield self._of_file(path)


def _talk(name: str, own: Conversation, num_calls: int | None = None, unawaited: int = 0) -> Talk:
    return Talk(
        name=name,
        calls=own.calls,
        times=own.times,
        num_calls=num_calls,
        repairs=own.repairs,
        shares="claude-code",
        unawaited=unawaited,
    )


def _recognised(head: Head) -> str | None:
    for one in head.objects:
        if "sessionId" in one and "uuid" in one and "parentUuid" in one:
            return "its lines have a sessionId, a uuid and a parentUuid"
    return None


FORMAT = Format(
    name=NAME,
    title="a session log of Claude Code",
    tried=("2.0 and 2.1 (2026-01)", "2.1.197 (2026-11-26)"),
    recognise=_recognised,
    read=read_claude,
    has_arrivals=True,
)
