"""Records of our own that exports keep in fields of ours: cuts, and tool calls of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from marsbench.core.session import Cut, Round, Session, ToolCall, ToolKind
from marsbench.core.workload.files import Workload
from marsbench.formats.reading import Record


class CutRecord(Record):
    """A cut, as the workload file has it."""

    to_tokens: int
    kept_tokens: int


class ToolRecord(Record):
    """A tool call whose sub-agent, if it is one, stands elsewhere under this id."""

    name: str
    kind: ToolKind
    cpu_s: float
    floor_s: float
    child: str | None = None


def header_json(workload: Workload) -> dict[str, Any]:
    """The workload's name, lanes and origin: what its sessions do not say."""
    return {"name": workload.name, "lanes": workload.lanes, "meta": dict(workload.meta)}


def cut_json(rnd: Round) -> dict[str, int] | None:
    """The round's cut; None when it has none."""
    cut = rnd.cut
    return None if cut is None else {"to_tokens": cut.to_tokens, "kept_tokens": cut.kept_tokens}


def tools_json(rnd: Round) -> list[dict[str, Any]]:
    """The round's tool calls, all with the same fields."""
    return [
        {
            "name": call.name,
            "kind": call.kind,
            "cpu_s": float(call.cpu_s),
            "floor_s": float(call.floor_s),
            "child": call.child.id if call.child else None,
        }
        for call in rnd.tools
    ]


def cut_of(record: CutRecord | None) -> Cut | None:
    """The cut of a record, if there is one."""
    return None if record is None else Cut(record.to_tokens, record.kept_tokens)


def calls_of(
    tools: Iterable[ToolRecord], session: Callable[[str], Session]
) -> tuple[ToolCall, ...]:
    """The tool calls of these records; `session` gives the sub-agent of an id."""
    return tuple(
        ToolCall(
            tool.name,
            tool.kind,
            tool.cpu_s,
            tool.floor_s,
            None if tool.child is None else session(tool.child),
        )
        for tool in tools
    )
