"""The server behind a replay: it computes as long for every round as the model would have.

The request carries the tokens of the whole chat by the rule of `marsbench.tasks.tokens` and asks
for exactly as many output tokens as the recorded answer had. What the server generates is kept as
that session's history, so that the next round finds it in the prefix cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from marsbench.model.chat import SESSION_HEADER, Answer, ChatRequest, Message, RefusedError, text_of
from marsbench.tasks.tokens import token_ids

SHOWN = 300  # characters of a server's error that are passed on
BEHIND = "the server behind the replay"
WORDS = f"{BEHIND} answered "


@dataclass(slots=True)
class SessionTokens:
    """A session's tokens so far, and how many messages of its chat they stand for.

    head: the tool definitions, which stand before the chat as in every model's template.
    """

    head: list[int]
    ids: list[int] = field(default_factory=list)
    num_messages: int = 0

    def grow(self, messages: Sequence[Message]) -> None:
        """Takes in what is new. A chat that got shorter was condensed, and begins anew."""
        if len(messages) < self.num_messages or not self.ids:
            self.ids, self.num_messages = list(self.head), 0
        for message in messages[self.num_messages :]:
            self.ids += token_ids(_rendered(message))
        self.num_messages = len(messages)

    def answered(self, generated: Sequence[int]) -> None:
        """The server's own tokens stand for the answer, which is the next message of the chat."""
        self.ids += generated
        self.num_messages += 1


def _rendered(message: Message) -> str:
    """A message as one text: its role, its text, its tool calls."""
    calls = message.get("tool_calls")
    return f"<{message['role']}>{text_of(message)}{json.dumps(calls) if calls else ''}"


class BackingServer:
    """Lets a server do the work of recorded answers, through completions of exact length."""

    def __init__(self, http: aiohttp.ClientSession, url: str, model: str) -> None:
        self._http = http
        self.url = url.removesuffix("/").removesuffix("/v1")
        self._model = model
        self._contexts: dict[str, SessionTokens] = {}

    async def work(self, asked: ChatRequest, answer: Answer) -> Answer:
        """Waits until the server has computed a round of this size; returns what it counted.

        Raises RefusedError with the server's own words when it does not.
        """
        context = self._contexts.setdefault(asked.session, SessionTokens(_tools(asked)))
        context.grow(asked.messages)
        reply = await self._complete(asked, context.ids, answer)
        if answer.is_last:
            self._contexts.pop(asked.session, None)
        else:
            context.answered(_generated(reply, answer.output_tokens))
        usage = reply.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        return Answer(
            answer.content,
            answer.calls,
            int(usage.get("completion_tokens", answer.output_tokens)),
            usage.get("prompt_tokens", len(context.ids)),
            details.get("cached_tokens"),
        )

    async def _complete(self, asked: ChatRequest, ids: list[int], answer: Answer) -> dict[str, Any]:
        body = {
            "model": self._model,
            "prompt": ids,
            "max_tokens": answer.output_tokens,
            "min_tokens": answer.output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "return_token_ids": True,
            "session_id": asked.session,
            "vllm_xargs": _facts(asked, answer),
        }
        headers = {SESSION_HEADER: asked.session}
        url = f"{self.url}/v1/completions"
        reply: dict[str, Any] = await post(self._http, url, body, headers, BEHIND, WORDS)
        return reply


async def post(
    http: aiohttp.ClientSession,
    url: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    who: str,
    refused: str = "",
) -> Any:
    """The JSON that a server answers. Raises RefusedError when it does not, or with its words.

    who: answers, for the error. refused: stands before the status that it refused with.
    """
    try:
        async with http.post(url, json=body, headers=headers) as response:
            text = await response.text()
            if response.status != 200:
                what = f"{refused}{response.status}: {text[:SHOWN]}"
                raise RefusedError(502, "upstream_error", what)
            return json.loads(text)
    except (aiohttp.ClientError, ValueError) as error:
        what = f"{who} does not answer: {type(error).__name__} {error}"
        raise RefusedError(502, "upstream_gone", what) from error


def _tools(asked: ChatRequest) -> list[int]:
    return token_ids(json.dumps(asked.body.get("tools") or [], sort_keys=True))


def _facts(asked: ChatRequest, answer: Answer) -> Mapping[str, Any]:
    """What a server that parses the model's tool calls knows of a session after each round."""
    facts: dict[str, Any] = {"session_id": asked.session, "marsbench_round": asked.round}
    if answer.is_last:
        facts["marsbench_last"] = 1
    else:
        facts["marsbench_tools"] = ",".join(call.name for call in answer.calls)
    return facts


def _generated(reply: Mapping[str, Any], num_tokens: int) -> list[int]:
    """The ids that were generated; a server that does not say them costs a few cache misses."""
    choice = (reply.get("choices") or [{}])[0]
    ids = choice.get("token_ids")
    return list(ids) if ids else token_ids(" " * 4 * num_tokens)
