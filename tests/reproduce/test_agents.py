"""The page on real agents: ratios over fcfs at the same rate, and what must be known of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marsbench.core.events import SessionAdmitted, SessionArrived, SessionEnded
from marsbench.errors import UsageError
from marsbench.runs import RunConfig, RunFolder
from studies.reproduce.agents import agents

SECONDS = {"wait_s": 0.1, "tools_s": 2.0, "framework_s": 1.0, "num_rounds": 3}


def run(folder: Path, backend: str, rate: float, took: float, **seconds: float) -> None:
    config = RunConfig(
        backend=backend,
        workload="shipped",
        workload_hash="h",
        engine="openhands",
        offered_sessions=1,
        workload_meta={"tasks": ["t"], "rate": rate, "arrivals": "poisson", "seed": 1,
                       "context_tokens": 9, "token_rule": "rule"},
        hardware={"id": "gpu", "kv_tokens": 160},
        settings={"openhands_sdk": "1.0"},
    )  # fmt: skip
    with RunFolder.create(folder / f"{rate}-{backend}", config) as writer:
        writer.emit(SessionArrived(0.0, "s"))
        writer.emit(SessionAdmitted(0.5, "s"))
        writer.emit(SessionEnded(took, "s", "finished"))
        task = {"session": "s", "task": "t", "finished": True, "reason": None,
                "check": {"passed": True},
                "seconds": {**SECONDS, "llm_s": took - 3.1, **seconds}}  # fmt: skip
        (writer.path / "tasks.json").write_text(json.dumps([task]))
        writer.finish()


def test_a_backend_is_compared_with_fcfs_at_its_own_rate(tmp_path: Path) -> None:
    for backend, rate, took in (("fcfs", 0.1, 15.0), ("mars", 0.1, 10.0), ("mars", 0.2, 40.0)):
        run(tmp_path, backend, rate, took)
    page, table = agents([tmp_path])
    assert "| 0.1 | `mars` | 1 of 1 | 1 | 10.0 | 10.0 | 10.0 | 1.50x | 1.50x | 1.50x |" in page
    assert "| 0.2 | `mars` | 1 of 1 | 1 | 40.0 | 40.0 | 40.0 |  |  |  |" in page
    assert "tipping point" not in page
    assert table.splitlines()[1] == "0.1,fcfs,s,t,True,True,11.9,2.0,1.0,0.1"


def test_a_ratio_of_a_baseline_that_tipped_over_comes_with_a_caution(tmp_path: Path) -> None:
    run(tmp_path, "fcfs", 0.1, 100.0)
    run(tmp_path, "mars", 0.1, 10.0)
    assert "tipping point" in agents([tmp_path])[0]


def test_a_run_on_a_busier_machine_is_told_by_its_tools(tmp_path: Path) -> None:
    run(tmp_path, "fcfs", 0.1, 10.0)
    run(tmp_path, "mars", 0.1, 10.0, tools_s=4.0)
    assert "the same tools took 4.0 s with `mars` and 2.0 s" in agents([tmp_path])[0]


def test_a_folder_without_real_agents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No run of real agents"):
        agents([tmp_path])
