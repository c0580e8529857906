"""How a live run ends as a process: exit codes, Ctrl-C once, and a second time at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from live.world import Call, Server, a_session, serving, sessions
from marsbench.core.events import Event
from marsbench.core.workload.files import Workload, write_workload
from marsbench.runs import RunFolder
from waits import output, until

# A shell that starts us in the background has Ctrl-C ignored; a person at a terminal has not.
MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from marsbench.cli.main import main; main()"
)
PATIENT = "import marsbench.wall.gateway as gateway; gateway.ANSWER_S = 3600.0; "


def start(folder: Path, url: str, *more: object, main: str = MAIN) -> subprocess.Popen[str]:
    arguments = ("run", "--backend", "fcfs", "--engine", "live", "--url", url)
    what = ("--workload", folder / "w.jsonl", "--isolated", "none", "-o", folder / "run", *more)
    return subprocess.Popen(
        [sys.executable, "-c", main, *map(str, (*arguments, *what))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error::ResourceWarning"},
    )


def events(folder: Path) -> list[Event]:
    return list(RunFolder.open(folder / "run").events())


def until_submitted(folder: Path, process: subprocess.Popen[str]) -> None:
    """Until a round is with the server, as the run's own file says."""
    file = folder / "run" / "events.jsonl"

    def submitted() -> bool:
        assert process.poll() is None, process.communicate()
        return file.exists() and "gpu_submit" in file.read_text()

    until(submitted, process)


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[tuple[Server, Path, list[web.Request]]]:
    """A server that answers one round, and then no other; the events of 64 sessions reach disk.

    It answers the first who asks for a gateway's events, and no other; who asks is in the list.
    """

    async def script(call: Call) -> web.StreamResponse:
        if call.number:
            await asyncio.sleep(600)
        return await call.answer()

    async def info(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"backend": "fcfs", "parameters": {}})

    asked: list[web.Request] = []

    async def said(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        if len(asked) > 1:
            await asyncio.sleep(600)
        return web.Response(headers={"X-Next": "0"})

    many = [a_session(f"s{n}", 0.001 * n) for n in range(64)]
    write_workload(Workload("w", tuple(many)), tmp_path / "w.jsonl")
    routes = {"/marsbench/info": info, "/marsbench/events": said}
    with serving(script, routes=routes) as server:
        yield server, tmp_path, asked


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
        out, err = output(process)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == "marsbench: stopped; a run that had begun keeps its folder."
    assert (
        json.loads((tmp_path / "run" / "wall.json").read_text())["outcome"] == "KeyboardInterrupt"
    )
    assert (tmp_path / "run" / "client.json").exists()
    summary = RunFolder.open(tmp_path / "run").summary()
    assert not summary["valid"]
    assert summary["sessions"]["arrived"] == 64  # the last events too, though they were not due


@pytest.mark.processes
def test_a_second_control_c_ends_it_at_once(
    stuck: tuple[Server, Path, list[web.Request]],
) -> None:
    """The first waits for a gateway that says nothing more, an hour long; the second for nobody."""
    server, folder, asked = stuck
    process = start(folder, server.url, main=PATIENT + MAIN)
    until_submitted(folder, process)
    process.send_signal(signal.SIGINT)
    until(lambda: len(asked) == 3, process)  # before the run, during it, and at its end
    assert process.poll() is None, "the first Ctrl-C did not wait for the gateway"
    process.send_signal(signal.SIGINT)
    _, err = output(process)
    assert process.returncode == 130, err
    assert RunFolder.open(folder / "run").summary()["sessions"]["arrived"] == 64


@pytest.mark.processes
def test_a_run_whose_server_dies_exits_with_3(tmp_path: Path) -> None:
    async def script(call: Call) -> web.StreamResponse:
        return await (call.answer() if call.number < 2 else server.die(call))

    write_workload(Workload("w", tuple(sessions(4))), tmp_path / "w.jsonl")
    with serving(script) as server:
        process = start(tmp_path, server.url, "--json")
        out, err = output(process)
    assert process.returncode == 3, err
    assert "the server died during the run" in json.loads(out)["reasons"][0]


@pytest.mark.processes
def test_no_server_there_exits_with_2(tmp_path: Path) -> None:
    write_workload(Workload("w", tuple(sessions(1))), tmp_path / "w.jsonl")
    process = start(tmp_path, "http://127.0.0.1:1")
    out, err = output(process)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("marsbench: No server answers at http://127.0.0.1:1")
    assert err.count("\n") == 1
