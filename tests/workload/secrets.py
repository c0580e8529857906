"""Recordings of every format that are full of names, each of which contains "zorro"."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from metrics.story import a_round, a_session
from workload.builders import request, subagent, trace, write_trace
from workload.logs import (
    ATIF,
    GEMINI,
    RUNNER,
    TRACELAB,
    aiperf,
    claude_reply,
    claude_result,
    claude_user,
    codex_answers,
    codex_asks,
    codex_count,
    codex_meta,
    codex_said,
    dynamo,
    dynamo_request,
    gemini,
    inputs,
    observed,
    otel_call,
    otel_tool,
    otlp,
    payload,
)
from workload.test_import_cli import AZURE
from workload.test_request_tables import BURSTGPT
from workload.trajectories import (
    answer,
    conversation,
    event,
    jsonl,
    reply,
    said,
    save,
    step,
    user,
)


def tokenizer(folder: Path) -> Path:
    """One token a word."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    path = folder / "tokenizer.json"
    words.save(str(path))
    return path


_OF_TEXTS = (
    "sweagent",
    "miniswe",
    "openhands",
    "hf",
    "atif",
    "sharegpt",
    "tau-bench",
    "aiperf",
)


SHAPES = ("aiperf inputs", "tracelab runner")
"""Others of a format, beside that which its own name stands for."""


def recording(kind: str, folder: Path) -> tuple[Path, list[object]]:
    """A file or folder of this kind, and the options that it needs."""
    folder.mkdir()
    made: dict[str, Any] = {
        "weka": _weka, "openhands": _openhands, "sweagent": _sweagent, "miniswe": _miniswe,
        "mooncake": _mooncake, "azure": _azure, "run": _run, "hf": _hf,
        "claude-code": _claude_code, "codex": _codex, "gemini-cli": _gemini,
        "otel": _otel, "langfuse": _langfuse,
        "aiperf": _aiperf, "burstgpt": _burstgpt, "tracelab": _tracelab,
        "aiperf inputs": _inputs, "tracelab runner": _runner,
        "atif": _atif, "dynamo-trace": _dynamo, "sharegpt": _sharegpt, "tau-bench": _taubench,
    }  # fmt: skip
    options: list[object] = []
    if kind.split()[0] in _OF_TEXTS:
        options = ["--tokenizer", tokenizer(folder), "--tool-time", 2]
    return made[kind](folder), options


def _weka(folder: Path) -> Path:
    agent = subagent(5.0, 3.0, request(2, 70, 5, [9]))
    record = trace(request(0, 130, 20, [1, 2]), agent, request(9, 300, 5, [1, 2, 3]), id="zorro-7")
    return write_trace(folder, record, "zorro.json")


def _openhands(folder: Path) -> Path:
    action = event(
        "ActionEvent", 5, id="a", tool_name="zorro_search", tool_call_id="call-a",
        llm_response_id="r1", thought=[{"type": "text", "text": "Zorro at /data/zorro"}],
    )  # fmt: skip
    last = event("ActionEvent", 9, id="b", tool_name="finish", llm_response_id="r2")
    talk = [user(1, "I am Zorro"), action, answer("a", 6.5, "/data/zorro"), last]
    return conversation(folder / "zorro", talk, {"r1": (100, 10), "r2": (130, 5)})


_MESSAGES = [
    said("system", "you are Zorro's agent"),
    said("user", "look into /data/zorro"),
    reply("I look"),
    said("tool", "Ünïque"),
    reply("done"),
]


def _sweagent(folder: Path) -> Path:
    record = {"trajectory": [step("/data/zorro/bin/x -v"), step("ls")], "history": _MESSAGES}
    return save(folder / "zorro.traj", record)


def _miniswe(folder: Path) -> Path:
    record = {"messages": _MESSAGES, "instance_id": "zorro__1", "info": {}}
    return save(folder / "zorro.traj.json", record)


def _mooncake(folder: Path) -> Path:
    row = {"input_length": 900, "output_length": 5, "hash_ids": [1, 2]}
    rows = [
        {**row, "session_id": "zorro", "request_id": "zorro-a", "timestamp": 0},
        {**row, "session_id": "zorro", "request_id": "b", "wait_for": ["zorro-a"],
         "input_length": 1000, "tool_wait_ms": 9.0,
         "tool_events": [{"tool_class": "mcp__zorro", "duration_ms": 9.0}]},
        {**row, "session_id": "Ünïque", "timestamp": 5},
    ]  # fmt: skip
    return jsonl(folder / "zorro.jsonl", *rows)


def _azure(folder: Path) -> Path:
    path = folder / "zorro.csv.gz"
    path.write_bytes(gzip.compress(AZURE.encode()))
    return path


