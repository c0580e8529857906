"""The gateway before a plain `vllm serve` with an emulated GPU, from first round to its death."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

pytest.importorskip("vllm")

from gateway.real_agents import WHY_NOT, claude_code, codex
from gateway.world import UNLIMITED, World, play, unused_port
from house.sources import ROOT
from marsbench.core.backends import choose
from marsbench.core.events import RoundReady, SessionAdmitted, SessionArrived, SessionEnded
from marsbench.core.settings import EngineSettings
from marsbench.gateway.server import Config, Gateway, start
from marsbench.serve.plain import plain_line
from marsbench.serve.plan import ServeRequest
from marsbench.serve.server import SILENCE_S, VllmServer, await_health, end_with_parent
from waits import turns

pytestmark = [pytest.mark.live, pytest.mark.vllm]
BLOCKS, SPEED = 20_000, 10.0
COMPLETIONS = "/v1/completions"
TESTS = ROOT / "tests"


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """As docs/serving.md has it: the line that `--plain` prints, in a shell's environment."""
    folder = tmp_path_factory.mktemp("vllm")
    request = ServeRequest(
        choose("fcfs"),
        emulate="h200:qwen3-coder-30b",
        speed=SPEED,
        settings=EngineSettings(kv_blocks=BLOCKS),
        port=unused_port(),
        responses="gateway.recorded_agents:Answers",
    )
    command = shlex.split(plain_line(request, folder / "model"))
    env = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "PYTHONPATH": str(TESTS)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=env, start_new_session=True,
            preexec_fn=end_with_parent,
        )  # fmt: skip
    server = VllmServer(request, process, request.port, folder / "log")
    try:
        await_health(server, SILENCE_S)
        yield server
    finally:
        server.stop()


@asynccontextmanager
async def before(vllm: VllmServer, backend: str, *assignments: str) -> AsyncIterator[World]:
    config = Config(choose(backend, assignments), vllm.url, port=0, speed=SPEED, grace_s=0.1)
    gateway = Gateway(config)
    runner, url = await start(gateway)
    try:
        async with aiohttp.ClientSession(timeout=UNLIMITED) as client:
            yield World(url, client, gateway, upstream=vllm.process)
    finally:
        await runner.cleanup()


def body(vllm: VllmServer, session: str, prompt: str, tokens: int = 8) -> dict[str, object]:
    name = vllm.request.served_name
    asked = {"model": name, "prompt": prompt, "max_tokens": tokens, "stream": True}
    return {**asked, "session_id": session}


async def text(w: World, url: str, sent: dict[str, object]) -> str:
    async with w.client.post(url + COMPLETIONS, json=sent) as answer:
        assert answer.status == 200
        stream = (await answer.read()).decode()
    lines = [line[6:] for line in stream.splitlines() if line.startswith("data: {")]
    assert stream.endswith("data: [DONE]\n\n")
    return "".join(json.loads(line)["choices"][0]["text"] for line in lines)


async def running(w: World) -> float:
    async with w.client.get(f"{w.url}/metrics") as answer:
        found = re.search(r"^vllm:num_requests_running\{.*\} (\S+)$", await answer.text(), re.M)
        assert found
        return float(found[1])


def test_sessions_take_turns_and_get_what_the_server_says(vllm: VllmServer) -> None:
    async def agent(w: World, name: str) -> list[str]:
        first = await text(w, w.url, body(vllm, name, f"{name} begins"))
        again = body(vllm, name, f"{name} begins {first} and goes on")
        return [first, await text(w, w.url, {**again, "vllm_xargs": {"marsbench_last": 1}})]

    async def story() -> None:
        async with before(vllm, "fcfs-cap", "cap=1") as w:
            names = ["a", "b", "c"]
            said = await asyncio.gather(*(agent(w, name) for name in names))
            await w.until(0, 0, 0, 0)
            story = [
                (event.kind, event.session)
                for event in w.gateway.telemetry.since(0)[0]
                if event.kind in ("session_admitted", "session_ended")
            ]
            order = [name for kind, name in story if kind == "session_admitted"]
            assert sorted(order) == names
            assert story == [
                (kind, name) for name in order for kind in ("session_admitted", "session_ended")
            ]
            direct = [await text(w, vllm.url, body(vllm, "d", f"{name} begins")) for name in names]
            assert [first for first, _ in said] == direct

    play(story(), vllm.process)


