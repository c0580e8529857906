"""A prompt that the model cannot take is the server's to refuse, and at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from gateway.test_admission import CAP, status
from gateway.world import CHAT, World, play, world

LENGTH = 4096


async def tokenize(request: web.Request) -> web.StreamResponse:
    """Words are tokens, as vLLM's route would say it."""
    asked = await request.json()
    text = asked.get("prompt") or " ".join(m["content"] for m in asked["messages"])
    return web.json_response({"count": len(text.split()), "max_model_len": LENGTH, "tokens": []})


async def refused(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"error": "too long"}, status=400)


async def hello(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="hello")


def chat(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def is_held(w: World, path: str, body: dict[str, Any]) -> bool:
    """Whether a second session waits with that prompt, while another has the only place."""
    asking = asyncio.create_task(status(w.client.post(w.url + path, json=body)))
    while not asking.done() and w.counts[0] == 0:
        await asyncio.sleep(0.001)
    waits = w.counts[0] == 1
    if waits:
        await w.tell("session_end", session_id="b")
    assert await asking == (503 if waits else 200)
    return waits


@pytest.mark.parametrize(
    ("path", "prompt", "held"),
    [
        ("/v1/completions", {"prompt": list(range(LENGTH - 1))}, True),
        ("/v1/completions", {"prompt": list(range(LENGTH))}, False),
        ("/v1/completions", {"prompt": "word " * (LENGTH - 1)}, True),
        ("/v1/completions", {"prompt": "word " * LENGTH}, False),
        (CHAT, chat("word " * (LENGTH - 1)), True),
        (CHAT, chat("word " * LENGTH), False),
        (CHAT, chat("a-word-of-many-bytes " * (LENGTH - 1)), True),
        ("/v1/messages", chat("word " * LENGTH), True),  # no tokenizer says so much of it
        ("/v1/messages", chat("word " * 2 * LENGTH), False),
    ],
)
def test_a_prompt_beyond_the_models_length_is_not_held(
    path: str, prompt: dict[str, Any], held: bool
) -> None:
    async def story() -> None:
        async with world(hello, *CAP, tokenize=tokenize) as w:
            assert await status(w.post("a")) == 200
            assert await is_held(w, path, {"session_id": "b", **prompt}) == held

    play(story())


def test_a_server_that_does_not_say_is_believed_to_take_every_prompt() -> None:
    async def story() -> None:
        async with world(hello, *CAP) as w:
            assert await status(w.post("a")) == 200
            assert await is_held(w, CHAT, {"session_id": "b", **chat("word " * 10 * LENGTH)})

    play(story())


def test_its_400_is_the_servers_and_no_session_begins() -> None:
    async def story() -> None:
        async with world(refused, *CAP, tokenize=tokenize) as w:
            body = {"session_id": "b", "prompt": list(range(LENGTH))}
            async with w.client.post(w.url + CHAT, json=body) as answer:
                assert (answer.status, await answer.json()) == (400, {"error": "too long"})
            assert w.events("session_arrived") == []

    play(story())
