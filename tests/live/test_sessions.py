"""Sessions on the wall clock: what waits for what, and that the stream is the simulator's."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from aiohttp import web

from live.world import TOKENIZES, Call, a_session, play, serving, sessions
from marsbench.clock import monotonic
from marsbench.core.events import Event, PromptCached
from marsbench.core.session import Round, Session, ToolCall
from marsbench.runs import RunFolder
from marsbench_backends.vllm import session_table
from waits import turns

HIDDEN = ("gpu_start", "kv_usage", "prompt_cached", "preemption_count")


def by_kind(events: Iterable[Event], kind: str) -> list[Any]:
    return [event for event in events if event.kind == kind]


def steps(events: Iterable[Event]) -> dict[str, list[tuple[str, int | None]]]:
    """What happened to each session, in order: kind and round."""
    found = defaultdict(list)
    for event in events:
        name = getattr(event, "session", None)
        if name is not None and event.kind not in HIDDEN:
            found[name].append((event.kind, getattr(event, "round", None)))
    return found


def with_a_sub_agent() -> Session:
    child = Session("child", (Round(20, 2), Round(5, 2)), arrival_s=0.01)
    calls = (ToolCall("shell", floor_s=0.02), ToolCall("agent", "agent", child=child))
    return Session("parent", (Round(32, 3, calls), Round(16, 2)), tenant="blue")


def with_branches() -> Session:
    """Two that begin with their parent's context, and end at other times."""
    branches = (
        Session(f"branch-{n}", (Round(41, n), Round(4, 1)), arrival_s=n / 50, fork_tokens=35)
        for n in (1, 2)
    )
    calls = tuple(ToolCall("branch", "agent", child=one) for one in branches)
    return Session("fork", (Round(32, 3, calls), Round(16, 2)))


@pytest.mark.vllm
def test_a_session_leaves_the_same_steps_as_in_the_simulator(tmp_path: Path) -> None:
    from marsbench.core.sim.simulation import SimConfig, Simulation
    from marsbench.hardware.profile import load_hardware

    played = [with_a_sub_agent(), a_session("s", 0.01, rounds=3), with_branches()]
    simulated: list[Event] = []
    Simulation(SimConfig(load_hardware()), simulated.append).run(played)
    with serving() as server:
        live = play(tmp_path, server.url, played).events
    assert steps(live) == steps(simulated)


def test_arrivals_wait_for_nobody(tmp_path: Path) -> None:
    """A server that answers nobody before all have come delays no arrival and no request."""

    async def slow(call: Call) -> web.StreamResponse:
        await turns(lambda: len(server.calls) == 5)
        return await call.answer()

    with serving(slow) as server:
        events = play(
            tmp_path, server.url, [a_session(f"s{n}", 0.1 * n, 1) for n in range(5)]
        ).events
    assert [e.at for e in by_kind(events, "session_arrived")] == pytest.approx(
        [0, 0.1, 0.2, 0.3, 0.4]
    )
    last_sent = max(e.at for e in by_kind(events, "gpu_submit"))
    assert last_sent < min(e.at for e in by_kind(events, "gpu_first_token"))


def test_a_round_waits_for_its_slowest_tool(tmp_path: Path) -> None:
    tools = (ToolCall("quick", floor_s=0.05), ToolCall("slow", floor_s=0.4))
    with serving() as server:
        events = play(
            tmp_path, server.url, [Session("s", (Round(8, 1, tools), Round(8, 1)))]
        ).events
    (start,) = {e.at for e in by_kind(events, "tool_start")}
    ends = {e.name: e.at - start for e in by_kind(events, "tool_end")}
    assert ends == pytest.approx({"quick": 0.05, "slow": 0.4})
    second = by_kind(events, "round_ready")[1]
    assert second.at == pytest.approx(start + 0.4)
    assert by_kind(events, "gpu_submit")[1].at >= second.at


def test_a_parent_waits_for_its_sub_agent_and_fails_with_it(tmp_path: Path) -> None:
    async def script(call: Call) -> web.StreamResponse:
        if call.session == "child":
            return web.Response(status=400, text="no")
        return await call.answer()

    with serving(script) as server:
        done = play(tmp_path, server.url, [with_a_sub_agent()])
    assert done.ends == {"child": "HTTP 400: no", "parent": "sub-agent child: HTTP 400: no"}
    assert [call.session for call in server.calls] == ["parent", "child"]
    assert done.summary["reasons"] == []