def test_pressure_is_what_the_server_says(vllm: VllmServer) -> None:
    async def story() -> None:
        async with before(vllm, "mars") as w:
            async with w.client.post(
                w.url + COMPLETIONS, json=body(vllm, "a", "x" * 16_000, tokens=15_000)
            ) as answer:
                await answer.content.readany()
                assert await turns(
                    lambda: (w.gateway.pressure.free_blocks or 0) <= BLOCKS - 1000, vllm.process
                )
                assert w.gateway.pressure.num_blocks == BLOCKS
                assert await running(w) == 1
                answer.close()  # goes away mid-stream
            while await running(w):
                await asyncio.sleep(0.02)
            await w.until(0, 0, 0, 0)

    play(story(), vllm.process)


CHATS = {
    "/v1/chat/completions": ("messages", {"max_tokens": 8}),
    "/v1/messages": ("messages", {"max_tokens": 8}),
    "/v1/responses": ("input", {"max_output_tokens": 8}),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", CHATS)
def test_a_chat_without_ids_is_one_session_by_every_api(
    vllm: VllmServer, path: str, stream: bool
) -> None:
    field, asked = CHATS[path]

    async def story() -> None:
        async with before(vllm, "fcfs-cap", "cap=1") as w:
            chat = [{"role": "user", "content": f"hello by {path}, {stream}"}]
            for number in range(2):
                body = {"model": vllm.request.served_name, "stream": stream, **asked, field: chat}
                async with w.client.post(w.url + path, json=body) as answer:
                    assert answer.status == 200, await answer.text()
                    assert await answer.read()
                chat += [
                    {"role": "assistant", "content": f"answer {number}"},
                    {"role": "user", "content": "go on"},
                ]
            first, second = w.events("round_ready")
            assert first == second
            assert (await w.info())["rounds"]["inferred"] == 2

    play(story(), vllm.process)


def test_a_prompt_beyond_the_models_length_gets_its_400_at_once(vllm: VllmServer) -> None:
    async def story() -> None:
        async with before(vllm, "fcfs-cap", "cap=1") as w:
            holder = body(vllm, "a", "x")
            async with w.client.post(w.url + COMPLETIONS, json=holder) as answer:
                assert await answer.read()
            long = {**body(vllm, "b", ""), "prompt": [1] * 300_000, "stream": False}
            async with w.client.post(w.url + COMPLETIONS, json=long) as answer:
                assert answer.status == 400, await answer.text()
            assert w.events("session_arrived") == ["a"]

    play(story(), vllm.process)


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_claude_code_and_codex_are_known_as_sessions_and_take_turns(
    vllm: VllmServer, tmp_path: Path
) -> None:
    """Each with a sub-agent, which enters with its parent: one place is enough."""

    async def story() -> None:
        async with before(vllm, "fcfs-cap", "cap=1") as w:
            model = vllm.request.served_name
            claude, thread = await asyncio.gather(
                claude_code(w.url, model, tmp_path / "claude"),
                codex(w.url, model, tmp_path / "codex"),
            )
            await w.until(0, 0, 0, 0)  # Codex is gone before its answer's last byte
            told, _ = w.gateway.telemetry.since(0)
            arrived = {e.session: e.parent for e in told if isinstance(e, SessionArrived)}
            assert {name for name, parent in arrived.items() if parent is None} == {claude, thread}
            children = {parent: name for name, parent in arrived.items() if parent}
            rounds = Counter(e.session for e in told if isinstance(e, RoundReady))
            assert rounds == {claude: 3, children[claude]: 2, thread: 4, children[thread]: 2}
            assert children[claude].startswith(f"{claude}/")
            assert (await w.info())["rounds"] == {"named": 11, "inferred": 0, "passed on": 0}
            ends = [e for e in told if isinstance(e, SessionAdmitted | SessionEnded)]
            turns = [(e.kind, e.session) for e in ends if e.session in (claude, thread)]
            first, second = turns[0][1], turns[2][1]
            assert turns == [
                (kind, name)
                for name in (first, second)
                for kind in ("session_admitted", "session_ended")
            ]

    play(story(), vllm.process)


def test_when_the_server_dies_the_count_is_zero(vllm: VllmServer) -> None:
    async def story() -> None:
        async with before(vllm, "fcfs-cap", "cap=2") as w:
            long = body(vllm, "a", "x", tokens=20_000)
            async with w.client.post(w.url + COMPLETIONS, json=long) as answer:
                await answer.content.readany()
                os.killpg(vllm.process.pid, signal.SIGKILL)
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.read()
            await w.until(0, 0, 0, 0)
            async with w.client.post(w.url + COMPLETIONS, json=body(vllm, "b", "x")) as answer:
                assert answer.status == 502
            assert w.counts == (0, 0, 0, 0)

    play(story(), vllm.process)
