"""`marsbench serve` as a user starts it: what it prints, what answers, and that it ends."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from marsbench.clock import monotonic
from serve.test_processes import has_ended
from tests.trees.changed import changed
from waits import output, until

psutil = pytest.importorskip("psutil")
pytestmark = [pytest.mark.live, pytest.mark.vllm]

SERVE = [sys.executable, "-m", "marsbench", "serve", "--backend", "mars", "--port", "0"]
MODEL = "qwen3-coder-30b"
VERSION = "0.33.1.dev1"


@dataclass
class Started:
    """The command, what it printed, and every process below it."""

    command: subprocess.Popen[str]
    facts: dict[str, Any]
    processes: list[Any]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """Somebody's vLLM, which runs one request at a time."""
    tree = changed(tmp_path_factory.mktemp("changed"), at_once=1, version=VERSION)
    emulate = ["--emulate", f"h200:{MODEL}", "--speed", "20", "--kv-blocks", "4000", "--json"]
    command = subprocess.Popen(
        [*SERVE, *emulate, "--vllm", str(tree.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert command.stdout is not None
        until(lambda: select.select([command.stdout], [], [], 0)[0], command)
        line = command.stdout.readline()
        assert line, command.stderr.read() if command.stderr else ""
        below = psutil.Process(command.pid).children(recursive=True)
        yield Started(command, json.loads(line), below)
    finally:
        command.terminate()
        output(command)


@pytest.fixture(scope="module")
def client(started: Started) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=started.facts["url"], timeout=None, trust_env=False) as found:
        yield found


def completion(client: httpx.Client, prompt: Any, **fields: Any) -> dict[str, Any]:
    body = {"model": MODEL, "prompt": prompt, "ignore_eos": True, **fields}
    reply = client.post("/v1/completions", json=body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_it_says_where_it_is(started: Started) -> None:
    facts = started.facts
    assert facts["url"].startswith("http://127.0.0.1:")
    assert facts["kv_events"].startswith("tcp://127.0.0.1:")
    assert (facts["model"], facts["backend"], facts["speed"]) == (MODEL, "mars", 20.0)
    assert psutil.pid_exists(facts["pid"])


def test_it_is_the_vllm_that_was_asked_for(client: httpx.Client) -> None:
    assert client.get("/version").json() == {"version": VERSION}
    with ThreadPoolExecutor(2) as pool:
        ends = sorted(pool.map(lambda n: streamed(client, n), range(2)))
    (_, first_end), (second_begin, _) = ends
    assert first_end < second_begin


def streamed(client: httpx.Client, number: int) -> tuple[float, float]:
    """When its first and its last token came."""
    body = {"model": MODEL, "prompt": [number + 9] * 50, "max_tokens": 200, "ignore_eos": True}
    with client.stream("POST", "/v1/completions", json={**body, "stream": True}) as reply:
        times = [monotonic() for line in reply.iter_lines() if '"text"' in line]
    return times[0], times[-1]


def test_it_listens_on_loopback_alone(started: Started) -> None:
    listening = [
        connection.laddr.ip
        for process in started.processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_a_reply_has_the_tokens_that_were_asked_for(client: httpx.Client) -> None:
    found = completion(client, [100] * 500, max_tokens=40, return_token_ids=True)
    assert found["usage"]["completion_tokens"] == len(found["choices"][0]["token_ids"]) == 40


def test_the_same_prompt_has_the_same_reply_and_its_prefix_is_cached(client: httpx.Client) -> None:
    first, second = (completion(client, [200] * 100, max_tokens=20) for _ in range(2))
    assert first["choices"][0]["text"] == second["choices"][0]["text"]
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] == 96


def test_a_character_is_a_token(client: httpx.Client) -> None:
    assert completion(client, "x" * 77, max_tokens=1)["usage"]["prompt_tokens"] == 77


def test_a_chat_without_a_limit_ends_its_turn(client: httpx.Client) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    messages = [{"role": "user", "content": "hello"}]
    body = {"model": MODEL, "messages": messages, "tools": tools}
    reply = client.post("/v1/chat/completions", json=body).json()
    assert reply["choices"][0]["finish_reason"] == "stop"


def test_malformed_facts_of_a_session_do_no_harm(client: httpx.Client) -> None:
    facts = {"marsbench_round": "many", "marsbench_tools": 7, "marsbench_future": [1]}
    for _ in range(2):
        completion(client, [150] * 40, max_tokens=2, session_id="odd", vllm_xargs=facts)


def test_metrics_and_kv_events_are_on(client: httpx.Client, started: Started) -> None:
    assert "vllm:num_preemptions" in client.get("/metrics").text
    sources = client.get("/kv_event_sources").json()
    assert [source["endpoint"] for source in sources.values()] == [started.facts["kv_events"]]


def test_every_sample_of_its_metrics_is_a_number(client: httpx.Client) -> None:
    """AIPerf drops what is none, and says so."""
    completion(client, [400] * 64, max_tokens=4)
    families = list(text_string_to_metric_families(client.get("/metrics").text))
    samples = [one for family in families for one in family.samples]
    assert len(samples) > 100
    assert [one for one in samples if not isfinite(one.value)] == []


def test_kv_events_reach_a_subscriber(client: httpx.Client, started: Started) -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, 1_000)
        socket.setsockopt_string(zmq.SUBSCRIBE, "")
        socket.connect(started.facts["kv_events"])
        for attempt in range(100):  # who has just connected may miss the first
            completion(client, [300 + attempt] * 64, max_tokens=1)
            try:
                assert b"BlockStored" in socket.recv_multipart()[-1]
            except zmq.Again:
                continue
            return
    pytest.fail("no event came")


def test_forced_tools_and_schemas_are_answered_in_form(client: httpx.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"path": {"type": "string", "minLength": 2}, "line": {"type": "integer"}},
        "required": ["path", "line"],
        "additionalProperties": False,
    }
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "max_tokens": 300}
    tool = {"type": "function", "function": {"name": "look", "parameters": schema}}
    forced = client.post(
        "/v1/chat/completions", json={**chat, "tools": [tool], "tool_choice": "required"}
    ).json()
    (call,) = forced["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "look"
    assert isinstance(json.loads(call["function"]["arguments"]), dict)
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    as_json = client.post("/v1/chat/completions", json={**chat, "response_format": form}).json()
    said = json.loads(as_json["choices"][0]["message"]["content"])
    assert (len(said["path"]), type(said["line"]), len(said)) == (2, int, 2)


def test_logprobs_are_there_in_form(client: httpx.Client) -> None:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "max_tokens": 4}
    answer = client.post(
        "/v1/chat/completions", json={**asked, "logprobs": True, "top_logprobs": 3}
    ).json()
    said = answer["choices"][0]["logprobs"]["content"]
    assert len(said) == 4
    for token in said:
        tops = [one["logprob"] for one in token["top_logprobs"]]
        assert token["logprob"] == max(tops) < 0
        assert len({one["token"] for one in token["top_logprobs"]}) == len(tops) == 3


def test_control_c_ends_it_and_all_its_processes(started: Started) -> None:
    """The last of this file: the server is gone after it."""
    assert len(started.processes) >= 2  # the HTTP server and the engine
    started.command.send_signal(signal.SIGINT)
    output(started.command)
    assert started.command.returncode == 0
    until(lambda: all(map(has_ended, started.processes)))
    assert not Path(started.facts["log"]).parent.exists()