def test_lanes_are_kept_busy_and_no_more(tmp_path: Path) -> None:
    most = inside = 0

    async def script(call: Call) -> web.StreamResponse:
        nonlocal most, inside
        inside += 1
        most = max(most, inside)
        await turns(lambda: len(server.calls) >= 2)
        response = await call.answer(0.01)
        inside -= 1
        return response

    with serving(script) as server:
        done = play(tmp_path, server.url, [a_session(f"s{n}", rounds=1) for n in range(6)], lanes=2)
    assert done.summary["sessions"]["finished"] == 6
    assert most == 2


def test_times_at_speed_are_those_of_the_run(tmp_path: Path) -> None:
    """At speed 50 a tool of 20 s takes 0.4 s of the wall, and 20 s of the run."""
    session = a_session("s", at=5.0, tool_s=20.0)
    with serving() as server:
        done = play(tmp_path, server.url, [session], speed=50.0)
    arrived, start, end = (
        by_kind(done.events, kind)[0].at for kind in ("session_arrived", "tool_start", "tool_end")
    )
    assert arrived == 5.0
    assert end - start == pytest.approx(20.0)
    assert any(note["code"] == "EMULATED" for note in done.summary["cautions"])
    # The lag is what the wall saw.
    submit = by_kind(done.events, "gpu_submit")[0].at
    assert done.client["send_lag_s"]["max"] >= (submit - arrived) / 50 * 0.999


def test_every_tokens_time_is_kept(tmp_path: Path) -> None:
    async def script(call: Call) -> web.StreamResponse:
        return await call.answer(0.05)

    with serving(script) as server:
        done = play(tmp_path, server.url, [a_session("s", rounds=1, output=4)])
    (row,) = pd.read_parquet(done.path / "tokens.parquet").to_dict("records")
    assert (row["session"], row["round"]) == ("s", 0)
    assert list(row["tokens"]) == [1, 1, 1, 1]
    assert row["at"][0] == by_kind(done.events, "gpu_first_token")[0].at
    assert row["at"][-1] == by_kind(done.events, "gpu_end")[0].at
    assert list(row["at"]) == sorted(row["at"])


