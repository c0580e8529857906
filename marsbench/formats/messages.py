"""Chat messages as calls: what joined the context before each reply, and the reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marsbench.core.session import ToolCall
from marsbench.formats.calls import RecordedCall
from marsbench.formats.reading import ReadError, json_of

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply of the model: what came since the reply before, and what comes until the next.

    Nothing follows the last: what came after it was never sent to a model.
    """

    appended: tuple[Message, ...]
    reply: Message
    following: tuple[Message, ...]

    def call(
        self,
        tools: tuple[ToolCall, ...],
        prompt: int | None = None,
        output: int | None = None,
        drops: bool = False,
    ) -> RecordedCall:
        """With these tools behind it, and the tokens that were recorded."""
        appended = [text_of_message(message) for message in self.appended]
        return RecordedCall(
            prompt=prompt,
            output=output,
            appended=appended,
            generated=text_of_message(self.reply),
            tools=tools,
            drops=drops,
        )


def turns_of(messages: Sequence[Message]) -> list[Turn]:
    """A turn for every reply. Raises ReadError when there is none."""
    replies = [i for i, message in enumerate(messages) if message.get("role") == "assistant"]
    if not replies:
        raise ReadError("messages: holds no reply of a model (role assistant)")
    starts = [0, *(i + 1 for i in replies[:-1])]
    ends = [*replies[1:], replies[-1] + 1]
    return [
        Turn(tuple(messages[start:i]), messages[i], tuple(messages[i + 1 : end]))
        for start, i, end in zip(starts, replies, ends, strict=True)
    ]


def messages_of(value: Any) -> list[Message]:
    """A list of messages, or the JSON text of one. Raises ReadError."""
    if isinstance(value, str):
        try:
            value = json_of(value)
        except ReadError as error:
            raise ReadError(f"messages: {error}") from error
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise ReadError("messages: expected a list of objects")
    return value


def text_of_message(message: Message) -> str:
    """All that a model reads or writes of a message; the chat template's markers are not in it."""
    parts = [_text_of_content(message.get("content"))]
    parts += [_text_of_call(call.get("function")) for call in objects_of(message.get("tool_calls"))]
    output = message.get("output")  # the Responses API's: of a reply its items, of a tool its text
    parts += [output] if isinstance(output, str) else map(_text_of_item, objects_of(output))
    return "\n".join(part for part in parts if part)


def objects_of(value: Any) -> list[Mapping[str, Any]]:
    """Those of a list that are objects; none of what is no list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _text_of_call(function: Any) -> str:
    if not isinstance(function, Mapping):
        return ""
    return f"{function.get('name', '')} {function.get('arguments', '')}"


def _text_of_item(item: Mapping[str, Any]) -> str:
    if item.get("type") == "function_call":
        return _text_of_call(item)
    return _text_of_content(item.get("content"))


def system_text(messages: Sequence[Message]) -> str:
    """The system prompt, with which all sessions of an agent begin."""
    first = messages[0] if messages else {}
    return text_of_message(first) if first.get("role") == "system" else ""


def _text_of_content(content: Any) -> str:
    """Content is a text, or a list of parts of which some are texts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))
