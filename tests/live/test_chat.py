"""Chat completions: prompts of the exact length inside a template, and streams of deltas."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from aiohttp import web
from hypothesis import given, settings

from live.test_prompts import BYTES, sessions, text_of
from live.world import CHAT as AS_CHAT
from live.world import HEAD, TAIL, TOKENIZES, Call, a_session, play, send, serving
from marsbench.core.events import GpuFirstToken, PromptCached
from marsbench.core.session import Cut, Round, Session
from marsbench.errors import UsageError
from marsbench.wall.live.chat import CHAT, ChatContext, Template
from marsbench.wall.live.stream import read_answer
from marsbench.wall.live.template import measure
from marsbench.wall.server import Server
from marsbench.wall.wire import Exchange

TEMPLATE = Template(8, 3, "tokenize")
ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
TOKEN = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'
END = b"data: [DONE]\n\n"


def event(delta: str, more: str = "") -> bytes:
    return f'data: {{"choices":[{{"delta":{delta}{more}}}]}}\n\n'.encode()


# --- the stream


def test_every_event_with_something_written_is_a_token() -> None:
    tokens = [
        event('{"reasoning_content": "hm"}'),
        event('{"reasoning": "so", "content": null}'),
        event('{"content":"a"}', ',"finish_reason":null'),
        event('{"tool_calls":[{"index":0,"function":{"name":"ls"}}]}'),
    ]
    last = event("{}", ',"finish_reason":"stop"')
    usage = (
        b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,'
        b'"prompt_tokens_details":{"cached_tokens":8}}}\n\n'
    )
    body = ROLE + b"".join(tokens) + last + usage + END
    answer = read_answer(body)
    begins = [len(ROLE) + len(b"".join(tokens[:n])) for n in range(4)]
    assert (answer.offsets, answer.counts, answer.output_tokens) == (begins, [1] * 4, 4)
    assert (answer.prompt_tokens, answer.cached_tokens) == (9, 8)
    assert all(CHAT.holds_token(token) for token in tokens)


def test_vllms_token_ids_count_a_token_that_is_no_text_yet() -> None:
    empty = event('{"content":""}', ',"token_ids":[7,8]')
    assert read_answer(ROLE + empty + END).counts == [2]
    assert CHAT.holds_token(empty)


@pytest.mark.parametrize(
    "data",
    [
        ROLE,
        ROLE.replace(b'""', b"null"),
        ROLE.replace(b"}\n", b',"prompt_token_ids":[1,2]}\n'),
        event('{"content": "", "tool_calls": [], "reasoning": null}'),
        event("{}", ',"finish_reason":"stop"'),
        b'data: {"error":{"message":"dead"}}\n\n',
        END,
    ],
)
def test_an_event_without_a_token_is_not_the_first_one(data: bytes) -> None:
    assert not CHAT.holds_token(data)


def test_the_first_token_is_seen_wherever_its_event_is_cut() -> None:
    """Never in the role's event; in whichever piece its first letter comes."""
    raw = ROLE + TOKEN
    written = raw.index(b'"a"') + len(b'"a')
    for cut in range(1, len(raw)):
        seen: list[float] = []
        exchange = Exchange(lambda _: None, seen.append, CHAT.holds_token)
        for at, upto in ((1.0, cut), (2.0, len(raw))):
            begin = 0 if at == 1.0 else cut
            exchange.received(at, raw[begin:upto], SimpleNamespace(total_bytes=upto))  # type: ignore[arg-type]
        assert seen == [1.0 if cut >= written else 2.0]


# --- prompts


@settings(max_examples=25)
@given(sessions)
def test_with_the_template_every_prompt_has_its_length(session: Session) -> None:
    context = ChatContext(session, BYTES, TEMPLATE)
    for prompt in session.prompts():
        length = TEMPLATE.tokens + len(text_of(context, prompt))
        assert length == max(prompt.num_tokens, TEMPLATE.tokens + 1)
        asyncio.run(context.answered(None, "whatever", prompt))


def test_text_grows_at_its_end_only() -> None:
    session = a_session("s", rounds=3)
    context = ChatContext(session, BYTES, TEMPLATE)
    texts = [text_of(context, prompt) for prompt in session.prompts()]
    assert all(after.startswith(before) for before, after in pairwise(texts))


def test_the_shared_prefix_ends_where_the_workload_says_template_and_all() -> None:
    a, b = (Session(n, (Round(60, 1),), prefix_group="g", prefix_tokens=30) for n in "ab")
    one, two = (text_of(ChatContext(s, BYTES, TEMPLATE), next(s.prompts())) for s in (a, b))
    alike = next(n for n, (x, y) in enumerate(zip(one, two, strict=True)) if x != y)
    assert TEMPLATE.begin + alike == 30


def test_a_cut_into_the_template_keeps_the_length() -> None:
    session = Session("s", (Round(20, 1), Round(20, 1, cut=Cut(1, 1))))
    context = ChatContext(session, BYTES, TEMPLATE)
    found = [TEMPLATE.tokens + len(text_of(context, prompt)) for prompt in session.prompts()]
    assert found == [prompt.num_tokens for prompt in session.prompts()]


