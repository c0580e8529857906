"""Small logs of agents and tracers, made here: a line or record at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any


def iso(seconds: float) -> str:
    minute = datetime(2026, 1, 5, 10) + timedelta(minutes=int(seconds) // 60)
    return f"{minute:%Y-%m-%dT%H:%M}:{seconds % 60:06.3f}Z"


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

# Codex: items of a reply, and its usage behind them.


def codex(seconds: float, kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": iso(seconds), "type": kind, "payload": payload}


def codex_meta(seconds: float = 0.0, **more: Any) -> dict[str, Any]:
    return codex(seconds, "session_meta", id="c1", cwd="/srv/x", cli_version="0.60.0", **more)


def codex_said(seconds: float, text: str, role: str = "user") -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return codex(seconds, "response_item", type="message", role=role, content=content)


def codex_asks(seconds: float, call: str, name: str = "shell") -> dict[str, Any]:
    return codex(seconds, "response_item", type="function_call", name=name, arguments="{}",
                 call_id=call)  # fmt: skip


def codex_answers(seconds: float, call: str) -> dict[str, Any]:
    return codex(seconds, "response_item", type="function_call_output", call_id=call, output="ok")


def codex_count(
    seconds: float, usage: tuple[int, int], total: int, cached: int = 0, reasoning: int = 0
) -> dict[str, Any]:
    last = {
        "input_tokens": usage[0], "cached_input_tokens": cached, "output_tokens": usage[1],
        "reasoning_output_tokens": reasoning, "total_tokens": sum(usage),
    }  # fmt: skip
    info = {"last_token_usage": last, "total_token_usage": {"total_tokens": total}}
    return codex(seconds, "event_msg", type="token_count", info=info, rate_limits=None)


CODEX = [
    codex_meta(), codex_said(1, "fix it"), codex_asks(5, "k1"),
    codex_asks(5.5, "k2", "apply_patch"),
    codex_count(6, (9_000, 80), 9_080, reasoning=20), codex_answers(8, "k1"),
    codex_answers(9, "k2"), codex_said(12, "done", "assistant"),
    codex_count(13, (9_300, 40), 18_420, cached=9_000), codex_said(73, "and that"),
    codex_said(80, "yes", "assistant"), codex_count(80, (9_400, 9), 27_829, cached=9_300),
]  # fmt: skip

# Gemini CLI: a message a reply, with its tools in it.


def gemini(
    name: str, seconds: float, usage: dict[str, int] | None = None, tools: Sequence[Any] = ()
) -> dict[str, Any]:
    calls = [{"id": n, "name": n, "args": {}, "timestamp": iso(at)} for n, at in tools]
    return {"id": name, "timestamp": iso(seconds), "type": "gemini", "content": "ok",
            "toolCalls": calls, "tokens": usage}  # fmt: skip


def gemini_user(name: str, seconds: float) -> dict[str, Any]:
    return {"id": name, "timestamp": iso(seconds), "type": "user", "content": [{"text": "fix"}]}


GEMINI = {
    "sessionId": "g1", "projectHash": "x", "startTime": iso(0), "lastUpdated": iso(60),
    "messages": [
        gemini_user("1", 0),
        gemini("2", 5, {"input": 9_000, "output": 80, "cached": 0, "thoughts": 10, "tool": 0,
                        "total": 9_090}, [("read_file", 6), ("glob", 9)]),
        gemini("3", 15, {"input": 9_200, "output": 30, "cached": 9_000, "total": 9_230}),
    ],
}  # fmt: skip

# OpenTelemetry and Langfuse: a span a call or a tool.


def otel_span(
    name: str, began: float, ended: float, parent: str = "", trace: str = "t1", **about: Any
) -> dict[str, Any]:
    """about: attributes, with two underscores for a dot."""
    values = {
        key.replace("__", "."): {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}
        for key, v in about.items()
    }
    times = {
        key: str(round((EPOCH_S + at) * 1e3) * 10**6)
        for key, at in (("startTimeUnixNano", began), ("endTimeUnixNano", ended))
    }
    attributes = [{"key": key, "value": value} for key, value in values.items()]
    return {"traceId": trace, "spanId": name, "parentSpanId": parent, "name": name,
            "attributes": attributes, **times}  # fmt: skip


def otel_call(
    name: str, began: float, ended: float, usage: tuple[int, int], parent: str = "", **about: Any
) -> dict[str, Any]:
    return otel_span(
        name, began, ended, parent, gen_ai__operation__name="chat",
        gen_ai__usage__input_tokens=usage[0], gen_ai__usage__output_tokens=usage[1], **about,
    )  # fmt: skip


def otel_tool(
    name: str, began: float, ended: float, parent: str = "", **about: Any
) -> dict[str, Any]:
    return otel_span(name, began, ended, parent, gen_ai__operation__name="execute_tool",
                     gen_ai__tool__name=name, **about)  # fmt: skip


def otlp(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": spans}]}]}


OTEL = otlp(
    otel_span("run", 0, 30, gen_ai__operation__name="invoke_agent", gen_ai__usage__input_tokens=9),
    otel_call("a", 1, 3, (900, 20), "run"), otel_tool("search", 3.1, 5, "run"),
    otel_tool("delegate", 3.1, 9, "run"), otel_call("b", 4, 5, (300, 5), "delegate"),
    otel_tool("ls", 5, 6, "delegate"), otel_call("c", 7, 8, (320, 5), "delegate"),
    otel_call("d", 10, 12, (1_000, 30), "run"), otel_call("e", 72, 75, (1_100, 7), "run"),
)  # fmt: skip


def observed(
    name: str, kind: str, began: float, ended: float, details: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:  # fmt: skip
    return {"id": name, "traceId": "t1", "type": kind, "name": name, "startTime": iso(began),
            "endTime": iso(ended), "usageDetails": details, **more}  # fmt: skip


LANGFUSE = [
    observed("run", "AGENT", 0, 20, sessionId="s1"),
    observed("a", "GENERATION", 1, 3, {"input": 100, "cache_read_input_tokens": 800, "output": 15,
                                       "output_reasoning_tokens": 5, "total": 920}),
    observed("bash", "TOOL", 3, 6),
    observed("b", "GENERATION", 7, 9, {"input": 1_000, "output": 9}),
]  # fmt: skip

# ATIF: a step a call.


def atif_step(
    usage: tuple[int, int, int], *tools: tuple[str, str], ref: str | None = None
) -> dict[str, Any]:
    """usage: tokens of the prompt, the output, and of the prompt those that were cached."""
    calls = [{"tool_call_id": i, "function_name": n, "arguments": {}} for i, n in tools]
    refs = {} if ref is None else {"subagent_trajectory_ref": [{"trajectory_id": ref}]}
    results = [{"source_call_id": i, "content": "ok", **refs} for i, _ in tools]
    numbers = dict(zip(("prompt_tokens", "completion_tokens", "cached_tokens"), usage, strict=True))
    return {"source": "agent", "message": "so", "tool_calls": calls, "metrics": numbers,
            "observation": {"results": results}, "timestamp": iso(usage[0] / 100)}  # fmt: skip


ATIF = {
    "schema_version": "ATIF-v1.7", "session_id": "a1",
    "agent": {"name": "terminus-2", "version": "1.0"},
    "steps": [
        {"step_id": 1, "source": "user", "message": "fix it", "timestamp": iso(0)},
        atif_step((1_000, 20, 0), ("t1", "bash"), ("t2", "bash")),
        atif_step((1_100, 30, 900), ("t3", "delegate"), ref="sub"), atif_step((1_200, 9, 1_100)),
    ],
    "subagent_trajectories": [
        {"trajectory_id": "sub", "agent": {}, "steps": [atif_step((300, 5, 0))]},
    ],
}  # fmt: skip

# Texts alone.

SHAREGPT = [
    {"id": f"x_{n}", "conversations": [
        {"from": "human", "value": "hi there"}, {"from": "gpt", "value": "hello you two"},
        {"from": "human", "value": "who am I"}, {"from": "gpt", "value": "nobody"},
    ]} for n in range(2)
]  # fmt: skip
TAUBENCH = [
    {"task_id": 3, "trial": n, "reward": 1.0, "info": {}, "traj": [
        {"role": "system", "content": "be kind to people"}, {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "find", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "name": "find", "content": "none found"},
        {"role": "assistant", "content": "nothing"}, {"role": "user", "content": "then bye"},
        {"role": "assistant", "content": "bye"},
    ]} for n in range(2)
]  # fmt: skip

# Dynamo: a line a request that ended.


def dynamo(kind: str, **event: Any) -> dict[str, Any]:
    context = {"session_id": "run", "trajectory_id": "run:root"}
    about = {"schema": "dynamo.agent.trace.v1", "event_type": kind, "agent_context": context}
    return {"timestamp": 0, "event": {**about, **event}}


def dynamo_request(
    name: str, began: float, took: float, prompt: int, **more: Any
) -> dict[str, Any]:
    request = {
        "request_id": name, "input_tokens": prompt, "output_tokens": 100,
        "request_received_ms": round((EPOCH_S + began) * 1000), "total_time_ms": took * 1000,
        **more,
    }  # fmt: skip
    return dynamo("request_end", request=request)


DYNAMO = [
    dynamo_request("a", 0, 1, 2_000),
    dynamo("tool_end", tool={"tool_call_id": "t", "tool_class": "bash", "duration_ms": 1_500.0},
           event_time_unix_ms=round((EPOCH_S + 2.75) * 1000)),
    dynamo_request("b", 4, 2, 2_200, cached_tokens=1_984),
]  # fmt: skip

# AIPerf: a line a request, with all its messages.


def aiperf(messages: Sequence[str], output: int | None, **more: Any) -> dict[str, Any]:
    """messages: "role text" each."""
    said = [dict(zip(("role", "content"), one.split(" ", 1), strict=True)) for one in messages]
    return {"session_id": "p1", "messages": said, "output_length": output, **more}


AIPERF = [
    aiperf(["system be good now", "user fix it"], 50, timestamp=500,
           tools=[{"type": "function", "function": {"name": "ls"}}]),
    aiperf(["system be good now", "user fix it", "assistant I look", "tool a b c"], 9, delay=1_500,
           tools=[{"type": "function", "function": {"name": "ls"}}]),
    {"session_id": "p2", "turns": [{"text": "hi there", "output_length": 3, "timestamp": 9},
                                   {"texts": ["and", "now"], "output_length": 4, "delay": 250}]},
    {"text_input": "who are you", "output_length": 7, "timestamp": 4_000},
]  # fmt: skip

# AIPerf's inputs.json: the requests of its sessions, as they were sent.


def payload(*messages: str, **more: Any) -> dict[str, Any]:
    """messages: "role text" each."""
    return {"messages": aiperf(messages, None)["messages"], "model": "m", **more}


def inputs(*sessions: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {"data": [{"session_id": name, "payloads": sent} for name, sent in sessions]}


INPUTS = inputs(
    ("i1", [payload("system be good", "user fix it", max_tokens=64),
            payload("system be good", "user fix it", "assistant I look", "user go on",
                    max_tokens=64)]),
    ("i2", [payload("user hi there", max_completion_tokens=9, min_tokens=9),
            payload("user and now", max_completion_tokens=9, min_tokens=9)]),
    ("i3", [{"input": "who are you", "instructions": "be good", "max_output_tokens": 8}]),
)  # fmt: skip

# TraceLab: a line a call, with the events in it and the tools behind it.


def tracelab(
    index: int,
    usage: tuple[int, int, int],
    events: Sequence[tuple[str, float]],
    *tools: tuple[str, float, float],
    **more: Any,
) -> dict[str, Any]:
    """usage: tokens of the prompt, of it those that were cached, and of the output."""
    return {
        "provider": "claude", "session_id": "claude:l1", "round_index": index,
        "round_id": f"m{index}", "model": "x", "input_tokens_total": usage[0],
        "prefix_tokens": usage[1], "newly_append_tokens": usage[0] - usage[1],
        "output_tokens": usage[2], "reasoning_output_tokens": None,
        "timing_events": [{"event_type": kind, "timestamp": iso(at)} for kind, at in events],
        "tools": [
            {"tool_name": name, "emitted_at": iso(asked), "result_at": iso(answered),
             "tool_wall_latency_ms": round((answered - asked) * 1000)}
            for name, asked, answered in tools
        ], **more,
    }  # fmt: skip


TRACELAB = [
    tracelab(0, (9_000, 0, 80), [("user_message", 1), ("text", 4), ("tool_call", 5)],
             ("Bash", 5, 7), ("WebSearch", 4.5, 12)),
    tracelab(1, (9_300, 9_000, 40), [("tool_result", 7), ("tool_result", 12), ("text", 15)]),
    tracelab(2, (9_400, 9_300, 9), [("user_message", 75), ("text", 80)]),
]  # fmt: skip

# What TraceLab's runner replays: a row a round.

RUNNER = """session_id,arrival_time,round_idx,prefix_len,input_len,output_len,tool_wait_after_ms
l1,0,0,0,512,64,100
l1,0,1,576,128,50,80.5
l2,200,0,0,400,48,0
l1,0,2,754,40,9,0
"""

# R2E-Gym: a step a call, and one tool.


def r2e_step(
    action: str, usage: tuple[int, int], llm_s: float, tool_s: float, total_s: float
) -> Any:
    return {
        "action": f"<function={action}></function>", "thought": "so", "observation": "ok",
        "token_usage_prompt": usage[0], "token_usage_completion": usage[1],
        "llm_exec_time": llm_s, "env_exec_time": tool_s, "total_time_traj": total_s,
    }  # fmt: skip


R2E = {
    "exp_name": "e1", "docker_image": "namanjain/x:1", "problem_statement": "fix it",
    "trajectory_steps": [
        r2e_step("search", (1_000, 20), 3, 0.5, 3.5), r2e_step("finish", (1_100, 9), 2, 0.1, 5.6),
    ],
}  # fmt: skip
NEBIUS = {
    "instance_id": "n1", "model_name": "x", "target": False, "exit_status": "submitted",
    "trajectory": [
        {"role": "system", "system_prompt": "you are an agent", "text": None, "mask": False},
        {"role": "user", "system_prompt": None, "text": "fix it", "mask": False},
        {"role": "ai", "system_prompt": None, "text": "I look", "mask": False},
        {"role": "user", "system_prompt": None, "text": "a.py b.py", "mask": False},
        {"role": "ai", "system_prompt": None, "text": "done", "mask": False},
    ],
}  # fmt: skip
