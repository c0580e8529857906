"""Who is held, who passes, and when a place is free again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from gateway.world import CHAT, play, world
from marsbench.core.events import ToolStart
from marsbench.gateway.load import LoadRules

CAP = ("fcfs-cap", "cap=1")


class Slow:
    """A server that begins its answer and ends it when it is told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun ")
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        return response


async def hello(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="hello")


async def status(round_: Any) -> int:
    async with round_ as answer:
        await answer.read()
        return int(answer.status)


def test_a_session_is_held_until_another_ends_and_its_later_rounds_pass() -> None:
    async def story() -> None:
        async with world(hello, *CAP) as w:
            assert await status(w.post("a")) == 200
            held = asyncio.create_task(status(w.post("b")))
            await w.until(1, 1, 0, 1)
            assert await status(w.post("a")) == 200
            assert not held.done()
            assert len(w.seen) == 2
            assert await w.tell("session_end", session_id="a") == 204
            assert await held == 200
            assert w.events("session_admitted") == ["a", "b"]

    play(story())


def test_the_last_round_of_a_session_frees_its_place() -> None:
    async def story() -> None:
        async with world(hello, *CAP) as w:
            assert await status(w.post("a", vllm_xargs={"marsbench_last": 1})) == 200
            await w.until(0, 0, 0, 0)
            assert await status(w.post("b")) == 200

    play(story())


def test_an_abandoned_session_frees_its_place() -> None:
    async def story() -> None:
        async with world(hello, *CAP, session_timeout_s=0.05) as w:
            assert await status(w.post("a")) == 200
            assert await status(w.post("b")) == 200
            assert w.events("session_ended")[0] == "a"
            await w.until(0, 0, 0, 0)

    play(story())


def test_a_session_is_not_abandoned_while_the_server_works_for_it() -> None:
    async def story() -> None:
        slow = Slow()
        async with world(slow, *CAP, session_timeout_s=0.02) as w:
            working = asyncio.create_task(status(w.post("a")))
            await w.until(0, 1, 1, 0)
            await asyncio.sleep(0.1)
            assert w.counts == (0, 1, 1, 0)
            slow.go_on.set()
            assert await working == 200

    play(story())


def test_the_controller_hears_that_arrivals_are_over_until_everybody_has_left() -> None:
    async def story() -> None:
        async with world(hello, *CAP) as w:
            admission, told = w.gateway._admission, []
            admit = admission.admit
            admission.admit = lambda waiting, state: (  # type: ignore[method-assign]
                told.append(state.arrivals_over) or admit(waiting, state)  # type: ignore[func-returns-value]
            )
            assert await status(w.post("a")) == 200
            held = asyncio.create_task(status(w.post("b")))
            await w.until(1, 1, 0, 1)
            assert await w.tell("arrivals_over") == 204
            assert told == [False, False, True]
            await w.tell("session_end", session_id="a")
            assert await held == 200
            await w.tell("session_end", session_id="b")
            assert await status(w.post("c")) == 200
            assert told[3:] == [True, False]

    play(story())


def test_a_client_that_goes_away_while_it_waits_is_forgotten() -> None:
    async def story() -> None:
        async with world(hello, *CAP) as w:
            assert await status(w.post("a")) == 200
            gone = asyncio.create_task(status(w.post("b")))
            await w.until(1, 1, 0, 1)
            gone.cancel()
            await w.until(0, 1, 0, 1)
            await w.tell("session_end", session_id="a")
            assert await status(w.post("c")) == 200
            assert w.events("session_admitted") == ["a", "c"]

    play(story())


def test_a_client_that_goes_away_mid_stream_frees_its_place_and_stops_the_server() -> None:
    async def story() -> None:
        slow = Slow()
        async with world(slow, *CAP) as w:
            async with w.post("a") as answer:
                assert await answer.content.readany() == b"begun "
                held = asyncio.create_task(status(w.post("b")))
                await w.until(1, 1, 1, 0)
                answer.close()
            await slow.left.wait()
            await w.until(0, 1, 1, 0)  # b is in now
            slow.go_on.set()
            assert await held == 200

    play(story())


def test_a_request_without_a_session_passes_at_once() -> None:
    async def story() -> None:
        async with world(hello, *CAP) as w:
            assert await status(w.post("a")) == 200
            assert await status(w.post(None)) == 200
            assert w.counts == (0, 1, 0, 1)
            page = await (await w.client.get(f"{w.url}/metrics")).text()
            assert 'marsbench_gateway_requests_total{outcome="passed on"} 1.0' in page

    play(story())


def test_a_sub_agent_enters_with_its_parent() -> None:
    async def story() -> None:
        async with world(hello, *CAP) as w:
            assert await status(w.post("a", prompt_cache_key="a")) == 200
            assert await status(w.post("a/0", prompt_cache_key="a")) == 200
            assert w.counts == (0, 1, 0, 1)  # a's call waits for a/0, whose own call runs
            assert await w.tell("session_end", session_id="a") == 204
            assert w.counts == (0, 0, 0, 0)

    play(story())


