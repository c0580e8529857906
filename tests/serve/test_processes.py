"""A server that dies, never answers, or will not end: with processes that play one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from marsbench.clock import monotonic
from marsbench.engine.backends import choose
from marsbench.errors import RunFailedError
from marsbench.serve.log import reason
from marsbench.serve.plan import ServeRequest
from marsbench.serve.server import Server, await_health, ended_by_signals

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


def playing(code: str, folder: Path) -> Server:
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=out, stderr=out, start_new_session=True
        )
    return Server(ServeRequest(choose("fcfs"), model="m"), process, 1, log)


@pytest.mark.processes
def test_one_that_dies_is_explained_by_its_log(tmp_path: Path) -> None:
    server = playing("raise ValueError('no such model')", tmp_path)
    with pytest.raises(RunFailedError, match="exit code 1: ValueError: no such model"):
        await_health(server, 30)


@pytest.mark.processes
def test_one_that_never_answers_is_given_up(tmp_path: Path) -> None:
    server = playing(STUBBORN, tmp_path)
    try:
        with pytest.raises(RunFailedError, match=r"did not answer within 0 s"):
            await_health(server, 0.1)
    finally:
        server.stop(grace_s=0.1)


@pytest.mark.processes
def test_one_that_will_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    server = playing(STUBBORN, tmp_path)
    leader = psutil.Process(server.process.pid)
    until = monotonic() + 20
    while not leader.children() and monotonic() < until:
        pass
    (child,) = leader.children()
    server.stop(grace_s=0.1)
    assert server.process.returncode == -signal.SIGKILL
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_server_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs([server], timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


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
