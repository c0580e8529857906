"""Plays sessions against a server: exact prompts, exact outputs, tools as sleeps."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import numpy as np

from marsbench.core.session import Cut, Generate, Round, Session, ToolCall, play
from marsbench.serve.server import VllmServer
from waits import bounded

PREFIX_TOKENS = 512
IDS = (8, 1000)  # ids that the emulated model's tokenizer knows, special ones left out


def sessions(number: int, seed: int) -> list[Session]:
    """Sessions that share a prefix, grow, pause, and in part have their context cut."""
    rng = np.random.default_rng(seed)
    return [_session(f"s{i}", i, rng) for i in range(number)]


def _session(name: str, number: int, rng: np.random.Generator) -> Session:
    rounds = []
    for index in range(int(rng.integers(2, 5))):
        tools = tuple(
            ToolCall(tool, floor_s=round(float(rng.exponential(0.8)), 3))
            for tool in ("grep", "test")[: int(rng.integers(1, 3))]
        )
        first = PREFIX_TOKENS if index == 0 else 0
        cut = Cut(700, kept_tokens=600) if number % 5 == 4 and index == 2 else None
        append, output = int(rng.integers(100, 1200)), int(rng.integers(8, 120))
        rounds.append(Round(first + append, output, tools, cut))
    arrival = round(float(rng.uniform(0, 4)), 3)
    return Session(name, tuple(rounds), arrival, prefix_group="g", prefix_tokens=PREFIX_TOKENS)


def drive(server: VllmServer, workload: list[Session]) -> list[dict[str, Any]]:
    """Play them all; the usage that the server reports of each round."""
    request = server.request
    played = driven(server.url, request.served_name, workload, request.speed)
    return asyncio.run(bounded(played, server.process))


async def driven(
    url: str, model: str, workload: list[Session], speed: float
) -> list[dict[str, Any]]:
    """Them all at that URL; the usage of each round."""
    async with httpx.AsyncClient(base_url=url, timeout=None, trust_env=False) as client:
        tasks = [_play(client, model, session, speed) for session in workload]
        return [usage for usages in await asyncio.gather(*tasks) for usage in usages]


async def _play(
    client: httpx.AsyncClient, model: str, session: Session, speed: float
) -> list[dict[str, Any]]:
    await asyncio.sleep(session.arrival_s / speed)
    context: list[int] = []
    epoch, usages = 0, []
    for step in play(session):
        if not isinstance(step, Generate):
            await asyncio.sleep(max(call.floor_s for call in step.calls) / speed)
            continue
        prompt = step.prompt
        if prompt.epoch != epoch:
            epoch = prompt.epoch
            del context[prompt.edges[-1][0] :]
        context += _written(session, epoch, len(context), prompt.num_tokens)
        tools = [call.name for call in session.rounds[prompt.round].tools]
        body = {
            "model": model,
            "prompt": context,
            "max_tokens": prompt.output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "session_id": session.id,
            "return_token_ids": True,
            "vllm_xargs": {
                "marsbench_tools": tools,
                "marsbench_last": int(step.is_last),
                "marsbench_round": prompt.round,
            },
        }
        reply = await client.post("/v1/completions", json=body)
        assert reply.status_code == 200, reply.text
        answer = reply.json()
        context += answer["choices"][0]["token_ids"]
        usages.append(answer["usage"])
    return usages


def _written(session: Session, epoch: int, begin: int, end: int) -> list[int]:
    """Tokens of the context from begin to end: the group's prefix, then the session's own."""
    shared = session.prefix_tokens if epoch == 0 else 0
    group = _stream(str(session.prefix_group))[:shared]
    own = _stream(f"{session.id}/{epoch}")
    return [*group[begin:end], *own[max(begin, shared) : max(end, shared)]]


def _stream(writer: str) -> list[int]:
    rng = np.random.default_rng(list(writer.encode()))
    return list(map(int, rng.integers(*IDS, 20_000)))
