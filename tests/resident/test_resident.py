"""A run forked by the resident process is the run that would have been made here."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from marsbench.errors import MarsbenchError
from waits import until

pytestmark = [pytest.mark.vllm, pytest.mark.processes]

SMALL = ("run", "--backend", "fcfs", "--workload", "ilr-1", "--sessions", "1", "--seed", "1")


def hears_ctrl_c() -> None:
    """Where these tests run in the background, a shell has had them ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Home:
    """A user's places, in which a resident process listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = os.environ | {
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "MARSBENCH_RESIDENT": "on",
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "marsbench", *arguments],
            cwd=self.folder,
            env=self.env | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hears_ctrl_c,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        process = self.start(*arguments, **environment)
        out, err = process.communicate()
        return process.returncode, out, err

    @property
    def sockets(self) -> list[Path]:
        return list(self.folder.glob("marsbench-*/*.sock"))

    @property
    def servers(self) -> list[psutil.Process]:
        """The resident processes of this home."""
        found = [p for p in psutil.process_iter(["ppid"]) if str(self.folder) in _words(p)[-1]]
        pids = {process.pid for process in found}
        return [
            p for p in found if p.info["ppid"] not in pids
        ]  # a run is a fork, with the same words


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        if "marsbench.resident.server" in (words := process.cmdline()):
            return words
    return [""]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    found = Home(tmp_path_factory.mktemp("r"))
    code, _, err = found.run(*SMALL, "-o", "first")
    assert code == 0, err
    yield found
    for server in found.servers:
        server.terminate()


def test_its_bytes_are_those_of_a_run_without_it(home: Home) -> None:
    code, out, _ = home.run(*SMALL, "-o", "second", "--json")
    assert code == 0
    alone, out_alone, _ = home.run(*SMALL, "-o", "third", "--json", MARSBENCH_RESIDENT="off")
    assert (code, out) == (alone, out_alone)
    for name in ("events.jsonl.zst", "summary.json", "run.json", "ideal.json", "rounds.parquet"):
        contents = {(home.folder / run / name).read_bytes() for run in ("first", "second", "third")}
        assert len(contents) == 1, name
    assert len(home.servers) == 1


def test_its_socket_is_readable_by_its_user_only(home: Home) -> None:
    (path,) = home.sockets
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_mistake_has_its_sentence_and_its_exit_code(home: Home) -> None:
    code, out, err = home.run("run", "--backend", "nosuch")
    assert (code, out) == (2, "")
    assert err.startswith("marsbench: Unknown backend 'nosuch'.")


def test_what_breaks_in_a_fork_is_shown_as_it_would_be_here(home: Home) -> None:
    router = "from marsbench.replicas.router import Router\n\nclass Broken(Router):\n"
    (home.folder / "broken.py").write_text(f"{router}    def route(self, *_):\n        1 // 0\n")
    code, _, err = home.run(*SMALL, "--replicas", "2", "--router", "broken:Broken", "-o", "broken")
    assert code == 1
    assert err.endswith("ZeroDivisionError: integer division or modulo by zero\n")


def test_ctrl_c_stops_the_run_and_keeps_its_folder(home: Home) -> None:
    long = ("run", "--backend", "fcfs", "--sessions", "400", "--rate", "0.05", "-o", "stopped")
    process = home.start(*long)
    until((home.folder / "stopped" / "events.jsonl").exists, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "stopped; a run that had begun keeps its folder" in err
    assert (home.folder / "stopped" / "wall.json").exists()


def test_a_command_that_is_killed_takes_its_run_with_it(home: Home) -> None:
    long = ("run", "--backend", "fcfs", "--sessions", "400", "--rate", "0.05", "-o", "killed")
    process = home.start(*long)
    until((home.folder / "killed" / "events.jsonl").exists, process)
    process.kill()
    process.communicate()
    (server,) = home.servers
    until(lambda: not server.children())


def test_a_run_whose_resident_process_is_killed_is_not_played_again(home: Home) -> None:
    long = ("run", "--backend", "fcfs", "--sessions", "400", "--rate", "0.05", "-o", "lost")
    process = home.start(*long)
    until((home.folder / "lost" / "events.jsonl").exists, process)
    (server,) = home.servers
    (run,) = server.children()
    server.kill()
    run.kill()
    _, err = process.communicate()
    assert process.returncode == MarsbenchError.exit_code
    assert "the resident process ended before its run did" in err
    assert home.run(*SMALL, "-o", "after")[0] == 0  # another one is started


def test_ctrl_c_while_it_starts_is_a_sentence(home: Home) -> None:
    before = home.servers
    process = home.start("run", "--backend", "fcfs", VLLM_LOGGING_LEVEL="WARNING")
    until(lambda: len(home.servers) > len(before), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    for server in home.servers:
        if server not in before:
            server.terminate()  # it would go on importing, for the next command
    assert process.returncode == 130
    assert "Traceback" not in err


def test_it_ends_when_nobody_asks(home: Home) -> None:
    (socket,) = home.sockets
    socket.unlink()  # and when its socket is gone, which is looked at no more often
    until(lambda: not home.servers)
