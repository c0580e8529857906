"""Every module that a simulated run imports is in `marsbench/code.py`, or computes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from house.sources import our_modules
from marsbench.code import SIMULATION, TIMES_ALONE, Code

pytestmark = [pytest.mark.vllm, pytest.mark.processes]

# Names, versions, errors and their sentences; how a file of a user's is put in its place.
COMPUTES_NOTHING = {
    "marsbench",
    "marsbench.code",
    "marsbench.errors",
    "marsbench.extras",
    "marsbench.outputs",
    "marsbench.problems",
}

PLAYED = """
import json, sys
from marsbench.engine.isolated import isolated
from marsbench.engine.settings import EngineSettings
from marsbench.hardware.profile import load_hardware
from marsbench.session import Round, Session, ToolCall

def ours():
    return sorted(m for m in sys.modules if m.split(".")[0] in ("marsbench", "marsbench_backends"))

rounds = (Round(100, 10, (ToolCall("x", floor_s=1.0),)), Round(10, 5))
isolated([Session("a", rounds)], load_hardware(), EngineSettings())
alone = ours()

from marsbench.engine.backends import choose
from marsbench.engine.request import RunRequest
from marsbench.engine.run import run
from marsbench.workload.make import Knobs

run(RunRequest(choice=choose("{backend}", ()), knobs=Knobs(sessions=1), hardware=load_hardware(),
               show_progress=False))
print(json.dumps([alone, ours()]))
"""


def uncounted(loaded: list[str], part: Code) -> list[str]:
    files = dict(our_modules())
    counted = {*part.files()}
    # A package's own file has nothing but a sentence on what is in it.
    modules = [name for name in loaded if files[name].name != "__init__.py"]
    return [n for n in modules if n not in COMPUTES_NOTHING and files[n] not in counted]


def test_the_modules_of_a_simulated_run_and_of_times_alone_are_counted(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLAYED.replace("{backend}", "mars")],
        cwd=tmp_path,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    alone, played = json.loads(done.stdout.splitlines()[-1])
    assert "marsbench_backends.scheduler" in alone
    assert "marsbench_backends.mars" in set(played) - set(alone)
    assert uncounted(alone, TIMES_ALONE) == []
    assert uncounted(played, SIMULATION) == []


def test_what_is_not_counted_is_told() -> None:
    assert uncounted(["marsbench.tables"], SIMULATION) == ["marsbench.tables"]
    assert uncounted(["marsbench_backends.mars"], TIMES_ALONE) == ["marsbench_backends.mars"]
