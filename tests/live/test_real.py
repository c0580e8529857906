"""A live run against a real vLLM server with an emulated GPU, and a real gateway before it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import pandas as pd
import pytest

from live.world import CHAT, Done, a_request
from marsbench.core.backends import choose
from marsbench.core.events import (
    Event,
    Evicted,
    PromptCached,
    SessionAdmitted,
    SessionArrived,
    SessionEnded,
    from_json,
)
from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from marsbench.engines import run
from waits import output

pytestmark = [pytest.mark.live, pytest.mark.vllm]
SPEED, BLOCKS = 20.0, 160
GATEWAY = "from marsbench.cli.main import main; main()"


@pytest.fixture(scope="module")
def server():
    from marsbench.serve.plan import ServeRequest
    from marsbench.serve.server import serving

    request = ServeRequest(
        choose("fcfs"),
        emulate="h200:qwen3-coder-30b",
        speed=SPEED,
        settings=EngineSettings(kv_blocks=BLOCKS),
    )
    with serving(request) as found:
        yield found


@pytest.fixture
def gateway(server) -> Iterator[str]:
    arguments = ["gateway", "--backend", "fcfs-cap", "--set", "cap=1", "--port", "0"]
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            GATEWAY,
            *arguments,
            "--upstream",
            server.url,
            "--speed",
            str(SPEED),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process.stdout.readline().split()[0]
    process.terminate()
    output(process)


def agents(number: int, every_s: float = 4.0) -> list[Session]:
    """Contexts of 640 to 1,000 tokens, of which 320 are shared: three of them fill the cache.

    In one lane they come one after another, so that no machine is too slow for what is cached.
    """
    tools = (ToolCall("test", "cpu", cpu_s=2.0),)
    rounds = (Round(640, 20, tools), Round(150, 20, tools), Round(150, 20))
    return [
        Session(f"s{n}", rounds, arrival_s=every_s * n, prefix_group="g", prefix_tokens=320)
        for n in range(number)
    ]


def test_what_the_server_does_is_in_the_stream(server, tmp_path: Path) -> None:
    options = {"speed": SPEED, "kv_events": server.kv_events, "lanes": 1}
    done = Done(*run(a_request(tmp_path, server.url, agents(6), **options)))
    assert done.summary["valid"], done.summary["reasons"]
    assert set(done.ends.values()) == {None}
    assert done.client["rounds_with_another_prompt_length"] == 0
    assert done.client["rounds_with_another_output_length"] == 0
    config = json.loads((done.path / "run.json").read_text())
    assert (config["block_size"], config["settings"]["server"]["vllm"]) == (16, True)
    # The first session's second round finds what it had computed, the answer's tokens included.
    found = {(e.session, e.round): e for e in done.events if isinstance(e, PromptCached)}
    second = found["s0", 1]
    assert second.cached_tokens == second.reusable_tokens == (640 + 20 - 1) // 16 * 16
    # The second session's first round finds the shared prefix.
    assert found["s1", 0].cached_tokens == 320
    # Six sessions do not fit into the cache: blocks leave it, and the server says whose.
    lost = [e for e in done.events if isinstance(e, Evicted)]
    assert {e.owner for e in lost} <= {"prefix:g", "other", *(f"s{n}" for n in range(6))}
    assert done.summary["evictions"]["blocks"] == sum(e.blocks for e in lost) > 0
    assert done.summary["preemptions"] is not None
    assert done.summary["kv_usage"]["samples"] > 0


def test_a_chat_has_the_workloads_lengths_inside_the_template(server, tmp_path: Path) -> None:
    """Positions too: the second session finds the shared prefix to the block."""
    # Its marks of a turn's begin and end are one token each, the rest is one a character.
    head, tail = 1 + len("user\n"), 1 + len("\n") + 1 + len("assistant\n")
    played = [replace(s, id=f"chat-{s.id}", prefix_group="chat") for s in agents(2)]
    options = {"speed": SPEED, "lanes": 1, **CHAT}
    done = Done(*run(a_request(tmp_path, server.url, played, **options)))
    assert done.summary["valid"], done.summary["reasons"]
    assert set(done.ends.values()) == {None}
    assert done.client["chat_template"] == {
        "tokens": head + tail, "head": head, "how": "tokenize"
    }  # fmt: skip
    assert done.client["rounds_with_another_prompt_length"] == 0
    assert done.client["rounds_with_another_output_length"] == 0
    found = {(e.session, e.round): e for e in done.events if isinstance(e, PromptCached)}
    second = found["chat-s0", 1]
    assert second.cached_tokens == second.reusable_tokens == (640 - tail) // 16 * 16
    assert found["chat-s1", 0].cached_tokens == 320
    tokens = pd.read_parquet(done.path / "tokens.parquet")["tokens"]
    assert sum(map(sum, tokens)) == 2 * 3 * 20


def admitted_one_by_one(gateway: str, folder: Path) -> tuple[Done, dict[str, dict[str, float]]]:
    """A run with a cap of one, and when each session arrived, was admitted and ended."""
    request = a_request(folder, gateway, agents(3, every_s=1.0), backend="fcfs-cap", speed=SPEED)
    done = Done(*run(replace(request, choice=choose("fcfs-cap", ["cap=1"]))))
    assert done.summary["valid"], done.summary["reasons"]
    return done, times(done.events)


def times(events: Sequence[Event]) -> dict[str, dict[str, float]]:
    kinds = (SessionArrived, SessionAdmitted, SessionEnded)
    return {kind.kind: {e.session: e.at for e in events if isinstance(e, kind)} for kind in kinds}


@pytest.mark.usefixtures("patient")
def test_admissions_are_the_gateways(gateway: str, tmp_path: Path) -> None:
    """With a cap of one, each session is let in when the one before it has ended.

    Each takes 4 seconds of tools, so the third waits for at least 8 less the 2 by which it comes
    later, whatever the machine adds.
    """
    done, at = admitted_one_by_one(gateway, tmp_path)
    # What the engine did counts from when the gateway let the request through.
    submitted = {e.session: e.at for e in done.events if e.kind == "gpu_submit" and e.round == 0}
    assert submitted == at["session_admitted"]
    assert submitted.keys() == {"s0", "s1", "s2"}
    page = httpx.get(f"{gateway}/marsbench/events", trust_env=False, timeout=None).content
    told = [from_json(line) for line in page.splitlines()]
    inside = [e.session for e in told if isinstance(e, SessionAdmitted | SessionEnded)]
    assert inside[::2] == inside[1::2], "each has ended before another is let in"
    theirs = times(told)
    for name, let_in in theirs["session_admitted"].items():
        own = name.partition("#")[0]  # the run's nonce follows
        waited = at["session_admitted"][own] - at["session_arrived"][own]
        assert waited >= let_in - theirs["session_arrived"][name] - 1e-6
    assert (done.summary["admission_wait"]["max"] or 0) > 5.0


@pytest.mark.quiet
def test_the_next_one_is_let_in_at_once(gateway: str, tmp_path: Path) -> None:
    """Within 50 ms of the wall, and never before."""
    _, at = admitted_one_by_one(gateway, tmp_path)
    for before, after in (("s0", "s1"), ("s1", "s2")):
        assert abs(at["session_admitted"][after] - at["session_ended"][before]) < 1.0