def _run(folder: Path) -> Path:
    from workload.test_recorded_run import played

    rounds = a_round("zorro", 0, ready=3, first=4, end=5)
    return played(folder, a_session("zorro", 3, 9, rounds=rounds, tenant="Zorro")).path


def _hf(folder: Path) -> Path:
    row = {"messages": json.dumps(_MESSAGES), "instance_id": "zorro", "traj_id": "zorro.1"}
    return jsonl(folder / "rows.jsonl", row)


def _claude_code(folder: Path) -> Path:
    lines = [
        claude_user(0, "I am Zorro, look into /srv/zorro"),
        claude_reply(3, "m1", (900, 20), uses=[("t1", "mcp__zorro__find")], cwd="/srv/zorro"),
        claude_result(5, "t1", "Ünïque"),
        claude_reply(9, "m2", (990, 5), text="done, Zorro"),
    ]
    return jsonl(folder / "zorro.jsonl", *lines)


def _codex(folder: Path) -> Path:
    lines = [
        codex_meta(source="zorro"), codex_said(1, "I am Zorro"),
        codex_asks(5, "zorro", "mcp__zorro"),
        codex_count(6, (900, 8), 908), codex_answers(7, "zorro"), codex_asks(9, "x"),
        codex_count(9, (990, 8), 1_906),
    ]  # fmt: skip
    return jsonl(folder / "zorro.jsonl", *lines)


def _gemini(folder: Path) -> Path:
    usage = {"input": 90, "output": 8, "cached": 0, "total": 98}
    messages = [gemini("1", 5, usage, [("Zorro", 6)]), gemini("2", 9, {**usage, "input": 120})]
    return save(folder / "z.json", {**GEMINI, "projectHash": "zorro", "messages": messages})


def _otel(folder: Path) -> Path:
    spans = [
        otel_call("a", 1, 3, (90, 8), gen_ai__conversation__id="zorro"), otel_tool("Zorro", 3, 4),
        otel_call("b", 5, 6, (120, 8), server__address="/srv/zorro"),
    ]  # fmt: skip
    return save(folder / "z.json", otlp(*spans))


def _langfuse(folder: Path) -> Path:
    calls = [
        observed(name, "GENERATION", at, at + 1, {"input": 90 + at, "output": 5}, userId="Zorro")
        for name, at in (("a", 1), ("b", 5))
    ]
    return jsonl(folder / "z.jsonl", {**calls[0], "sessionId": "zorro"},
                 observed("/srv/zorro", "TOOL", 2, 3), calls[1])  # fmt: skip


def _atif(folder: Path) -> Path:
    return save(folder / "z.json", {**ATIF, "session_id": "zorro", "extra": "/srv/zorro"})


def _sharegpt(folder: Path) -> Path:
    said_ = [{"from": who, "value": "I am Zorro"} for who in ("human", "gpt", "human", "gpt")]
    return save(folder / "z.json", [{"id": "zorro", "conversations": said_}])


def _taubench(folder: Path) -> Path:
    tool = {"role": "tool", "name": "find_zorro", "content": "Ünïque"}
    traj = [*_MESSAGES[:3], tool, *_MESSAGES[4:]]
    return save(folder / "z.json", [{"task_id": "zorro", "trial": 0, "traj": traj}])


def _dynamo(folder: Path) -> Path:
    tool = {"tool_call_id": "zorro", "tool_class": "Zorro", "duration_ms": 9.0}
    lines = [
        dynamo_request("zorro", 0, 1, 200),
        dynamo("tool_end", tool=tool, event_time_unix_ms=1_767_607_202_000),
        dynamo_request("b", 4, 1, 400),
    ]
    text = json.dumps(lines).replace("run:root", "zorro:root")
    return jsonl(folder / "z.jsonl", *json.loads(text))


def _aiperf(folder: Path) -> Path:
    rows = [aiperf(["user I am Zorro"], 5), aiperf(["user I am Zorro", "tool Ünïque"], 5, delay=9)]
    return jsonl(folder / "z.jsonl", *({**row, "session_id": "zorro"} for row in rows))


def _inputs(folder: Path) -> Path:
    sent = [payload("user I am Zorro", user="zorro", max_tokens=9), payload("user Ünïque")]
    return save(folder / "z.json", inputs(("zorro", [sent[0], {**sent[1], "max_tokens": 9}])))


def _runner(folder: Path) -> Path:
    path = folder / "zorro.csv"
    path.write_text(RUNNER.replace("l1", "zorro"))
    return path


def _burstgpt(folder: Path) -> Path:
    path = folder / "zorro.csv"
    path.write_text(BURSTGPT.replace("s1", "zorro-1").replace(",10,0,10,", ",10,5,15,"))
    return path


def _tracelab(folder: Path) -> Path:
    text = json.dumps(TRACELAB).replace("claude:l1", "zorro").replace("WebSearch", "mcp__zorro")
    return jsonl(folder / "z.jsonl", *json.loads(text))
