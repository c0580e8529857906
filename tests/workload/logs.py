"""Small logs of agents and tracers, made here: a line or record at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def iso(seconds: float) -> str:
    whole = int(seconds)
    return f"2026-01-05T{10 + whole // 3600:02d}:{whole // 60 % 60:02d}:{seconds % 60:06.3f}Z"


EPOCH_S = 1767607200.0
"""Of 2026-01-05T10:00:00Z."""

# Claude Code: a line a block of a message.


def _claude(kind: str, seconds: float, message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": kind, "timestamp": iso(seconds), "sessionId": "s1", "version": "2.0.1",
        "uuid": f"{kind}-{seconds}-{more.get('agentId', '')}", "parentUuid": None,
        "isSidechain": False, "message": message, **more,
    }  # fmt: skip


def claude_user(seconds: float, text: str, **more: Any) -> dict[str, Any]:
    return _claude("user", seconds, {"role": "user", "content": text}, **more)


def claude_reply(
    seconds: float,
    name: str,
    usage: tuple[int, int],
    *,
    uses: Sequence[tuple[str, str]] = (),
    text: str = "",
    cached: int = 0,
    stop: str | None = "end_turn",
    prompt: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """usage: tokens of the prompt and the output; of the prompt those are cached."""
    asked: dict[str, Any] = {"Task": {"prompt": prompt}}
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    content += [
        {"type": "tool_use", "id": i, "name": n, "input": asked.get(n, {})} for i, n in uses
    ]
    numbers = {
        "input_tokens": 4, "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": usage[0] - cached - 4, "output_tokens": usage[1],
    }  # fmt: skip
    message = {
        "id": name, "role": "assistant", "model": "claude-x", "content": content,
        "stop_reason": stop, "usage": numbers,
    }  # fmt: skip
    return _claude("assistant", seconds, message, requestId=f"req-{name}", **more)


def claude_result(
    seconds: float, of: str, text: str = "ok", agent: str | None = None, **more: Any
) -> dict[str, Any]:
    content = [{"type": "tool_result", "tool_use_id": of, "content": text}]
    result = {"stdout": text} if agent is None else {"agentId": agent, "status": "completed"}
    return _claude("user", seconds, {"role": "user", "content": content},
                   toolUseResult=result, **more)  # fmt: skip


CLAUDE = [
    {"type": "summary", "summary": "what was done", "leafUuid": "u"},
    claude_user(0, "fix it"),
    claude_reply(3, "m1", (15_000, 1), text="I look", stop=None),
    claude_reply(4, "m1", (15_000, 80), uses=[("t1", "Bash"), ("t2", "Task")], prompt="find it"),
    claude_user(4.5, "find it", isSidechain=True, uuid="side"),
    claude_reply(6, "m2", (3_000, 9), text="here", isSidechain=True, parentUuid="side"),
    claude_result(5, "t1"),
    claude_result(7, "t2"),
    claude_reply(12, "m3", (15_200, 30), text="done", cached=15_080),
]