NAMES: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("1", {"session_id": "1", "prompt_cache_key": "4"}, {"X-Session-ID": "2"}),
    ("2", {"prompt_cache_key": "4"}, {"X-Session-ID": "2", "x-litellm-session-id": "3"}),
    ("3", {"prompt_cache_key": "4"}, {"x-litellm-session-id": "3"}),
    ("4", {"prompt_cache_key": "4", "vllm_xargs": {"session_id": "5"}}, {}),
    ("5", {"vllm_xargs": {"session_id": "5"}}, {}),
]


@pytest.mark.parametrize(("name", "body", "headers"), NAMES)
def test_a_session_is_known_by(name: str, body: dict[str, Any], headers: dict[str, str]) -> None:
    async def story() -> None:
        async with world(hello) as w:
            for path in (CHAT, "/v1/completions"):
                await w.client.post(w.url + path, json=body, headers=headers)
            assert w.events("round_ready") == [name, name]

    play(story())


def test_a_session_that_waits_runs_no_tools() -> None:
    async def story() -> None:
        async with world(hello, *CAP) as w:
            assert await status(w.post("a")) == 200
            held = asyncio.create_task(status(w.post("b")))
            await w.until(1, 1, 0, 1)
            assert await w.tell("tool_start", session_id="b") == 404
            assert await w.tell("session_end", session_id="a") == 204
            assert await held == 200

    play(story())


def test_two_first_rounds_of_one_session_wait_for_one_admission() -> None:
    async def story() -> None:
        async with world(hello, *CAP) as w:
            assert await status(w.post("a")) == 200
            held = [asyncio.create_task(status(w.post("b"))) for _ in range(2)]
            await w.until(1, 1, 0, 1)
            await w.tell("session_end", session_id="a")
            assert [await task for task in held] == [200, 200]

    play(story())


def test_the_gap_between_rounds_is_a_tool_call() -> None:
    async def story() -> None:
        async with world(hello) as w:
            await w.post()
            await w.until(0, 1, 0, 1)
            await w.post()
            found, _ = w.gateway.telemetry.since(0)
            kinds = [event.kind for event in found]
            assert kinds == [
                *("session_arrived", "round_ready", "session_admitted", "tool_start"),
                *("tool_end", "round_ready", "tool_start"),
            ]

    play(story())


def test_posted_tool_calls_are_counted_instead_of_gaps() -> None:
    async def story() -> None:
        async with world(hello) as w:
            await w.post()
            start = {"session_id": "s", "name": "bash"}
            assert await w.tell("tool_start", **start, call="1") == 204  # the gap is this call
            assert await w.tell("tool_start", **start, call="2") == 204
            assert w.counts == (0, 1, 0, 2)
            assert await w.tell("tool_end", **start, call="1", queued_s=0.5) == 204
            assert await w.tell("tool_end", **start, call="1") == 404
            assert w.counts == (0, 1, 0, 1)
            await w.post()
            assert w.counts == (0, 1, 0, 0)
            assert await w.tell("tool_start", session_id="nobody") == 404
            assert await w.tell("session_end", session_id="nobody") == 404
            assert await w.tell("session_end", session="s") == 400

    play(story())


def test_a_posted_call_is_load_unless_its_client_or_its_name_says_otherwise() -> None:
    async def story() -> None:
        async with world(hello) as w:
            await w.post()
            assert (await w.info())["cpu_calls"] == 0  # of the gap nothing is known
            loads = []
            for facts in (
                {"name": "user"},
                {"name": "bash"},
                {"name": "fetch", "burns_cpu": False},
                {"name": "user", "burns_cpu": True},
            ):
                assert await w.tell("tool_start", session_id="s", **facts) == 204
                loads.append((await w.info())["cpu_calls"])
            assert loads == [0, 1, 1, 2]
            found, _ = w.gateway.telemetry.since(0)
            told = [event.burns_cpu for event in found if isinstance(event, ToolStart)]
            assert told == [None, True, False, True]
            assert b"marsbench_gateway_cpu_calls 2.0" in w.gateway.telemetry.page()
            assert await w.tell("tool_start", session_id="s", burns_cpu="yes") == 400

    play(story())


@pytest.mark.parametrize(
    ("tools", "load"), [(["user"], 0), (["user", "bash"], 1), ("fetch", 0), ([], 1)]
)
def test_a_gap_is_load_as_its_round_announced_or_else_as_an_option_says(
    tools: object, load: int
) -> None:
    rules = LoadRules(gaps_burn=True, waiting_tools=frozenset({"user", "fetch"}))

    async def story() -> None:
        async with world(hello, rules=rules) as w:
            await w.post(vllm_xargs={"marsbench_tools": tools})
            await w.until(0, 1, 0, 1)
            assert (await w.info())["cpu_calls"] == load

    play(story())


def test_stopping_refuses_those_who_wait_and_says_why() -> None:
    async def story() -> None:
        async with world(hello, *CAP) as w:
            await w.post("a")

            async def held() -> str:
                async with w.post("b") as answer:
                    assert answer.status == 503
                    return str(await answer.text())

            waits = asyncio.create_task(held())
            await w.until(1, 1, 0, 1)
            w.gateway.sessions.close("the gateway is stopping")
            assert "the gateway is stopping" in await waits

    play(story())
