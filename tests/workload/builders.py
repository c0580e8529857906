"""Small sessions and traces for the tests of workloads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.workload.files import Workload

SECONDS = st.floats(min_value=0, max_value=1e6, allow_nan=False)
TOKENS = st.integers(min_value=0, max_value=10**7)


def session(name: str = "a", *rounds: Round, **fields: Any) -> Session:
    return Session(name, rounds or (Round(100, 10),), **fields)


def workload(*sessions: Session, **fields: Any) -> Workload:
    return Workload("w", sessions or (session(),), **fields)


def request(
    t: float, prompt: int, out: int, hashes: Sequence[int], **fields: Any
) -> dict[str, Any]:
    return {
        "t": t, "type": "n", "model": "m", "in": prompt, "out": out, "hash_ids": list(hashes),
        "input_types": ["text"], "output_types": ["text"], "stop": "tool_use", "api_time": 2.0,
    } | fields  # fmt: skip


def subagent(t: float, duration_s: float, *requests: dict[str, Any]) -> dict[str, Any]:
    return {
        "t": t, "type": "subagent", "agent_id": "x", "subagent_type": "Explore",
        "duration_ms": duration_s * 1000, "total_tokens": 1, "tool_use_count": 1,
        "status": "completed", "requests": list(requests), "models": ["m"],
        "tool_tokens": 60, "system_tokens": 4,
    }  # fmt: skip


def trace(*requests: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": "t1", "models": ["m"], "block_size": 64, "hash_id_scope": "local",
        "tool_tokens": 100, "system_tokens": 28, "totals": {}, "requests": list(requests),
    } | fields  # fmt: skip


def write_trace(folder: Path, record: dict[str, Any], name: str = "t1.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(record))
    return path


@st.composite
def sessions(draw: st.DrawFn, depth: int = 2) -> Session:
    """Any session, its id still to be made unique."""
    first = draw(st.integers(1, 10**6))
    prefix = draw(st.integers(0, first))
    rounds = [Round(first, draw(st.integers(1, 10**5)), draw(_tools(depth)))]
    rounds += draw(st.lists(_rounds(depth), max_size=3))
    group = draw(st.none() | st.text(max_size=5))
    arrival, tenant = draw(SECONDS), draw(st.text(max_size=5))
    return Session("?", tuple(rounds), arrival, tenant, group, prefix)


@st.composite
def _rounds(draw: st.DrawFn, depth: int) -> Round:
    cut = None
    if draw(st.booleans()):
        kept = draw(TOKENS)
        cut = Cut(kept + draw(TOKENS), kept)
    return Round(draw(TOKENS), draw(st.integers(1, 10**5)), draw(_tools(depth)), cut)


@st.composite
def _tool(draw: st.DrawFn, depth: int) -> ToolCall:
    name, kind = draw(st.text(max_size=5)), draw(st.sampled_from(["cpu", "wait", "agent"]))
    if kind == "cpu":
        return ToolCall(name, "cpu", draw(SECONDS), draw(SECONDS), cores=draw(st.integers(1, 9)))
    if kind == "wait" or depth == 0:
        return ToolCall(name, "wait", floor_s=draw(SECONDS))
    return ToolCall(name, "agent", floor_s=draw(SECONDS), child=draw(sessions(depth - 1)))


def _tools(depth: int) -> st.SearchStrategy[tuple[ToolCall, ...]]:
    return st.lists(_tool(depth), max_size=2).map(tuple)
