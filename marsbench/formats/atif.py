"""Reads trajectories of the Agent Trajectory Interchange Format (ATIF 1.x), as Harbor writes them.

A step of the agent is one call of a model, with the tools that it asked for and their answers. It
has one time stamp, between which and the next lie the tools and the next call: how long a tool
took is not recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from marsbench.formats.clock import seconds_of
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.messages import objects_of, text_of_message
from marsbench.formats.opening import document_sources
from marsbench.formats.reading import Contents, Reading, Record, Tokens, record_of
from marsbench.formats.timed import Agent, Talk, TimedCall, Usage, Use, reading_of

_DEEPEST = 20


class _Metrics(Record):
    """The prompt's cached tokens are among its tokens."""

    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    cached_tokens: Tokens | None = None


class _ToolCall(Record):
    tool_call_id: str | None = None
    function_name: str = "tool"
    arguments: Any = None


class _Step(Record):
    source: str
    timestamp: datetime | None = None
    message: Any = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None
    observation: dict[str, Any] | None = None
    metrics: _Metrics | None = None
    is_copied_context: bool | None = None

    @property
    def results(self) -> list[Mapping[str, Any]]:
        return objects_of((self.observation or {}).get("results"))


class _Trajectory(Record):
    session_id: str | None = None
    trajectory_id: str | None = None
    steps: list[_Step]
    subagent_trajectories: list[Any] = Field(default_factory=list)


def read_atif(path: Path, fallback: Fallback) -> Contents:
    """One session a file, or a line."""
    return document_sources(path, partial(_reading, fallback=fallback, depth=0), ".json")


def _reading(record: Any, name: str, fallback: Fallback, depth: int) -> Reading:
    whole = record_of(_Trajectory, record)
    agents = _agents(whole, fallback, depth)
    calls, said = list[TimedCall](), list[str]()
    for step in whole.steps:
        if step.source == "agent" and not step.is_copied_context:
            calls.append(_call(step, len(calls), said, agents))
            said = []
        else:
            said.append(text_of_message({"content": step.message}))
        said += [text_of_message(one) for one in step.results]
    first = whole.steps[0] if whole.steps else None
    is_system = first is not None and first.source == "system"
    talk = Talk(
        name=whole.session_id or whole.trajectory_id or name,
        calls=calls,
        times=[None if s.timestamp is None else seconds_of(s.timestamp) for s in whole.steps],
        prefix=text_of_message({"content": first.message}) if first and is_system else "",
        unawaited=len(agents),
    )
    return reading_of(talk, fallback)


def _call(step: _Step, number: int, said: Sequence[str], agents: dict[str, Reading]) -> TimedCall:
    """Takes the sub-agents out of `agents` that its tools started."""
    metrics = step.metrics or _Metrics()
    by_call = {str(one.get("source_call_id")): one for one in step.results}
    texts = [text_of_message({"content": step.message}), step.reasoning_content or ""]
    texts += [f"{one.function_name} {one.arguments}" for one in step.tool_calls or ()]
    return TimedCall(
        of=f"call {number}",
        usage=Usage(metrics.prompt_tokens, metrics.completion_tokens, metrics.cached_tokens),
        appended=said,
        generated="\n".join(text for text in texts if text),
        uses=[
            Use(name=one.function_name, agent=_started(by_call.get(str(one.tool_call_id)), agents))
            for one in step.tool_calls or ()
        ],
    )


def _agents(whole: _Trajectory, fallback: Fallback, depth: int) -> dict[str, Reading]:
    """The embedded sub-agents by their ids (1.7)."""
    found: dict[str, Reading] = {}
    for number, one in enumerate(whole.subagent_trajectories if depth < _DEEPEST else ()):
        own = one if isinstance(one, Mapping) else {}
        name = str(own.get("trajectory_id") or own.get("session_id") or number)
        found[name] = _reading(own, f"agent-{name}", fallback, depth + 1)
    return found


def _started(result: Mapping[str, Any] | None, agents: dict[str, Reading]) -> Agent | None:
    refs = objects_of((result or {}).get("subagent_trajectory_ref"))
    names = (str(ref.get("trajectory_id") or ref.get("session_id")) for ref in refs)
    name = next((one for one in names if one in agents), None)
    return None if name is None else Agent(agents.pop(name), None, None)


def _recognised(head: Head) -> str | None:
    for one in head.objects:
        version = one.get("schema_version")
        if isinstance(version, str) and version.startswith("ATIF"):
            return f"its schema_version is {version[:20]}"
    if head.has("schema_version", "agent", "steps"):
        return "it has a schema_version, an agent and steps"
    return None


FORMAT = Format(
    name="atif",
    title="a trajectory in ATIF",
    tried=("1.6 and 1.7 (2026-01)",),
    recognise=_recognised,
    read=read_atif,
)
