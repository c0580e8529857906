"""Several servers behind one gateway: who gets a round, who is taken out, and what is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import msgspec
import pytest
import zmq
import zmq.asyncio
from aiohttp import web

from gateway.test_admission import status
from gateway.world import CHAT, UNLIMITED, World, play
from marsbench.core.backends import choose
from marsbench.core.events import Event, Placed, ReplicaChanged, RoundLost, SessionEnded
from marsbench.gateway.prompts import PromptWriters, chained, of_tokens
from marsbench.gateway.routed import routed_again
from marsbench.gateway.server import Config, Gateway, start
from marsbench.replicas.known import KnownPrefixes
from marsbench.replicas.registry import choose_router
from marsbench.replicas.router import RoundToPlace
from marsbench.serve.kv_events import BlockRemoved, BlockStored
from marsbench.serve.metrics_page import read_server_metrics
from waits import turns

PAGE = """# HELP vllm:num_requests_running Running.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0"}} {running}
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{engine="0"}} 0.25
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{{block_size="4",engine="0",num_gpu_blocks="101"}} 1.0
"""
NOW = "marsbench.gateway.server.MAX_POLL_S"


@dataclass
class Fake:
    """A server that can die and come back at the same place. answer: its words, None for ever."""

    running: int = 0
    port: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    head: bool = True
    answers: bool = True
    first: bytes = b""
    events: str | None = None
    runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        answering = web.Server(self._serve, handler_cancellation=True, access_log=None)  # type: ignore[arg-type]
        self.runner = web.ServerRunner(answering, shutdown_timeout=0.01)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]

    async def die(self) -> None:
        """All its connections break."""
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/metrics":
                return web.Response(text=PAGE.format(running=self.running))
            case "/health":
                return web.Response()
            case "/kv_event_sources":
                sources = {"0": {"endpoint": self.events}} if self.events else {}
                return web.json_response(sources)
            case "/v1/models":
                return web.json_response({"port": self.port})
        self.seen.append(json.loads(await request.read()))
        if self.answers:
            return web.json_response({"choices": [], "port": self.port})
        response = web.StreamResponse()
        if self.head:
            await response.prepare(request)
        if self.first:
            await response.write(self.first)
        await asyncio.Event().wait()
        return response


@asynccontextmanager
async def before(
    fakes: Sequence[Fake], router: str = "round-robin", *settings: str, **options: Any
) -> AsyncIterator[World]:
    backend = options.pop("backend", choose("fcfs"))
    choice = choose_router(router, settings)
    async with AsyncExitStack() as stack:
        for fake in fakes:
            await fake.start()
            stack.push_async_callback(fake.die)
        for fake in options.pop("absent", ()):
            await fake.die()
        first, *others = (fake.url for fake in fakes)
        given = {"port": 0, "grace_s": 0.1, **options}
        gateway = Gateway(Config(backend, first, others=tuple(others), router=choice, **given))
        runner, url = await start(gateway)
        stack.push_async_callback(runner.cleanup)
        client = await stack.enter_async_context(aiohttp.ClientSession(timeout=UNLIMITED))
        yield World(url, client, gateway)


def told(w: World, *kinds: type[Event]) -> list[Any]:
    found, _ = w.gateway.telemetry.since(0)
    return [event for event in found if isinstance(event, kinds)]


def placed(w: World) -> list[tuple[str, int, int]]:
    return [(e.session, e.round, e.replica) for e in told(w, Placed)]


def test_the_router_says_where_rounds_go_and_admission_is_of_all() -> None:
    async def story() -> None:
        two = [Fake(), Fake()]
        async with before(two, backend=choose("fcfs-cap", ["cap=1"])) as w:
            for _ in range(3):
                assert await status(w.post("a")) == 200
            held = asyncio.create_task(status(w.post("b")))
            await w.until(1, 1, 0, 1)
            await w.tell("session_end", session_id="a")
            assert await held == 200
            assert placed(w) == [("a", 0, 0), ("a", 1, 1), ("a", 2, 0), ("b", 0, 1)]
            assert [len(fake.seen) for fake in two] == [2, 2]
            info = await w.info()
            assert [one["rounds"] for one in info["upstreams"]] == [2, 2]
            assert (info["router"], info["moves"], info["resent"]) == ("round-robin", 2, 0)

    play(story())


@pytest.mark.parametrize("router", ["session-affinity", "prefix-aware"])
def test_a_session_stays_where_its_router_keeps_it(router: str) -> None:
    async def story() -> None:
        two = [Fake(), Fake()]
        async with before(two, router) as w:
            for number in range(3):
                for name in "abcdef":
                    chat = [{"role": "user", "content": f"{name} {n} {'x' * 200}"} for n in
                            range(number + 1)]  # fmt: skip
                    sent = {"session_id": name, "messages": chat}
                    assert await status(w.client.post(w.url + CHAT, json=sent)) == 200
            where: dict[str, set[int]] = {}
            for session, _, index in placed(w):
                where.setdefault(session, set()).add(index)
            assert all(len(indices) == 1 for indices in where.values()), where
            assert {index for indices in where.values() for index in indices} == {0, 1}

    play(story())


def test_what_is_nobodys_round_is_in_the_books_and_a_page_comes_from_who_is_up() -> None:
    async def story() -> None:
        two = [Fake(answers=False), Fake(answers=False)]
        async with before(two, "least-load") as w:
            path = "/v1/completions"
            asked = [asyncio.create_task(status(w.post(None, path))) for _ in range(2)]
            assert await turns(lambda: all(len(fake.seen) == 1 for fake in two))
            assert placed(w) == []
            await two[0].die()
            assert await turns(lambda: told(w, ReplicaChanged))
            async with w.client.get(w.url + "/metrics") as answer:
                assert f'upstream_up{{upstream="{two[0].url}"}} 0.0' in await answer.text()
            async with w.client.get(w.url + "/v1/models") as answer:
                assert (await answer.json())["port"] == two[1].port
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    play(story())


@pytest.mark.parametrize("head", [False, True])
def test_a_round_whose_server_dies_is_sent_again_and_counts_once(head: bool) -> None:
    async def story() -> None:
        dies, other = Fake(answers=False, head=head), Fake()
        async with before([dies, other]) as w:
            asked = asyncio.create_task(status(w.post("a")))
            assert await turns(lambda: dies.seen)
            await dies.die()
            assert await asked == 200
            assert placed(w) == [("a", 0, 0), ("a", 0, 1)]
            assert [(e.key, e.replica) for e in told(w, RoundLost)] == [(("a", 0), 0)]
            assert w.events("session_arrived", "round_ready") == ["a", "a"]
            await w.until(0, 1, 0, 1)
            assert w.gateway.upstreams is not None
            assert [w.gateway.upstreams.num_under_way(m) for m in w.gateway.upstreams.members] == [
                0,
                0,
            ]
            page = w.gateway.telemetry.page().decode()
            assert 'requests_total{outcome="answered"} 1.0' in page
            assert "marsbench_gateway_resent_total 1.0" in page

    play(story())


def test_with_resends_off_its_session_fails() -> None:
    async def story() -> None:
        dies, other = Fake(answers=False), Fake()
        async with before([dies, other], "round-robin", "resends=false") as w:
            asked = asyncio.create_task(status(w.post("a")))
            assert await turns(lambda: dies.seen)
            await dies.die()
            assert await asked == 502
            assert [e.reason for e in told(w, SessionEnded)] == ["the server failed"]
            assert other.seen == []

    play(story())


def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    async def story() -> None:
        dies, other = Fake(answers=False, first=b"begun"), Fake()
        async with before([dies, other]) as w:
            async with w.post("a") as answer:
                assert await answer.content.readany() == b"begun"
                await dies.die()
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.read()
            await w.until(0, 0, 0, 0)
            assert other.seen == []
            assert len(told(w, RoundLost)) == 1
            assert [e.reason for e in told(w, SessionEnded)] == ["the server failed"]

    play(story())


def test_a_dead_server_is_taken_out_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NOW, 0.02)

    async def story() -> None:
        two = [Fake(), Fake()]
        async with before(two) as w:
            await two[0].die()
            assert await turns(lambda: told(w, ReplicaChanged))  # its health alone shows it
            for _ in range(2):
                assert await status(w.post("a")) == 200
            (gone, kept) = (await w.info())["upstreams"]
            assert (gone["is_up"], kept["is_up"]) == (False, True)
            assert "Connect call failed" in gone["why"]
            assert [len(fake.seen) for fake in two] == [0, 2]
            assert w.gateway.pressure_now().num_blocks == 100
            await two[0].start()
            assert await turns(lambda: len(told(w, ReplicaChanged)) == 2)
            changes = [(e.replica, e.change) for e in told(w, ReplicaChanged)]
            assert changes == [(0, "leaves"), (0, "joins")]
            for _ in range(2):
                assert await status(w.post("a")) == 200
            assert [len(fake.seen) for fake in two] == [1, 3]

    play(story())


def test_none_left_is_502_and_one_that_was_not_there_at_first_joins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(NOW, 0.02)

    async def story() -> None:
        two = [Fake(), Fake()]
        async with before(two, absent=two) as w:
            async with w.post("a") as answer:
                assert answer.status == 502
                assert two[1].url in (await answer.json())["error"]["message"]
            await two[0].start()
            assert await turns(lambda: w.gateway.upstreams.up)  # type: ignore[union-attr]
            assert await status(w.post("a")) == 200
            assert [e.outcome for e in told(w, SessionEnded)] == ["failed"]

    play(story())


def test_pressure_and_the_metrics_page_are_of_all() -> None:
    async def story() -> None:
        two = [Fake(running=3), Fake(running=4)]
        async with before(two) as w:
            kv = w.gateway.pressure_now()
            assert (kv.num_blocks, kv.free_blocks, kv.block_size) == (200, 150, 4)
            async with w.client.get(w.url + "/metrics") as answer:
                page = await answer.text()
            assert page.count("# HELP vllm:num_requests_running") == 1
            assert f'vllm:num_requests_running{{upstream="{two[0].url}",engine="0"}} 3' in page
            found = read_server_metrics(page)
            assert (found.running, found.num_blocks, found.free_blocks) == (7, 200, 150)

    play(story())


@pytest.mark.parametrize("named", [{}, {"X-Session-ID": "a"}])
def test_a_response_is_asked_for_where_it_is(named: dict[str, str]) -> None:
    async def story() -> None:
        two = [Fake(), Fake()]
        async with before(two) as w:
            for sent in ({"input": "x"}, {"input": "y", "previous_response_id": "r"}):
                answer = w.client.post(
                    w.url + "/v1/responses", json={"session_id": "a", **sent}, headers=named
                )
                assert await status(answer) == 200
            assert [len(fake.seen) for fake in two] == [2, 0]

    play(story())


class Publisher:
    """KV events as vLLM publishes them."""

    def __init__(self) -> None:
        self._socket: Any = zmq.asyncio.Context.instance().socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self._number = 0

    async def say(self, *events: BlockStored | BlockRemoved) -> None:
        if not self._number:
            await self._socket.recv()  # until it is listened to
        batch = msgspec.msgpack.encode([1.0, events, None])
        await self._socket.send_multipart([b"", self._number.to_bytes(8, "big"), batch])
        self._number += 1

    def close(self) -> None:
        self._socket.close()


def stored(parent: int | None, first: int, *tokens: int, **more: Any) -> BlockStored:
    """Blocks of four tokens, numbered from `first` on."""
    hashes = [first + n for n in range(len(tokens) // 4)]
    raw = msgspec.Raw(msgspec.msgpack.encode(tokens))
    return BlockStored(hashes, parent, raw, 4, "GPU", **more)


def test_a_router_hears_what_is_in_each_cache_and_what_left_it() -> None:
    async def story() -> None:
        speakers = [Publisher(), Publisher()]
        two = [Fake(events=one.endpoint) for one in speakers]
        async with before(two, "kv-aware", "threshold_tokens=6") as w:
            assert w.gateway.upstreams is not None
            cached = [member.cached for member in w.gateway.upstreams.members]
            prompt = list(range(100, 114))
            keys = chained(b"", of_tokens(prompt, 4))
            for at, (speaker, blocks) in enumerate(zip(speakers, cached, strict=True)):
                await speaker.say(
                    stored(None, 1, *prompt[:4]),
                    stored(1, 2, *prompt[4 : 4 + 4 * at]),
                    stored(77, 9, *prompt[4:12]),  # nobody heard of its parent
                    stored(None, 30, *prompt[:12], lora_name="another"),
                )
                tokens = 4 + 4 * at
                assert await turns(lambda b=blocks, n=tokens: b.tokens(keys, 14, 4) == n)
            for name in "abcd":
                body = {"session_id": name, "prompt": prompt}
                assert await status(w.client.post(w.url + "/v1/completions", json=body)) == 200
            assert [index for _, _, index in placed(w)] == [1] * 4
            await speakers[1].say(BlockRemoved([2, 1], "GPU"))
            await speakers[0].say(stored(1, 2, *prompt[4:12]))
            assert await turns(lambda: [c.tokens(keys, 14, 4) for c in cached] == [12, 0])
            for name in "abcd":
                body = {"session_id": name, "prompt": prompt}
                assert await status(w.client.post(w.url + "/v1/completions", json=body)) == 200
            assert [index for _, _, index in placed(w)][4:] == [0] * 4
            for odd in ([-1, 2], [1 << 40], [[1, 2], [3]]):  # the server's to refuse
                body = {"session_id": "e", "prompt": odd}
                assert await status(w.client.post(w.url + "/v1/completions", json=body)) == 200
        for speaker in speakers:
            speaker.close()

    play(story())


def test_a_router_that_hears_of_nothing_there_is_refused_in_a_sentence() -> None:
    from marsbench.errors import UsageError

    async def story() -> None:
        with pytest.raises(UsageError, match="kv-events-config"):
            async with before([Fake(), Fake()], "dynamo"):
                pass

    play(story())


@pytest.mark.parametrize("router", ["llm-d", "ray-prefix", "smetric"])
def test_what_a_router_saw_can_be_asked_again(router: str, tmp_path: Path) -> None:
    record = tmp_path / "record"

    async def story() -> None:
        two = [Fake(), Fake()]
        async with before(two, router, router_record=record) as w:
            for number in range(4):
                for name in "abc":
                    chat = [{"role": "user", "content": f"{name} {n} {'x' * 300}"} for n in
                            range(number + 1)]  # fmt: skip
                    sent = {"session_id": name, "messages": chat}
                    assert await status(w.client.post(w.url + CHAT, json=sent)) == 200
            assert len(placed(w)) == 12
            lines = [json.loads(line) for line in record.read_text().splitlines()]
            again = list(routed_again(lines, choose_router(router).build()))
            assert [(*one.key, one.again) for one in again] == placed(w)
            assert all(one.was == one.again for one in again)

    play(story())


def test_prompts_are_alike_as_far_as_their_writers_are() -> None:
    """As a trie says it, whatever was sent before."""
    dice = Random(7)
    prompts: list[list[bytes]] = [[]]
    writers, known = PromptWriters(), KnownPrefixes()
    sent: list[tuple[int, list[bytes]]] = []
    for _ in range(400):
        old = dice.choice(prompts)
        kept = old[: dice.choice([len(old), dice.randint(0, len(old))])]
        prompt = kept + [bytes([dice.randrange(3)]) for _ in range(dice.randint(1, 5))]
        prompts.append(prompt)
        blocks = writers.segments(chained(b"", prompt))
        ask = RoundToPlace(0.0, "s", 0, 0, 1, blocks, Random().randrange, _no_s)
        assert ask.num_blocks == len(prompt)
        for replica in (0, 1):
            longest = max((_common(prompt, one) for at, one in sent if at == replica), default=0)
            assert known.matched(ask, replica) == longest
        replica = dice.randrange(2)
        known.learn(ask, replica)
        sent.append((replica, prompt))


def test_writers_that_were_not_seen_for_longest_are_forgotten_first() -> None:
    writers = PromptWriters(most=10)
    (old,) = writers.segments(chained(b"", [b"a"] * 6))
    for word in (b"b", b"c"):
        writers.segments(chained(b"", [word] * 4))
    (new,) = writers.segments(chained(b"", [b"a"] * 6))
    assert new.writer != old.writer


def _no_s(_tokens: int, _cached: int) -> float:
    raise AssertionError


def _common(one: list[bytes], other: list[bytes]) -> int:
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
