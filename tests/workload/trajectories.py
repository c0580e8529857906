"""Small recordings of agents, made here: what the importers of trajectories read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from marsbench.formats.fallback import Fallback

BY_WORDS = Fallback(lambda text: len(text.split()), 2.0)
"""One token a word, two seconds a tool call."""

NOTHING = Fallback()


def jsonl(path: Path, *rows: Mapping[str, Any] | str) -> Path:
    path.write_text(
        "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8"
    )
    return path


def save(path: Path, record: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def at(seconds: float) -> str:
    return f"2026-01-01T10:{int(seconds) // 60:02d}:{seconds % 60:09.6f}"


# OpenHands V1: one conversation is a folder.


def event(kind: str, seconds: float, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "timestamp": at(seconds), "source": "agent", **fields}


def action(name: str, response: str, seconds: float, tool: str = "terminal") -> dict[str, Any]:
    return event(
        "ActionEvent", seconds, id=name, tool_name=tool, tool_call_id=f"call-{name}",
        llm_response_id=response, thought=[{"type": "text", "text": "let me see"}],
        tool_call={"name": tool, "arguments": "{}"},
    )  # fmt: skip


def answer(of: str, seconds: float, text: str = "done") -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return event(
        "ObservationEvent", seconds, id=f"o-{of}", action_id=of, source="environment",
        tool_call_id=f"call-{of}", observation={"content": content, "is_error": False},
    )  # fmt: skip


def user(seconds: float, text: str = "please fix it") -> dict[str, Any]:
    message = {"role": "user", "content": [{"type": "text", "text": text}]}
    return event("MessageEvent", seconds, source="user", llm_message=message)


def system(seconds: float = 0.0) -> dict[str, Any]:
    prompt = {"type": "text", "text": "you are an agent"}
    return event("SystemPromptEvent", seconds, system_prompt=prompt, tools=[{"name": "terminal"}])


def conversation(
    folder: Path, events: Sequence[Mapping[str, Any]], usage: Mapping[str, tuple[int, int]]
) -> Path:
    usages = [
        {"response_id": name, "prompt_tokens": prompt, "completion_tokens": output}
        for name, (prompt, output) in usage.items()
    ]
    stats = {"usage_to_metrics": {"agent": {"token_usages": usages, "response_latencies": []}}}
    save(folder / "base_state.json", {"id": f"conv-{folder.name}", "stats": stats})
    for number, record in enumerate(events):
        save(folder / "events" / f"event-{number:05d}-x.json", record)
    return folder


# OpenHands V0: one history is a line.


def v0_action(
    number: int, seconds: float, response: str | None, name: str = "run", **args: Any
) -> dict[str, Any]:
    metadata = {"function_name": f"execute_{name}", "model_response": {"id": response}}
    return {
        "id": number, "timestamp": at(seconds), "source": "agent", "action": name, "args": args,
        "tool_call_metadata": metadata if response else None,
    }  # fmt: skip


def v0_observation(cause: int, seconds: float, text: str = "ok") -> dict[str, Any]:
    return {
        "id": cause + 1, "timestamp": at(seconds), "source": "agent", "observation": "run",
        "content": text, "cause": cause,
    }  # fmt: skip


def v0_row(
    history: Sequence[Mapping[str, Any]], usage: Mapping[str, tuple[int, int]], name: str = "task-1"
) -> dict[str, Any]:
    usages = [
        {"response_id": r, "prompt_tokens": prompt, "completion_tokens": output}
        for r, (prompt, output) in usage.items()
    ]
    return {"instance_id": name, "history": list(history), "metrics": {"token_usages": usages}}


# mini-swe-agent and SWE-agent: chat messages.


def reply(
    text: str, seconds: float | None = None, usage: tuple[int, int] | None = None
) -> dict[str, Any]:
    extra: dict[str, Any] = {} if seconds is None else {"timestamp": seconds}
    if usage:
        numbers = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
        extra["response"] = {"usage": numbers}
    return {"role": "assistant", "content": text, **({"extra": extra} if extra else {})}


def said(role: str, text: str, seconds: float | None = None) -> dict[str, Any]:
    extra = {} if seconds is None else {"extra": {"timestamp": seconds}}
    return {"role": role, "content": text, **extra}


def step(
    action_: str, seconds: float | None = 0.5, query: Sequence[Any] | None = None
) -> dict[str, Any]:
    timed = {} if seconds is None else {"execution_time": seconds}
    asked = {} if query is None else {"query": list(query)}
    return {"action": action_, "response": "I do it", "observation": "done", **timed, **asked}
