"""Sessions whose tools are faster or slower than recorded, for sensitivity runs."""

from __future__ import annotations

from dataclasses import replace

from marsbench.core.session import Session, ToolCall
from marsbench.core.workload.files import Workload
from marsbench.core.workload.generate import USER


def with_tool_time(workload: Workload, factor: float) -> Workload:
    """The same sessions with every tool's time, sub-agents' too, taken times the factor.

    People are no tools: the gaps in which a user reads and types stay as they are.
    """
    if factor == 1:
        return workload
    sessions = tuple(_scaled(session, factor) for session in workload.sessions)
    return replace(workload, sessions=sessions, meta={**workload.meta, "tool_time": factor})


def _scaled(session: Session, factor: float) -> Session:
    def scaled(call: ToolCall) -> ToolCall:
        if call.name == USER:
            return call
        child = None if call.child is None else _scaled(call.child, factor)
        return replace(call, cpu_s=call.cpu_s * factor, floor_s=call.floor_s * factor, child=child)

    return session.with_calls(scaled)
