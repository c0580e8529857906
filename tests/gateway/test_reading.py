"""What an answer says is read as it passes, in three APIs, whole and in pieces of any size."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marsbench.gateway.messages import Said
from marsbench.gateway.reading import (
    LONGEST,
    AnswerReader,
    EndReader,
    ReadAnswer,
    WhatWasSaid,
    read_chat,
    read_messages,
    read_responses,
)

STREAM, JSON = "text/event-stream; charset=utf-8", "application/json"
HI = Said.of(texts=["hi there"])
CALL = Said.of(["c1"])


def events(*told: dict[str, Any]) -> bytes:
    lines = [f"event: x\r\ndata: {json.dumps(one)}\r\n\r\n" for one in told]
    return "".join([*lines, ": a note\n\n", "data: [DONE]\n\n"]).encode()


def choice(reason: str | None, **delta: Any) -> dict[str, Any]:
    return {"id": "x", "choices": [{"delta": delta, "finish_reason": reason}]}


ANSWERS: list[tuple[ReadAnswer, str, bytes, WhatWasSaid]] = [
    (
        read_chat,
        STREAM,
        events(
            choice(None, role="assistant", content=" hi"),
            choice(None, content=" there "),
            choice("stop"),
            {"id": "x", "choices": [], "usage": {}},
        ),
        WhatWasSaid("x", HI, True),
    ),
    (
        read_chat,
        STREAM,
        events(
            choice(None, tool_calls=[{"id": "c1", "function": {"name": "f"}}]),
            choice(None, tool_calls=[{"function": {"arguments": "{}"}}]),
            choice("stop"),  # so vLLM ends an answer with a forced call
        ),
        WhatWasSaid("x", CALL, False),
    ),
    (
        read_chat,
        JSON,
        json.dumps(
            {
                "id": "x",
                "choices": [{"message": {"content": "hi there"}, "finish_reason": "length"}],
            }
        ).encode(),
        WhatWasSaid("x", HI, False),
    ),
    (
        read_messages,
        STREAM,
        events(
            {"type": "message_start", "message": {"id": "x", "type": "message", "content": []}},
            {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hi there"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        ),
        WhatWasSaid("x", HI, True),
    ),
    (
        read_messages,
        JSON,
        b'{"id":"x","content":[{"type":"tool_use","id":"c1","input":{}}],"stop_reason":"tool_use"}',
        WhatWasSaid("x", CALL, False),
    ),
    (
        read_responses,
        STREAM,
        events(
            {"type": "response.created", "response": {"id": "x", "status": "in_progress"}},
            {"type": "response.output_text.delta", "delta": "hi"},
            {
                "type": "response.completed",
                "response": {
                    "id": "x",
                    "status": "completed",
                    "output": [
                        {"type": "reasoning", "content": [{"type": "text", "text": "hm"}]},
                        {
                            "type": "message",
                            "content": [{"type": "output_text", "text": "hi there"}],
                        },
                    ],
                },
            },
        ),
        WhatWasSaid("x", HI, True),
    ),
    (
        read_responses,
        JSON,
        b'{"id":"x","status":"completed","output":[{"type":"function_call","call_id":"c1"}]}',
        WhatWasSaid("x", CALL, False),
    ),
]


@pytest.mark.parametrize(("dialect", "kind", "content", "what"), ANSWERS)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_answer_is_read(
    dialect: ReadAnswer, kind: str, content: bytes, what: WhatWasSaid, size: int
) -> None:
    reader = AnswerReader(dialect, kind, "")
    for start in range(0, len(content), size):
        reader.feed(content[start : start + size])
    assert reader.result() == what


@pytest.mark.parametrize(
    ("kind", "encoding", "content"),
    [
        (JSON, "gzip", b"{}"),
        (JSON, "", b"hello"),
        (JSON, "", b"[]"),
        (STREAM, "", b"data: {broken\n\n"),
        (JSON, "", b" " * (LONGEST + 1) + b"{}"),
    ],
)
def test_what_cannot_be_read_tells_nothing(kind: str, encoding: str, content: bytes) -> None:
    reader = AnswerReader(read_chat, kind, encoding)
    reader.feed(content)
    assert reader.result() is None


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("kind", "encoding", "content", "is_whole"),
    [
        (STREAM, "", b"data: {broken\n\ndata: [DONE]\n\n", True),
        (STREAM, "", b"data: {}\n\ndata:[DONE]\r\n\r\n", True),
        (STREAM, "", b'data: {"text": "data: [DONE]"}\n\n', False),
        (STREAM, "gzip", b"data: [DONE]\n\n", False),
        (JSON, "", b"data: [DONE]\n\n", False),
    ],
)
def test_a_stream_is_whole_at_its_final_event_whatever_could_be_read(
    kind: str, encoding: str, content: bytes, is_whole: bool, size: int
) -> None:
    for reader in (AnswerReader(read_chat, kind, encoding), EndReader(kind, encoding)):
        for start in range(0, len(content), size):
            reader.feed(content[start : start + size])
        assert reader.is_whole == is_whole
