"""Every module that a simulated run imports is in `marsbench/core/code.py`, or computes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from house.sources import our_modules
from marsbench.core.code import DECIDES

pytestmark = [pytest.mark.vllm, pytest.mark.processes]

# Names, versions, errors and their sentences; progress; how a file of a user's is put in its place.
COMPUTES_NOTHING = {
    "marsbench",
    "marsbench.clock",
    "marsbench.core.code",
    "marsbench.errors",
    "marsbench.engines",
    "marsbench.extras",
    "marsbench.garbage",
    "marsbench.option",
    "marsbench.outputs",
    "marsbench.problems",
    # vLLM asks every platform plugin that is installed; ours says no where nobody serves.
    "marsbench.serve.plugin",
    "marsbench.text.progress",
    "marsbench.trees",
    *(
        f"marsbench.trees.{name}"
        for name in ("capabilities", "git", "imported", "place", "sources", "tree", "verdicts")
    ),
    "marsbench.version",
}

PLAYED = """
import json, sys
from marsbench.core.isolated import isolated
from marsbench.core.settings import EngineSettings
from marsbench.hardware.profile import load_hardware
from marsbench.core.session import Round, Session, ToolCall

def ours():
    return sorted(m for m in sys.modules if m.split(".")[0] in ("marsbench", "marsbench_backends"))

rounds = (Round(100, 10, (ToolCall("x", floor_s=1.0),)), Round(10, 5))
isolated([Session("a", rounds)], load_hardware(), EngineSettings())
alone = ours()

from marsbench.core.backends import choose
from marsbench.runs.request import RunRequest
from marsbench.engines import run
from marsbench.core.workload.knobs import Knobs

run(RunRequest(choice=choose("{backend}", ()), knobs=Knobs(sessions=1), hardware=load_hardware(),
               show_progress=False))
heavy = [name for name in {heavy} if name in sys.modules]
import scipy.optimize  # whoever wants it after a run has it
print(json.dumps([alone, ours(), heavy]))
"""

HEAVY = ("scipy", "pandas", "matplotlib")
"""What a simulated run has no use for; SciPy alone takes 60 MB."""


def uncounted(loaded: list[str], policies: tuple[str, ...]) -> list[str]:
    """policies: modules that the policy and the controller of the run are written in."""
    files = dict(our_modules())
    counted = {*DECIDES.files(), *(files[f"marsbench_backends.policies.{p}"] for p in policies)}
    # A package's own file has nothing but a sentence on what is in it.
    modules = [n for n in loaded if n in files and files[n].name != "__init__.py"]
    return [n for n in modules if n not in COMPUTES_NOTHING and files[n] not in counted]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Modules after times alone, after a run, and what a run has no use for."""
    folder = tmp_path_factory.mktemp("played")
    script = PLAYED.replace("{backend}", "mars").replace("{heavy}", str(HEAVY))
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_modules_of_a_simulated_run_and_of_times_alone_are_counted(
    loaded: list[list[str]],
) -> None:
    alone, played, _ = loaded
    assert "marsbench.core.sim.solo" in alone
    assert "marsbench_backends.scheduler" in set(played) - set(alone)
    assert "marsbench_backends.policies.mars" in set(played) - set(alone)
    assert uncounted(alone, ("fcfs",)) == []
    assert uncounted(played, ("fcfs", "mars", "mars_admission")) == []


def test_a_run_loads_nothing_heavy_that_it_has_no_use_for(loaded: list[list[str]]) -> None:
    assert loaded[2] == []


def test_what_is_not_counted_is_told() -> None:
    assert uncounted(["marsbench.show.run"], ()) == ["marsbench.show.run"]
    mars = "marsbench_backends.policies.mars"
    assert uncounted([mars], ("fcfs",)) == [mars]
