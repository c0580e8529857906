"""The command line as a user meets it: what was typed, what came back, what lies on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from marsbench import cli

MAIN = "from marsbench.cli import main; main()"
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
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where isolated times are kept by all tests of this folder, and by nobody else."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def marsbench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, cache: Path
) -> Iterator[Marsbench]:
    """Types `marsbench ARGUMENTS…` into this process, in an empty folder."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
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


def start(folder: Path, cache: Path, *arguments: object) -> subprocess.Popen[str]:
    """`marsbench ARGUMENTS…` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "COLUMNS": "80"},
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


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Played:
    folder = tmp_path_factory.mktemp("played")
    alphas = ("--alpha", "1", "--alpha", "1.5", "--alpha", "3")
    arguments = ("run", "--backend", "fcfs", *SMALL, "--seed", "5", *alphas)
    process = start(folder, cache, *arguments, "-o", "run", "--json")
    out, err = process.communicate(timeout=120)
    return Played(Done(process.returncode, out, err), folder / "run", arguments)
