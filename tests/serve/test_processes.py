"""A server that dies, never answers, or will not end: with processes that play one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from marsbench.core.backends import choose
from marsbench.errors import RunFailedError
from marsbench.patience import Patience
from marsbench.serve import server as module
from marsbench.serve.log import reason
from marsbench.serve.plan import ServeRequest
from marsbench.serve.server import VllmServer, await_health, ended_by_signals
from waits import until

psutil = pytest.importorskip("psutil")

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("up", flush=True)
time.sleep(60)
"""

PARENT = """
import subprocess, sys, time
from marsbench.serve.server import end_with_parent
sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
child = subprocess.Popen(sleeper, start_new_session=True, preexec_fn=end_with_parent)
print(child.pid, flush=True)
time.sleep(60)
"""


def has_ended(process: Any) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def playing(code: str, folder: Path) -> VllmServer:
    log, port = folder / "server.log", free_port()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    return VllmServer(ServeRequest(choose("fcfs"), model="m"), process, port, log)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.processes
def test_one_that_dies_is_explained_by_its_log(tmp_path: Path) -> None:
    server = playing("raise ValueError('no such model')", tmp_path)
    with pytest.raises(RunFailedError, match="exit code 1: ValueError: no such model"):
        await_health(server, 600)


@pytest.mark.processes
def test_one_that_never_answers_and_does_nothing_is_given_up(tmp_path: Path) -> None:
    server = playing(STUBBORN, tmp_path)
    until(lambda: server.log.read_text())
    try:
        with pytest.raises(RunFailedError, match=r"neither .* nor worked; --timeout .*:\n  up$"):
            await_health(server, 0.5)
    finally:
        server.stop(grace_s=0.1)


@pytest.mark.processes
def test_one_that_will_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    server = playing(STUBBORN, tmp_path)
    leader = psutil.Process(server.process.pid)
    until(leader.children, server.process)
    (child,) = leader.children()
    server.stop(grace_s=0.1)
    assert server.process.returncode == -signal.SIGKILL
    assert has_ended(child)


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"0": {"endpoint": "tcp://there"}}')

    def log_message(self, *_: object) -> None: ...


@pytest.mark.processes
def test_a_slow_start_is_waited_for_while_its_log_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty lines, 90 s from one to the next; 100 s of silence would be too long."""
    server, seconds = playing("input()", tmp_path), iter(range(0, 90 * 20, 90))
    now = [0.0]

    def sleep(_: float) -> None:
        now[0] = float(next(seconds))
        with server.log.open("a") as log:
            log.write("loading\n")
        if now[0] == 90 * 19:
            answering = HTTPServer(("127.0.0.1", server.port), Answers)
            threading.Thread(target=answering.serve_forever, daemon=True).start()
            closing.append(answering)

    closing: list[HTTPServer] = []
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(module, "Patience", partial(Patience, now=lambda: now[0]))
    monkeypatch.setattr(server, "check_alive", lambda: None)
    await_health(server, 100)
    assert server.kv_events == "tcp://there"
    closing[0].shutdown()
    closing[0].server_close()
    server.process.wait()


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_server_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    until(lambda: has_ended(server))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_block_and_are_no_error(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    reached = []
    with ended_by_signals():
        os.kill(os.getpid(), number)
        reached.append("not this")
    assert reached == []
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "its log is empty"),
        ("loading\nready\n", "ready"),
        ("(EngineCore pid=7) ValueError: too small\nbye\n", "ValueError: too small"),
        (
            "usage: x\nvllm serve: error: argument --a: bad\n",
            "vllm serve: error: argument --a: bad",
        ),
        (
            "(EngineCore pid=7) RuntimeError: no memory\n"
            "RuntimeError: Engine core initialization failed. See root cause above.\n",
            "RuntimeError: no memory",
        ),
        ("ValueError: " + "x" * 1000, "ValueError: " + "x" * 288 + "…"),
    ],
)
def test_the_line_that_says_most(lines: str, said: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(lines)
    assert reason(log) == said