# --- what the template adds


def told(tokens: Callable[[str], int | None], status: int = 200) -> Any:
    async def script(call: Call) -> web.StreamResponse:
        assert call.body["max_tokens"] == 1
        number = tokens(call.body["messages"][0]["content"])
        usage = None if number is None else {"prompt_tokens": number}
        return web.json_response({"choices": [], "usage": usage}, status=status)

    return script


async def resets(call: Call) -> web.StreamResponse:
    call.reset()
    return web.Response()


def answers(**body: object) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response(body)

    return handler


def test_tokenize_says_where_the_templates_tokens_stand() -> None:
    with serving(**TOKENIZES) as server:
        found = measure(Server(server.url, "tiny"), BYTES.units.texts)
        assert found == Template(len(HEAD + TAIL), len(HEAD), "tokenize")
        assert server.calls == []


@pytest.mark.parametrize("routes", [{}, {"/tokenize": answers(tokens=[])}])
def test_without_it_two_probes_say_how_many_there_are(routes: Any) -> None:
    with serving(told(lambda text: len(text) + 11), routes=routes) as server:
        assert measure(Server(server.url, "tiny"), BYTES.units.texts) == Template(11, None, "usage")
        assert len(server.calls) == 2


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (told(lambda _: None), "does not say how long"),
        (told(lambda text: 2 * len(text)), "does not count .* as the tokenizer does"),
        (told(lambda _: 0), "does not count"),
        (told(len, status=404), "answers no chat completions .HTTP 404"),
        (resets, "answers no chat completions"),
    ],
)
def test_a_template_that_cannot_be_measured_is_refused(script: Any, words: str) -> None:
    with serving(script) as server, pytest.raises(UsageError, match=words):
        measure(Server(server.url, "tiny"), BYTES.units.texts)


# --- runs


def test_a_chat_is_played_as_completions_are(tmp_path: Path) -> None:
    async def script(call: Call) -> web.StreamResponse:
        """The first token comes 0.1 s behind the role."""
        response = await call.begin()
        for number in range(4):
            await asyncio.sleep(0.1)
            await call.token(response, number)
        return await call.end(response, 4)

    with serving(script, **TOKENIZES) as server:
        done = play(tmp_path, server.url, [a_session("s")], **AS_CHAT)
    assert done.ends == {"s": None}
    first, second = server.calls
    assert [len(call.prompt) for call in server.calls] == [32, 32 + 4 + 32]
    assert first.body["messages"][0].keys() == {"role", "content"}
    assert (first.body["min_tokens"], first.body["ignore_eos"]) == (4, True)
    assert (first.body["session_id"], first.session) == (first.name, "s")
    assert second.body["vllm_xargs"]["marsbench_reusable"] == (32 - len(TAIL)) // 16 * 16
    assert done.client["rounds_with_another_prompt_length"] == 0
    assert done.client["chat_template"] == {
        "tokens": len(HEAD + TAIL), "head": len(HEAD), "how": "tokenize"
    }  # fmt: skip
    cached = [e for e in done.events if isinstance(e, PromptCached)]
    assert [e.cached_tokens for e in cached] == [16, 34]
    settings = json.loads((done.path / "run.json").read_text())["settings"]
    assert (settings["endpoint"], settings["prompts"]) == ("chat", "text")
    row = pd.read_parquet(done.path / "tokens.parquet").iloc[0]
    submitted, began = (
        next(e.at for e in done.events if e.kind == kind)
        for kind in ("gpu_submit", GpuFirstToken.kind)
    )
    assert began == row["at"][0] >= submitted + 0.1
    assert list(row["tokens"]) == [1, 1, 1, 1]


def test_a_round_shorter_than_the_template_is_counted(tmp_path: Path) -> None:
    played = [Session("s", (Round(len(HEAD + TAIL), 1), Round(30, 1)))]
    with serving(**TOKENIZES) as server:
        done = play(tmp_path, server.url, played, **AS_CHAT)
    assert len(server.calls[0].prompt) == len(HEAD + TAIL) + 1
    assert done.client["rounds_with_another_prompt_length"] == 1
    assert "PROMPT_LENGTH" in {note["code"] for note in done.summary["cautions"]}


def test_an_answer_of_reasoning_and_calls_has_its_times(tmp_path: Path) -> None:
    """And a server that is not vLLM is asked for nothing it may not know."""

    async def script(call: Call) -> web.StreamResponse:
        response = await call.begin()
        for delta in ({"reasoning": "hm"}, {"tool_calls": [{"index": 0}]}):
            await send(response, {"choices": [{"delta": delta}]})
        return await call.end(response, 2)

    with serving(script, owned_by="somebody", **TOKENIZES) as server:
        done = play(tmp_path, server.url, [a_session("s", rounds=1, output=2)], **AS_CHAT)
    assert done.ends == {"s": None}
    (call,) = server.calls
    known = {"model", "messages", "max_tokens", "temperature", "stream", "stream_options"}
    assert call.body.keys() == known
    row = pd.read_parquet(done.path / "tokens.parquet").iloc[0]
    assert list(row["tokens"]) == [1, 1]
