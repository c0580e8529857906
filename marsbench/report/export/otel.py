"""OpenTelemetry's spans of generative AI (semantic conventions 1.37) as OTLP's JSON.

A trace a session: `invoke_agent` over all, `chat` a round, `execute_tool` a tool call, and below
that a sub-agent's own. A client sees a round from when it is ready, so `chat` runs from there:
admission and the queue are in it, and beside it as `marsbench.…` attributes. Instants are the run's
own clock, put behind the time of day at which it began.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.report.export.timeline import Call, Facts, RunTimeline
from marsbench.version import __version__

INTERNAL, CLIENT = 1, 3
ERROR = 2
_CACHED = "gen_ai.usage.cache_read.input_tokens"


def otel(path: Path) -> str:
    """One object with every span of the run. Raises UsageError for what is no run with events."""
    timeline = RunTimeline.read(path)
    spans = [*_Spans(timeline, _began_ns(path)).all()]
    scope = {"name": "marsbench", "version": __version__}
    resource = {"attributes": _attributes(_about(timeline))}
    batch = {"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}
    return json.dumps({"resourceSpans": [batch]}, allow_nan=False, ensure_ascii=False) + "\n"


def _began_ns(path: Path) -> int:
    """When the run began; 0 where it does not say."""
    wall = path / "wall.json"
    if not wall.is_file():
        return 0
    started = datetime.fromisoformat(json.loads(wall.read_text(encoding="utf-8"))["started"])
    return int(started.timestamp()) * 1_000_000_000


def _about(timeline: RunTimeline) -> Facts:
    config = timeline.config
    return {
        "service.name": "marsbench",
        "marsbench.run": timeline.name,
        "marsbench.backend": config.backend,
        "marsbench.engine": config.engine,
        "marsbench.workload": config.workload,
        "marsbench.seed": config.seed,
    }


class _Spans:
    """Ids are hashes of what a span is of, so the same run gives the same bytes."""

    def __init__(self, timeline: RunTimeline, began_ns: int) -> None:
        self._timeline = timeline
        self._began_ns = began_ns
        self._model = timeline.config.hardware.get("model")
        self._above = {
            call.child: (session, call)
            for session, calls in timeline.calls.items()
            for call in calls
            if call.child is not None
        }

    def all(self) -> Iterator[dict[str, Any]]:
        for session in self._timeline.sessions:
            yield self._agent(session)
            for record in self._timeline.of_session(session.session):
                yield self._chat(session.session, record)
            for call in self._timeline.calls.get(session.session, ()):
                yield self._tool(session.session, call)

    def _agent(self, session: SessionRecord) -> dict[str, Any]:
        above = self._above.get(session.session)
        facts: Facts = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": session.session,
            "gen_ai.conversation.id": self._root(session.session),
            "marsbench.outcome": session.outcome,
            "marsbench.admission_wait_s": session.admission_wait_s,
        }
        span = self._span(
            session.session, f"invoke_agent {session.session}", _agent_id(session.session),
            (session.arrived_at, session.ended_at), facts,
        )  # fmt: skip
        if above is not None:
            span["parentSpanId"] = _tool_id(above[0], above[1])
        if session.outcome == "failed":
            span["status"] = {"code": ERROR, "message": session.reason or ""}
        return span

    def _chat(self, session: str, record: RoundRecord) -> dict[str, Any]:
        found = [t for t in (record.cached_tokens, record.loaded_tokens) if t is not None]
        facts: Facts = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "marsbench",
            "gen_ai.request.model": self._model,
            "gen_ai.conversation.id": self._root(session),
            "gen_ai.usage.input_tokens": record.prompt_tokens,
            "gen_ai.usage.output_tokens": record.output_tokens,
            _CACHED: sum(found) if found else None,
            "marsbench.round": record.round,
            "marsbench.ttft_s": record.ttft_ready_s,
            "marsbench.submitted_s": _after(record.submitted_at, record.ready_at),
            "marsbench.started_s": _after(record.started_at, record.ready_at),
            "marsbench.recomputed_tokens": record.recomputed_tokens,
            "marsbench.preemptions": record.preemptions,
        }
        span = self._span(
            session, f"chat {self._model}" if self._model else "chat",
            _id("chat", session, record.round), (record.ready_at, record.ended_at), facts,
        )  # fmt: skip
        return {**span, "kind": CLIENT, "parentSpanId": _agent_id(session)}

    def _tool(self, session: str, call: Call) -> dict[str, Any]:
        phase = call.phase
        facts: Facts = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": phase.name,
            "gen_ai.conversation.id": self._root(session),
            "marsbench.round": call.key[1],
        }
        times = (phase.begin_at, phase.end_at if phase.ended else None)
        span = self._span(
            session, f"execute_tool {phase.name}", _tool_id(session, call), times, facts
        )
        return {**span, "parentSpanId": _agent_id(session)}

    def _span(
        self,
        session: str,
        name: str,
        span_id: str,
        times: tuple[float, float | None],
        facts: Facts,
    ) -> dict[str, Any]:
        """times: its begin and end; what never ended is an error as long as the run."""
        begin, end = times
        end_at = max(begin, self._timeline.stream.end_s) if end is None else end
        status = {"code": ERROR, "message": "it had not ended when the run did"}
        return {
            "traceId": _hash(16, "trace", self._timeline.name, self._root(session)),
            "spanId": span_id,
            "name": name,
            "kind": INTERNAL,
            "startTimeUnixNano": self._ns(begin),
            "endTimeUnixNano": self._ns(end_at),
            "attributes": _attributes(facts),
            **({"status": status} if end is None else {}),
        }

    def _ns(self, at: float) -> str:
        return str(self._began_ns + round(at * 1e9))

    def _root(self, session: str) -> str:
        """The session whose sub-agent it is, or it itself."""
        while session in self._above:
            session = self._above[session][0]
        return session


def _after(at: float | None, since: float) -> float | None:
    return None if at is None else at - since


def _agent_id(session: str) -> str:
    return _id("agent", session)


def _tool_id(session: str, call: Call) -> str:
    return _id("tool", session, call.key[1], call.phase.facts["call"])


def _id(*parts: object) -> str:
    return _hash(8, *parts)


def _hash(num_bytes: int, *parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[: 2 * num_bytes]


def _attributes(facts: Facts | Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pairs of a key and a value that says its type, as OTLP writes them; without what is None."""
    return [
        {"key": key, "value": _value(value)} for key, value in facts.items() if value is not None
    ]


def _value(value: str | int | float | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