def test_vllm_is_told_whose_the_round_is_and_how_long(tmp_path: Path) -> None:
    with serving() as server:
        done = play(tmp_path, server.url, [with_a_sub_agent()])
    bodies = {(c.session, c.body["vllm_xargs"]["marsbench_round"]): c.body for c in server.calls}
    first, last, child = bodies["parent", 0], bodies["parent", 1], bodies["child", 0]
    assert (first["min_tokens"], first["max_tokens"], first["ignore_eos"]) == (3, 3, True)
    nonce = done.client["nonce"]
    assert {first["session_id"], first["vllm_xargs"]["session_id"]} == {f"parent#{nonce}"}
    assert first["vllm_xargs"]["marsbench_tools"] == ["shell", "agent"]
    assert first["vllm_xargs"]["marsbench_last"] == 0
    assert last["vllm_xargs"]["marsbench_last"] == 1
    assert first["vllm_xargs"]["marsbench_tenant"] == "blue"
    assert "marsbench_tenant" not in child["vllm_xargs"]
    assert child["vllm_xargs"]["marsbench_parent"] == f"parent#{nonce}"
    assert last["vllm_xargs"]["marsbench_reusable"] == 32
    assert last["prompt"][: 32 + 3] == [*first["prompt"], 100, 101, 102]
    assert {key for key in first["vllm_xargs"] if key != "session_id"} <= set(session_table.FACTS)
    cached = [e for e in done.events if isinstance(e, PromptCached) and e.session == "parent"]
    assert [e.cached_tokens for e in cached] == [16, (32 + 3 + 16) // 2]
    assert [e.reusable_tokens for e in cached] == [0, 32]


def test_another_server_is_asked_for_nothing_it_may_not_know(tmp_path: Path) -> None:
    with serving(owned_by="somebody", metrics=None) as server:
        done = play(tmp_path, server.url, sessions(1))
    known = {"model", "prompt", "max_tokens", "temperature", "stream", "stream_options"}
    assert {key for call in server.calls for key in call.body} == known
    assert {call.session for call in server.calls} == {"s0"}
    assert done.summary["evictions"]["blocks"] is None
    assert done.summary["preemptions"] is None
    assert done.summary["kv_usage"]["samples"] == 0
    assert any(note["code"] == "NOT_VLLM" for note in done.summary["cautions"])


async def older(_request: web.Request) -> web.Response:
    return web.json_response({"version": "0.32.0"})


@pytest.mark.parametrize(("owner", "label"), [("vllm", "0.32.0"), ("somebody", None)])
def test_what_decided_is_the_servers_vllm_and_not_ours(
    owner: str, label: str | None, tmp_path: Path
) -> None:
    with serving(owned_by=owner, routes={"/version": older}) as server:
        done = play(tmp_path, server.url, sessions(1))
    code = json.loads((done.path / "run.json").read_text())["code"]
    assert RunFolder.open(done.path).config.code.other_vllm == label
    assert code["versions"]["vllm"] == label
    assert (code["vllm"] or {}).get("sources") is None


def test_an_answer_of_another_length_is_a_caution(tmp_path: Path) -> None:
    async def short(call: Call) -> web.StreamResponse:
        response = await call.begin()
        await call.token(response)
        return await call.end(response, 1)

    with serving(short) as server:
        done = play(tmp_path, server.url, sessions(1))
    assert done.client["rounds_with_another_output_length"] == 2
    assert any(note["code"] == "OUTPUT_LENGTH" for note in done.summary["cautions"])


def test_the_servers_metrics_are_part_of_the_stream(tmp_path: Path) -> None:
    async def slow(call: Call) -> web.StreamResponse:
        return await call.answer(0.15)

    with serving(slow) as server:
        done = play(tmp_path, server.url, sessions(2))
    usage = by_kind(done.events, "kv_usage")
    assert usage
    assert {(e.used_blocks, e.free_blocks, e.running, e.waiting) for e in usage} == {
        (100, 300, 3, 2)
    }
    assert {e.held_blocks for e in usage} == {None}
    assert done.summary["preemptions"] == 0
    assert {e.total for e in by_kind(done.events, "preemption_count")} == {7}
    config = json.loads((done.path / "run.json").read_text())
    assert (config["block_size"], config["total_blocks"], config["engine"]) == (16, 400, "live")
    assert server.url not in (done.path / "run.json").read_text()


def test_text_of_the_exact_length_is_counted_by_the_server(tmp_path: Path) -> None:
    with serving(**TOKENIZES) as server:
        done = play(tmp_path, server.url, sessions(2), prompts="text")
    assert done.client["rounds_with_another_prompt_length"] == 0
    assert {len(call.body["prompt"]) for call in server.calls} == {32, 32 + 4 + 32}
    assert all(isinstance(call.body["prompt"], str) for call in server.calls)


def test_times_alone_are_measured_on_the_idle_server_first(tmp_path: Path) -> None:
    async def script(call: Call) -> web.StreamResponse:
        return await call.answer(0.02)

    began = monotonic()
    with serving(script) as server:
        done = play(tmp_path, server.url, sessions(2), isolated="measure:2")
    took_s = monotonic() - began
    ideal = json.loads((done.path / "ideal.json").read_text())
    assert ideal.keys() == {"s0", "s1"}
    assert all(0.1 < seconds < took_s for seconds in ideal.values())
    alone = [call for call in server.calls if call.session.startswith("alone/")]
    assert [call.session for call in alone] == ["alone/s0/s0"] * 2 + ["alone/s1/s1"] * 2
    played = {tuple(call.body["prompt"]) for call in server.calls if call not in alone}
    assert played.isdisjoint(tuple(call.body["prompt"]) for call in alone)
    assert done.client["isolated"] == {"how": "measured", "sessions": ["s0", "s1"]}
    assert done.summary["slowdown"]["n"] == 2


def test_warm_up_and_cool_down_are_played_and_not_measured(tmp_path: Path) -> None:
    with serving() as server:
        done = play(tmp_path, server.url, sessions(6, 0.1), warm_up=0.15, cool_down=0.15)
    assert done.summary["sessions"]["finished"] == 6
    assert done.summary["latency"]["n"] == 2  # those that came at 0.2 and 0.3 s
