"""Runs do not poison each other: names of their own, others are seen, the dead leave nobody."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from live.world import Call, Done, Server, a_session, play, serving, sessions
from marsbench.core.events import SessionArrived
from marsbench.core.session import Round, Session, ToolCall
from marsbench.errors import UsageError
from marsbench.serve.kv_events import BlockRemoved, BlockStored
from marsbench.wall import company
from marsbench.wall.gateway import GatewayLink
from marsbench.wall.kv_events import Owners
from marsbench.wall.live.options import LiveOptions
from marsbench.wall.nonce import LONGEST, WireNames, in_uuid
from marsbench.wall.server import await_server


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(company, "APART_S", 0.001)


def test_two_runs_of_one_workload_share_no_name(tmp_path: Path) -> None:
    with serving(metrics=None) as server:
        for name in "ab":
            (tmp_path / name).mkdir()
            done = play(tmp_path / name, server.url, [a_session("s", rounds=1)])
            assert done.ends == {"s": None}, "the folder knows no nonce"
            assert done.summary["valid"], done.summary["reasons"]
    first, second = server.calls
    assert first.session == second.session == "s"
    assert first.name != second.name
    assert first.body["session_id"] == first.name == first.body["vllm_xargs"]["session_id"]


def test_names_keep_their_order_and_their_length() -> None:
    names = WireNames()
    ids = ["ilr-1", "ilr-1-0", "ilr-1-00", "ilr-10", "ilr-1/x", "ilr-1a"]
    assert sorted(map(names.of, ids)) == [names.of(name) for name in sorted(ids)]
    assert len(names.of("é" * LONGEST).encode()) < 256
    assert names.own(names.of("é" * LONGEST)) == "é" * LONGEST
    assert names.own("ilr-1") is None
    uuid = WireNames(in_uuid)
    begin = "6b0a4c1e-5f3d-4f0e-9d1b-"
    assert uuid.of(f"{begin}7e1d8a2c4b55") == begin + uuid.nonce


def test_blocks_of_a_run_are_told_by_their_names_there() -> None:
    names = WireNames()
    owners = Owners({names.of("s"): a_session("s")})
    for name in ("s", names.of("s")):
        owners.stored(BlockStored([name.encode()], None, block_size=8, session_id=name))
    assert owners.removed(BlockRemoved([b"s", names.of("s").encode()]))["s"] == 1


def test_blocks_of_the_context_that_a_branch_takes_over_are_its_parents() -> None:
    branch = Session("b", (Round(40, 1),), fork_tokens=16)
    parent = Session("a", (Round(15, 1, (ToolCall("b", "agent", child=branch),)),))
    owners = Owners({"a": parent, "b": branch})
    hashes: list[int | bytes] = [b"1", b"2", b"3"]
    owners.stored(BlockStored(hashes, None, block_size=8, session_id="b"))
    assert owners.removed(BlockRemoved(hashes)) == {"a": 2, "b": 1}


def crowded(url_of: Server) -> None:
    url_of.looks = 2  # from now on its page tells three that run and two that wait


@pytest.mark.parametrize("share", [False, True])
def test_requests_of_others_at_the_server_are_told(tmp_path: Path, share: bool) -> None:
    with serving() as server:
        crowded(server)
        done = play(tmp_path, server.url, sessions(1), share=share)
    assert done.summary["valid"] is share
    codes = [caution["code"] for caution in done.summary["cautions"]]
    said = done.summary["reasons"] if not share else [
        caution["text"] for caution in done.summary["cautions"] if caution["code"] == "SHARED"
    ]  # fmt: skip
    assert ("SHARED" in codes) is share
    assert "sessions of others: 5 in flight when the run began" in said[0]


def through_a_gateway(tmp_path: Path, at_first: int, lines: list[str], **given: Any) -> Done:
    """A run through a gateway with so many sessions, which says these lines once it was asked."""

    async def info(_request: web.Request) -> web.StreamResponse:
        about = {"backend": "fcfs", "parameters": {}, "speed": 1.0}
        return web.json_response({**about, "sessions_waiting": 0, "sessions_in_flight": at_first})

    async def told(request: web.Request) -> web.StreamResponse:
        since = int(request.query["since"])
        there = lines if server.calls else lines[:1]
        text = "".join(f"{line}\n" for line in there[since:])
        return web.Response(text=text, headers={"X-Next": str(len(there))})

    routes: Any = {"/marsbench/info": info, "/marsbench/events": told}
    with serving(routes=routes) as server:
        return play(tmp_path, server.url, sessions(1), **given)


@pytest.mark.usefixtures("patient")
def test_sessions_of_others_at_the_gateway_are_told_at_first_and_later(tmp_path: Path) -> None:
    old, new = (SessionArrived(1.0, name).to_json() for name in ("old", "new"))
    done = through_a_gateway(tmp_path, 2, [old, new])
    (reason,) = done.summary["reasons"]
    assert "sessions of others: 2 in flight when the run began, 1 new while it was on" in reason


def test_a_run_holds_a_connection_and_its_gateway_learns_of_a_kill() -> None:
    """The link's side; the gateway's is in tests/gateway/test_limits.py."""
    asked: list[str] = []

    async def alive(request: web.Request) -> web.StreamResponse:
        asked.append(request.query["nonce"])
        if len(asked) == 1:
            return web.Response(status=503)  # it restarts: the run comes again
        await asyncio.sleep(3600)
        return web.Response()

    async def story(url: str) -> str:
        import httpx

        async with httpx.AsyncClient() as http:
            names = WireNames()
            staying = asyncio.create_task(GatewayLink(lambda _: None, http, url, names).stay())
            while len(asked) < 2:
                await asyncio.sleep(0.005)
            staying.cancel()
            return names.nonce

    with serving(routes={"/marsbench/alive": alive}) as server:
        nonce = asyncio.run(story(server.url))
    assert asked == [nonce, nonce]


# --- failures


async def half_refused(call: Call) -> web.StreamResponse:
    if call.session in ("s1", "s3"):
        why = {"error": {"message": f"no room for {call.number} of 'x{call.number}'"}}
        return web.json_response(why, status=429)
    return await call.answer()


def test_a_run_in_which_many_sessions_failed_is_not_valid_and_says_why(tmp_path: Path) -> None:
    with serving(half_refused) as server:
        done = play(tmp_path, server.url, sessions(5), max_failed=0.01)
    (reason,) = done.summary["reasons"]
    assert reason.startswith("2 of 5 sessions failed, more than 1 % (--max-failed): 2 times HTTP")
    (failure,) = done.summary["failures"]
    assert (failure["sessions"], failure["session"]) == (2, "s1")
    assert failure["reason"] == "HTTP 429: no room for … of …"
    assert failure["example"].startswith("HTTP 429: no room for ")
    assert done.ends["s1"] == failure["example"]


def test_a_run_in_which_few_failed_carries_a_caution(tmp_path: Path) -> None:
    with serving(half_refused) as server:
        done = play(tmp_path, server.url, sessions(5), max_failed=0.4)
    assert done.summary["valid"], done.summary["reasons"]
    (text,) = [c["text"] for c in done.summary["cautions"] if c["code"] == "SESSIONS_FAILED"]
    assert text.startswith("2 sessions failed: 2 times HTTP 429: no room")


def test_a_run_in_which_nothing_failed_says_nothing_of_it(tmp_path: Path) -> None:
    with serving() as server:
        done = play(tmp_path, server.url, sessions(1))
    assert "failures" not in json.loads((done.path / "summary.json").read_text())


def test_a_server_that_comes_up_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def models(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if len(asked) < 3:
            return web.Response(status=503)
        return web.json_response({"data": [{"id": "tiny", "owned_by": "vllm"}]})

    monkeypatch.setattr("marsbench.wall.server.AGAIN_S", 0.001)
    with serving(routes={"/late/v1/models": models}) as server:
        url = f"{server.url}/late"
        with pytest.raises(UsageError, match="or give --wait 600"):
            await_server(LiveOptions(url=url), show=False)
        assert await_server(LiveOptions(url=url, wait=60.0), show=False).model == "tiny"
    assert len(asked) == 3
