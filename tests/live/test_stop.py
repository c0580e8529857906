"""How a live run ends as a process: exit codes, Ctrl-C once, and a second time at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from live.world import Call, Server, a_session, serving, sessions
from marsbench.clock import monotonic
from marsbench.events import Event
from marsbench.runs import RunFolder
from marsbench.workload.files import Workload, write_workload

# A shell that starts us in the background has Ctrl-C ignored; a person at a terminal has not.
MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from marsbench.cli import main; main()"
)
PATIENCE_S = 60.0


def start(folder: Path, url: str, *more: object) -> subprocess.Popen[str]:
    arguments = ("run", "--backend", "fcfs", "--engine", "live", "--url", url)
    what = ("--workload", folder / "w.jsonl", "--isolated", "none", "-o", folder / "run", *more)
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, (*arguments, *what))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error::ResourceWarning"},
    )


def events(folder: Path) -> list[Event]:
    return list(RunFolder.open(folder / "run").events())


def until_submitted(folder: Path, process: subprocess.Popen[str]) -> None:
    """Until a round is with the server, as the run's own file says."""
    deadline = monotonic() + PATIENCE_S
    file = folder / "run" / "events.jsonl"
    while not (file.exists() and "gpu_submit" in file.read_text()):
        assert process.poll() is None, process.communicate()
        assert monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A server that answers one round, and then no other; the events of 64 sessions reach disk."""

    async def script(call: Call) -> web.StreamResponse:
        if call.number:
            await asyncio.sleep(600)
        return await call.answer()

    async def info(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"backend": "fcfs", "parameters": {}})

    asked = 0

    async def said(_request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked > 1:
            await asyncio.sleep(600)
        return web.Response(headers={"X-Next": "0"})

    many = [a_session(f"s{n}", 0.001 * n) for n in range(64)]
    write_workload(Workload("w", tuple(many)), tmp_path / "w.jsonl")
    routes = {"/marsbench/info": info, "/marsbench/events": said}
    with serving(script, routes=routes) as server:
        yield server, tmp_path


@pytest.mark.processes
def test_control_c_keeps_the_folder(tmp_path: Path) -> None:
    async def script(call: Call) -> web.StreamResponse:
        if call.number:
            await asyncio.sleep(600)
        return await call.answer()

    many = [a_session(f"s{n}", 0.001 * n) for n in range(64)]
    write_workload(Workload("w", tuple(many)), tmp_path / "w.jsonl")
    with serving(script) as server:
        process = start(tmp_path, server.url)
        until_submitted(tmp_path, process)
        process.send_signal(signal.SIGINT)
        began = monotonic()
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == "marsbench: stopped; a run that had begun keeps its folder."
    assert monotonic() - began < 10
    assert (
        json.loads((tmp_path / "run" / "wall.json").read_text())["outcome"] == "KeyboardInterrupt"
    )
    assert (tmp_path / "run" / "client.json").exists()
    summary = RunFolder.open(tmp_path / "run").summary()
    assert not summary["valid"]
    assert summary["sessions"]["arrived"] == 64  # the last events too, though they were not due


@pytest.mark.processes
def test_a_second_control_c_ends_it_at_once(stuck: tuple[Server, Path]) -> None:
    """The first waits for a gateway that says nothing more; the second waits for nobody."""
    server, folder = stuck
    process = start(folder, server.url)
    until_submitted(folder, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None, "the first Ctrl-C did not wait for the gateway"
    process.send_signal(signal.SIGINT)
    began = monotonic()
    _, err = process.communicate(timeout=PATIENCE_S)
    assert monotonic() - began < 6  # of the ten seconds that it gives the gateway
    assert process.returncode == 130, err
    assert RunFolder.open(folder / "run").summary()["sessions"]["arrived"] == 64


@pytest.mark.processes
def test_a_run_whose_server_dies_exits_with_3(tmp_path: Path) -> None:
    async def script(call: Call) -> web.StreamResponse:
        return await (call.answer() if call.number < 2 else server.die(call))

    write_workload(Workload("w", tuple(sessions(4))), tmp_path / "w.jsonl")
    with serving(script) as server:
        process = start(tmp_path, server.url, "--json")
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3, err
    assert "the server died during the run" in json.loads(out)["reasons"][0]


@pytest.mark.processes
def test_no_server_there_exits_with_2(tmp_path: Path) -> None:
    write_workload(Workload("w", tuple(sessions(1))), tmp_path / "w.jsonl")
    process = start(tmp_path, "http://127.0.0.1:1")
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("marsbench: No server answers at http://127.0.0.1:1")
    assert err.count("\n") == 1
