"""Two emulated servers behind a gateway: one is killed and comes back, and all is decided again.

The router hears of real KV events. What it saw is asked again of the same class, and what each
server decided, before its death too, the simulator's scheduler decides again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from marsbench.core.backends import choose
from marsbench.core.events import Event, Placed, ReplicaChanged, RoundLost, SessionEnded
from marsbench.core.session import Session
from marsbench.core.settings import EngineSettings
from marsbench.gateway.routed import routed_again
from marsbench.gateway.server import Config, Gateway, start
from marsbench.http_server import loop_factory
from marsbench.replicas.registry import choose_router
from marsbench.serve.emulated import emulated_hardware
from marsbench.serve.plan import ServeRequest
from marsbench.serve.server import VllmServer, serving
from tests.serve.driver import driven, sessions
from waits import bounded, turns

pytestmark = [pytest.mark.live, pytest.mark.vllm]

EMULATE, SPEED, ROUTER = "h200:qwen3-coder-30b", 5.0, "dynamo"
SETTINGS = EngineSettings(kv_blocks=400, max_num_batched_tokens=2048)
FIRST = [replace(one, arrival_s=0.0) for one in sessions(12, seed=3)]
SECOND = [replace(one, id=f"later-{one.id}", arrival_s=0.0) for one in sessions(8, seed=4)]
ENOUGH = 8
"""Rounds that a server has had when it is killed."""


@dataclass
class Played:
    """What the gateway said, what the router saw, and the records of every life of each server."""

    told: list[Event]
    info: dict[str, Any]
    num_answered: int
    router: list[dict[str, Any]]
    servers: list[list[dict[str, Any]]]


def lines(path: Path) -> list[dict[str, Any]]:
    """The whole ones: who is killed may be in the middle of one."""
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n")].splitlines()]


@dataclass
class Servers:
    """Those that run, with a record each."""

    folder: Path
    stack: ExitStack
    records: list[Path]

    def start(self, port: int = 0) -> VllmServer:
        self.records.append(self.folder / f"record-{len(self.records)}")
        asked = ServeRequest(
            choose("fcfs"),
            emulate=EMULATE,
            speed=SPEED,
            settings=SETTINGS,
            port=port,
            record=self.records[-1],
            flags=("--no-async-scheduling",),
        )
        return self.stack.enter_context(serving(asked))


async def kill_at_work(server: VllmServer, is_at_work: Callable[[], bool]) -> None:
    """With rounds of which no answer is on its way."""
    group = server.process.pid
    while True:
        assert await turns(is_at_work, server.process)
        os.killpg(group, signal.SIGSTOP)
        for _ in range(50):  # turns of this loop, in which all that was sent before has come
            await asyncio.sleep(0)
        if is_at_work():
            break
        os.killpg(group, signal.SIGCONT)
    os.killpg(group, signal.SIGKILL)
    server.process.wait()


async def story(servers: Servers, two: list[VllmServer], record: Path) -> tuple[Any, ...]:
    config = Config(
        choose("fcfs"),
        two[0].url,
        others=(two[1].url,),
        router=choose_router(ROUTER),
        router_record=record,
        port=0,
        speed=SPEED,
        grace_s=0.1,
    )
    gateway = Gateway(config)
    runner, url = await start(gateway)
    assert gateway.upstreams is not None
    dies = gateway.upstreams.members[1]
    model = two[0].request.served_name
    try:
        first = asyncio.create_task(driven(url, model, FIRST, SPEED))
        under_way = gateway.upstreams.num_under_way
        await kill_at_work(two[1], lambda: dies.num_rounds >= ENOUGH and under_way(dies) > 0)
        answered = await first
        assert not dies.is_up
        servers.start(two[1].port)
        assert await turns(lambda: dies.is_up, two[0].process)
        answered += await driven(url, model, SECOND, SPEED)
        return gateway.telemetry.since(0)[0], gateway.upstreams.now(), len(answered)
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("routed")
    record = folder / "router"
    with ExitStack() as stack:
        servers = Servers(folder, stack, [])
        two = [servers.start(), servers.start()]
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            told, info, num = runner.run(bounded(story(servers, two, record), two[0].process))
    return Played(told, info, num, lines(record), [lines(path) for path in servers.records])


def of(played: Played, kind: type[Event]) -> list[Any]:
    return [event for event in played.told if isinstance(event, kind)]


def test_every_round_was_answered_once_though_a_server_died(played: Played) -> None:
    num_rounds = sum(len(session.rounds) for session in [*FIRST, *SECOND])
    assert played.num_answered == num_rounds
    ends = of(played, SessionEnded)
    assert len(ends) == len(FIRST) + len(SECOND)
    assert {end.outcome for end in ends} == {"finished"}
    lost = {event.key for event in of(played, RoundLost)}
    assert lost
    placed = [event.key for event in of(played, Placed)]
    assert len(placed) == num_rounds + len(of(played, RoundLost))
    assert {key for key in placed if placed.count(key) > 1} == lost
    assert played.info["resent"] == len(of(played, RoundLost))


def test_the_dead_server_was_taken_out_and_came_back(played: Played) -> None:
    changes = [(event.replica, event.change) for event in of(played, ReplicaChanged)]
    assert changes == [(1, "leaves"), (1, "joins")]
    left, joined = (event.at for event in of(played, ReplicaChanged))
    assert not [e for e in of(played, Placed) if left < e.at < joined and e.replica == 1]
    assert [e for e in of(played, Placed) if e.at > joined and e.replica == 1]


def test_the_router_says_the_same_of_what_it_saw(played: Played) -> None:
    again = list(routed_again(played.router, choose_router(ROUTER).build()))
    found = [(*one.key, one.again) for one in again]
    assert found == [(e.session, e.round, e.replica) for e in of(played, Placed)]
    assert all(one.was == one.again for one in again)


def test_the_router_heard_of_what_was_cached_and_of_what_had_left(played: Played) -> None:
    """Or it would have decided by its books alone."""
    asked = [line for line in played.router if line["call"] == "route"]
    shown = [[view["matched_tokens"] for view in line["views"]] for line in asked]
    assert any(max(one) > 0 for one in shown)
    assert played.info["moves"] > 0
    # A later round of a session finds its own context where it was, unless it has left the cache.
    cached = {key(line): max(one) for line, one in zip(asked, shown, strict=True)}
    told = [cached[session, number] for session, number in cached if number]
    assert min(told) < max(told)


def key(line: dict[str, Any]) -> tuple[str, int]:
    return line["ask"]["session"], line["ask"]["round"]


def test_each_server_decided_as_the_simulator_does(played: Played) -> None:
    from marsbench_backends.registry import load
    from studies.fidelity.replay import World, replay

    everybody: list[Session] = [*FIRST, *SECOND]
    facts = (load("fcfs"), {}, SETTINGS, emulated_hardware(EMULATE), False)
    found = [replay(record, World(everybody, *facts)) for record in played.servers]
    assert [one.differences for one in found] == [()] * 3
    # Who is killed may not have heard of the last that were sent to it: others answered those.
    placed, lost = of(played, Placed), of(played, RoundLost)
    submitted = [line for record in played.servers for line in record if "prompt_tokens" in line]
    assert sum(one.requests for one in found) == len(submitted)
    assert {(line["session"], line["round"]) for line in submitted} == {e.key for e in placed}
    assert len(placed) - len(lost) <= len(submitted) <= len(placed)
    assert all(one.steps > 10 for one in found)
    assert sum(one.evicted_blocks for one in found) > SETTINGS.kv_blocks  # type: ignore[operator]
