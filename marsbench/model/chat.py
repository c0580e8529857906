"""The OpenAI chat interface, as much of it as agents use: what was asked, what is answered."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marsbench import clock
from marsbench.tasks.tokens import count_tokens

Message = Mapping[str, Any]
SESSION_HEADER, TASK_HEADER = "X-Session-ID", "X-Task-ID"
FINISH = "finish"


class RefusedError(Exception):
    """A request that is answered with an error instead; `code` names why for a program."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request. The round is the number of answers that its history holds."""

    session: str
    task: str
    messages: Sequence[Message]
    body: Mapping[str, Any]

    @property
    def num_prompt_tokens(self) -> int:
        """Of the messages, by the rule of `marsbench.tasks.tokens`."""
        return sum(count_tokens(text_of(message)) for message in self.messages)

    @property
    def round(self) -> int:
        return sum(message["role"] == "assistant" for message in self.messages)


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A tool call of an answer."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says in one round; tokens None where nobody counted them."""

    content: str
    calls: tuple[FunctionCall, ...]
    output_tokens: int
    prompt_tokens: int | None = None
    cached_tokens: int | None = None

    @property
    def is_last(self) -> bool:
        """Whether the agent ends after it: it finishes, or calls no tool."""
        return not self.calls or any(call.name == FINISH for call in self.calls)


def read_request(headers: Mapping[str, str], body: Any) -> ChatRequest:
    """The request as sent. Raises RefusedError when it is no chat request or names no task."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise RefusedError(400, "bad_request", "a chat request has a list of messages")
    session = headers.get(SESSION_HEADER) or body.get("session_id")
    task = headers.get(TASK_HEADER)
    if not session or not task:
        missing = TASK_HEADER if session else f"{SESSION_HEADER}, nor a session_id"
        raise RefusedError(400, "no_task", f"the request has no {missing}")
    return ChatRequest(str(session), task, body["messages"], body)


def text_of(message: Message) -> str:
    """A message's text, whether it is one text or a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""


@dataclass(slots=True)
class Completion:
    """An answer as an OpenAI chat completion, whole or as a stream."""

    answer: Answer
    model: str
    num_prompt_tokens: int
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")

    def whole(self) -> dict[str, Any]:
        """The body of a response that is not streamed."""
        message = {"role": "assistant", "content": self.answer.content, "tool_calls": self._calls()}
        choice = {"index": 0, "message": message, "finish_reason": self._why_finished()}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage()}

    def stream(self) -> Iterator[bytes]:
        """The lines of a server-sent stream: role, text, each tool call, the end, the usage."""
        calls = [{"index": n, **call} for n, call in enumerate(self._calls())]
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": self.answer.content}]
        deltas += [{"tool_calls": [call]} for call in calls]
        for delta in deltas:
            yield self._chunk([{"index": 0, "delta": delta, "finish_reason": None}])
        yield self._chunk([{"index": 0, "delta": {}, "finish_reason": self._why_finished()}])
        yield self._chunk([], usage=self._usage())
        yield b"data: [DONE]\n\n"

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {**self._head("chat.completion.chunk"), "choices": choices, **more}
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": int(clock.unix()), "model": self.model}

    def _calls(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"call_{self.id[-12:]}_{number}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for number, call in enumerate(self.answer.calls)
        ]

    def _why_finished(self) -> str:
        return "tool_calls" if self.answer.calls else "stop"

    def _usage(self) -> dict[str, Any]:
        prompt, output = self.num_prompt_tokens, self.answer.output_tokens
        usage: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
        }
        if self.answer.cached_tokens is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": self.answer.cached_tokens}
        return usage


def answer_of(completion: Mapping[str, Any]) -> Answer:
    """The answer in a completion that is not streamed. Raises RefusedError when there is none."""
    try:
        message = completion["choices"][0]["message"]
        usage = completion.get("usage") or {}
        calls = [call["function"] for call in message.get("tool_calls") or []]
        return Answer(
            content=text_of(message),
            calls=tuple(
                FunctionCall(call["name"], json.loads(call["arguments"])) for call in calls
            ),
            output_tokens=int(usage["completion_tokens"]),
            prompt_tokens=usage.get("prompt_tokens"),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        what = f"the model's answer cannot be read: {type(error).__name__} {error}"
        raise RefusedError(502, "bad_answer", what) from error
