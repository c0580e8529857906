"""The command line as a user meets it: what was typed, what came back, what lies on the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from marsbench.cli import main as cli
from waits import output

MAIN = "from marsbench.cli.main import main; main()"
SMALL = ("--workload", "chat", "--sessions", "4", "--rate", "0.2")
"""A run of a fraction of a second, once vLLM is imported."""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence on stderr of a command that was refused."""
        assert self.out == ""
        assert self.err.startswith("marsbench: ")
        assert self.err.count("\n") == 1
        return self.err.removeprefix("marsbench: ").rstrip("\n")


Marsbench = Callable[..., Done]


@pytest.fixture(scope="session")
def xdg_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where isolated times are kept by all tests of this folder, and by nobody else."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def marsbench(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    xdg_cache: Path,
) -> Iterator[Marsbench]:
    """Types `marsbench ARGUMENTS…` into this process, in an empty folder."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_CACHE_HOME", str(xdg_cache))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "path", [*sys.path])
    modules = set(sys.modules)

    def typed(*arguments: object) -> Done:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["marsbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        code = end.value.code
        assert code is None or isinstance(code, int)
        return Done(code or 0, *capsys.readouterr())

    yield typed
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def start(folder: Path, xdg_cache: Path, *arguments: object) -> subprocess.Popen[str]:
    """`marsbench ARGUMENTS…` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(xdg_cache), "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(frozen=True)
class Played:
    """The run that most tests look at: a process of its own, --json, in `folder`."""

    done: Done
    folder: Path
    arguments: tuple[str, ...]


PLAYED = ("run", "--backend", "fcfs", *SMALL, "--seed", "5")
ALPHAS = ("--alpha", "1", "--alpha", "1.5", "--alpha", "3")
LARGE = ("--workload", "ilr-1", "--sessions", "12", "--load", "2")


@dataclass(frozen=True)
class Processes:
    """Two runs that import vLLM at the same time: one to look at, one to kill."""

    folder: Path
    played: subprocess.Popen[str]
    killed: subprocess.Popen[str]


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory, xdg_cache: Path) -> Iterator[Processes]:
    folder = tmp_path_factory.mktemp("runs")
    played = start(folder, xdg_cache, *PLAYED, *ALPHAS, "-o", "run", "--json")
    killed = start(folder, xdg_cache, "run", "--backend", "fcfs", *LARGE, "-o", "killed")
    yield Processes(folder, played, killed)
    for process in (played, killed):
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def killed(processes: Processes) -> Path:
    """The folder of a run that was killed while it wrote."""
    folder, process = processes.folder / "killed", processes.killed
    events = folder / "events.jsonl"
    while process.poll() is None and not (events.exists() and events.stat().st_size):
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
    return folder


@pytest.fixture(scope="session")
def played(processes: Processes, killed: Path) -> Played:
    out, err = output(processes.played)
    done = Done(processes.played.returncode, out, err)
    return Played(done, processes.folder / "run", (*PLAYED, *ALPHAS))
