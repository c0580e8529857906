"""What can go wrong with a server: a failed request fails its session, and nothing hangs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from live.world import (
    CHAT,
    TOKENIZES,
    Call,
    Script,
    a_session,
    healthy,
    play,
    serving,
    sessions,
)
from marsbench.errors import UsageError
from waits import TURN_S, turns

BOTH = pytest.mark.parametrize("how", [{}, CHAT], ids=["completions", "chat"])


def test_no_server_there_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No server answers at http://127\.0\.0\.1:1 .*--url"):
        play(tmp_path, "http://127.0.0.1:1")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("status", "words"), [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (503, "healthy")]
)
def test_a_server_that_refuses_is_said_before_anything_is_written(
    tmp_path: Path, status: int, words: str
) -> None:
    with serving(models_status=status) as server, pytest.raises(UsageError, match=words):
        play(tmp_path, server.url)
    assert not (tmp_path / "run").exists()


async def answers_400(_call: Call) -> web.StreamResponse:
    return web.json_response({"error": {"message": "no such token"}}, status=400)


async def answers_500(_call: Call) -> web.StreamResponse:
    return web.Response(text="out of memory", status=500)


async def resets_at_once(call: Call) -> web.StreamResponse:
    call.reset()
    return web.Response()


async def resets_mid_stream(call: Call) -> web.StreamResponse:
    response = await call.begin()
    await call.token(response)
    await asyncio.sleep(0.02)
    call.reset()
    return response


async def stalls(call: Call) -> web.StreamResponse:
    response = await call.begin()
    await call.token(response)
    await asyncio.sleep(60)
    return response


async def never_answers(_call: Call) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def sends_no_event(call: Call) -> web.StreamResponse:
    response = await call.begin()
    await response.write(b"<html>Bad gateway</html>\n\n")
    return await call.end(response, 1)


async def sends_half_an_event(call: Call) -> web.StreamResponse:
    response = await call.begin()
    await response.write(b'data: {"choices":[{"te\n\n')
    return await call.end(response, 1)


async def closes_without_the_end(call: Call) -> web.StreamResponse:
    response = await call.begin()
    await call.token(response)
    await response.write_eof()
    return response


async def closes_inside_a_chunk(call: Call) -> web.StreamResponse:
    response = await call.begin()
    await call.token(response)
    transport = call.request.transport
    assert transport is not None
    transport.write(b"ff\r\ndata: {")
    transport.close()
    return response


async def gives_up(call: Call) -> web.StreamResponse:
    response = await call.begin()
    await response.write(b'data: {"error":{"message":"engine dead","code":500}}\n\n')
    return await call.end(response, 0)


async def ends_with_no_token(call: Call) -> web.StreamResponse:
    return await call.end(await call.begin(), 0)


FAULTS = {
    answers_400: "HTTP 400: no such token",
    answers_500: "HTTP 500: out of memory",
    resets_at_once: "",
    resets_mid_stream: "",
    stalls: "no byte came for 2 s",
    never_answers: "no byte came for 2 s",
    sends_no_event: "is no event: <html>",
    sends_half_an_event: "malformed",
    closes_without_the_end: "closed before its end",
    closes_inside_a_chunk: "",
    gives_up: "the server gave up: .*engine dead",
    ends_with_no_token: "no token",
}


@BOTH
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_failed_request_fails_its_session_alone(
    tmp_path: Path, fault: Script, how: dict[str, Any]
) -> None:
    """s1's second round fails; s0 and s2 go on, and the run counts."""

    async def script(call: Call) -> web.StreamResponse:
        if call.session == "s1" and len(call.prompt) > 32:
            return await fault(call)
        return await healthy(call)

    # Silence has to be longer than a busy machine's between two bytes of those who go on.
    timeout = 2.0 if fault in (stalls, never_answers) else 3600.0
    with serving(script, **TOKENIZES) as server:
        done = play(tmp_path, server.url, timeout=timeout, **how)
    assert done.ends.keys() == {"s0", "s1", "s2"}
    assert done.ends["s0"] is None
    assert done.ends["s2"] is None
    assert re.search(FAULTS[fault], done.ends["s1"] or "not failed")
    counts = done.summary["sessions"]
    assert (counts["finished"], counts["failed"], counts["unfinished"]) == (2, 1, 0)
    assert done.summary["valid"], done.summary["reasons"]
    asked = [call.session for call in server.calls]
    assert asked.count("s1") == 2  # nothing was tried again


def test_a_run_in_which_nobody_was_answered_does_not_count(tmp_path: Path) -> None:
    with serving(answers_400) as server:
        done = play(tmp_path, server.url)
    assert not done.summary["valid"]
    assert "no request was answered" in done.summary["reasons"]


@BOTH
def test_a_server_that_dies_ends_the_run_and_keeps_what_was_measured(
    tmp_path: Path, how: dict[str, Any]
) -> None:
    """s0 has finished when s1 kills the server; s2 is inside, and s3 would come in an hour."""

    async def script(call: Call) -> web.StreamResponse:
        if call.session == "s1":
            await turns(lambda: len(server.calls) == 3)
            for _ in range(20):  # of the client's, to see that s0 has been answered
                await asyncio.sleep(TURN_S)
            return await server.die(call)
        return await (healthy(call) if call.session == "s0" else never_answers(call))

    played = [a_session("s0", rounds=1), a_session("s2", 0.2), a_session("s1", 0.4)]
    with serving(script, **TOKENIZES) as server:
        done = play(tmp_path, server.url, [*played, a_session("s3", 3600.0)], **how)
    assert not done.summary["valid"]
    assert any(r.startswith("the server died during the run") for r in done.summary["reasons"])
    assert "3 of 4 sessions arrived" in done.summary["reasons"]
    assert done.ends == {"s0": None}
    assert done.summary["sessions"]["unfinished"] == 2
    assert done.client["rounds_answered"] == 1
    assert (done.path / "tokens.parquet").exists()


def test_a_late_client_does_not_count(tmp_path: Path) -> None:
    with serving() as server:
        done = play(tmp_path, server.url, sessions(2), max_send_lag=0.0)
    (reason,) = done.summary["reasons"]
    assert reason.startswith("the client was late: P99 of its send lag is ")
    assert done.client["send_lag_s"]["n"] == 4


def test_another_backend_than_the_gateways_is_refused(tmp_path: Path) -> None:
    async def info(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"backend": "mars", "parameters": {}})

    with (
        serving(routes={"/marsbench/info": info}) as server,
        pytest.raises(UsageError, match="runs 'mars', not 'fcfs'"),
    ):
        play(tmp_path, server.url)


def test_a_controller_without_its_gateway_is_refused(tmp_path: Path) -> None:
    with (
        serving() as server,
        pytest.raises(UsageError, match="start `marsbench gateway --backend mars"),
    ):
        play(tmp_path, server.url, backend="mars")


def test_a_context_longer_than_the_server_takes_is_refused(tmp_path: Path) -> None:
    with serving() as server, pytest.raises(UsageError, match=r"s grows to .* \(4,096\)"):
        play(tmp_path, server.url, [a_session("s", rounds=120)])
