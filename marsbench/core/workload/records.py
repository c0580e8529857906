"""A session as JSON and back: in files of sessions, and in what is exported for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field

from marsbench.core.session import Cut, Round, Session, ToolCall, ToolKind


def session_json(session: Session, child: Callable[[Session], Any]) -> dict[str, Any]:
    """A session with all its fields; `child` gives what stands in a call for its sub-agent."""
    return {
        "id": session.id,
        "arrival_s": _float(session.arrival_s),
        "tenant": session.tenant,
        "prefix_group": session.prefix_group,
        "prefix_tokens": session.prefix_tokens,
        # Left out where there is none, so that files and tables of before have the same bytes.
        **({"fork_tokens": session.fork_tokens} if session.fork_tokens else {}),
        "rounds": [_round_json(rnd, child) for rnd in session.rounds],
    }


def _round_json(rnd: Round, child: Callable[[Session], Any]) -> dict[str, Any]:
    cut = rnd.cut
    return {
        "append_tokens": rnd.append_tokens,
        "output_tokens": rnd.output_tokens,
        "cut": cut and {"to_tokens": cut.to_tokens, "kept_tokens": cut.kept_tokens},
        "tools": [_tool_json(call, child) for call in rnd.tools],
    }


def _tool_json(call: ToolCall, child: Callable[[Session], Any]) -> dict[str, Any]:
    return {
        "name": call.name,
        "kind": call.kind,
        "cpu_s": _float(call.cpu_s),
        "floor_s": _float(call.floor_s),
        "child": call.child and child(call.child),
        # Left out where it is 1, for the same reason.
        **({"cores": call.cores} if call.cores > 1 else {}),
    }


def nested_json(session: Session) -> dict[str, Any]:
    """As a file has it: a sub-agent inside its call, and no field of what is not there."""
    record = session_json(session, nested_json)
    rounds = ({**rnd, "tools": [_present(t) for t in rnd["tools"]]} for rnd in record["rounds"])
    return {**record, "rounds": [_present(rnd) for rnd in rounds]}


def _present(record: dict[str, Any]) -> dict[str, Any]:
    optional = ("cut", "tools", "cpu_s", "floor_s", "child")
    return {key: value for key, value in record.items() if value or key not in optional}


def _float(seconds: float) -> float:
    """1, 1.0, 0.0 and -0.0 must not give equal workloads different hashes."""
    return float(seconds) + 0.0


_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0)]
Child = TypeVar("Child")
"""What stands in a call for its sub-agent: its record, or its id where it stands elsewhere."""


class CutJson(BaseModel):
    """A cut of `session_json`."""

    to_tokens: _Count
    kept_tokens: _Count = 0


class ToolJson(BaseModel, Generic[Child]):
    """A tool call of `session_json`."""

    name: str
    kind: ToolKind = "wait"
    cpu_s: _Seconds = 0.0
    floor_s: _Seconds = 0.0
    child: Child | None = None
    cores: Annotated[int, Field(ge=1)] = 1

    def value(self, session: Callable[[Child], Session]) -> ToolCall:
        child = None if self.child is None else session(self.child)
        return ToolCall(self.name, self.kind, self.cpu_s, self.floor_s, child, self.cores)


class RoundJson(BaseModel, Generic[Child]):
    """A round of `session_json`."""

    append_tokens: _Count
    output_tokens: Annotated[int, Field(ge=1)]
    cut: CutJson | None = None
    tools: list[ToolJson[Child]] = Field(default_factory=list)

    def value(self, session: Callable[[Child], Session]) -> Round:
        cut = None if self.cut is None else Cut(self.cut.to_tokens, self.cut.kept_tokens)
        tools = tuple(tool.value(session) for tool in self.tools)
        return Round(self.append_tokens, self.output_tokens, tools, cut)


class SessionJson(BaseModel, Generic[Child]):
    """What `session_json` gives."""

    id: str
    arrival_s: _Seconds = 0.0
    tenant: str = "default"
    prefix_group: str | None = None
    prefix_tokens: _Count = 0
    fork_tokens: _Count = 0
    rounds: list[RoundJson[Child]]

    def value(self, session: Callable[[Child], Session]) -> Session:
        """`session` gives the sub-agent. Raises ValueError for a session that cannot be."""
        rounds = tuple(rnd.value(session) for rnd in self.rounds)
        group, prefix = self.prefix_group, self.prefix_tokens
        return Session(
            self.id, rounds, self.arrival_s, self.tenant, group, prefix, self.fork_tokens
        )


class NestedJson(SessionJson["NestedJson"]):
    """What `nested_json` gives."""

    def session(self) -> Session:
        return self.value(NestedJson.session)
