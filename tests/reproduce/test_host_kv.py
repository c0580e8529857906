"""The study of KV in host memory, at its smallest: a few sessions, three engines."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from marsbench.errors import UsageError
from marsbench.judge.sweep.cells import cells_of
from marsbench.judge.sweep.spec import find_sweep, read_sweep_file
from reproduce.small_sweep import played
from studies.host_kv.__main__ import main
from studies.host_kv.document import document
from studies.host_kv.rows import Row
from studies.host_kv.steady import section

SMALL = """
backends = ["fcfs"]
workloads = ["crowd.jsonl"]

[[engines]]
label = "0"
kv_blocks = 60

[[engines]]
label = "2"
kv_blocks = 60
host_kv = 0.5

[[engines]]
label = "2 lazy"
kv_blocks = 60
host_kv = 0.5
host_kv_store = "lazy"
"""


@pytest.mark.vllm
def test_the_page_says_what_came_from_where(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = played(SMALL, 8, tmp_path)
    rows, text, table = document([folder.path], "host-kv.svg")
    off, eager, lazy = rows
    assert off.from_host == 0.0
    assert off.load_wait_s is None
    for row in (eager, lazy):
        assert (row.from_host or 0.0) > 0.05
        assert (row.load_wait_s or 0.0) > 0
    assert "| 2 lazy | fcfs |" in text
    assert "| crowd | 2 lazy | fcfs |" in text  # beside eager LRU of its size
    assert "With 8 sessions" not in text
    assert "vLLM #43946" in text
    assert len(table.splitlines()) == 4
    assert main([str(folder.path), "-o", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.svg").read_text().startswith("<?xml")


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no complete run"):
        document([tmp_path], "x.svg")


def test_the_sweep_is_one() -> None:
    path = find_sweep("host-kv")
    assert len(cells_of(read_sweep_file(path), path.parent)) == 6 * 6 + 5 * 5 * 6 + 2 * 3 * 4
    for name, cells in (("host-kv-lazy", 3 * 3 * 3), ("host-kv-steady", 7 * (2 + 3 + 2 + 3))):
        path = find_sweep(name)
        assert len(cells_of(read_sweep_file(path), path.parent)) == cells


def row(backend: str, sessions: int, seed: int, steady_goodput: float) -> Row:
    """Of one place and engine; what is no matter here was not measured."""
    measured = {"goodput": 0.5, "steady_goodput": steady_goodput, "steady_latency_s": 100.0}
    place = {"workload": "w", "load": 0.9, "engine": "1", "backend": backend}
    others = {field.name: None for field in fields(Row)}
    return Row(**{**others, **place, **measured, "sessions": sessions, "seed": seed})


def test_more_sessions_stand_beside_fewer_by_the_same_figure() -> None:
    few = [row("fcfs", 100, 1, 0.25), row("cap-10", 100, 1, 0.9)]
    more = [row("fcfs", 200, seed, 0.25 * seed) for seed in (2, 1)]
    caps = [row(f"cap-{cap}", 200, 1, cap / 50) for cap in (10, 20)]
    (text,) = section([*few, *more, *caps])
    assert "| w at load 0.9 | 1 | fcfs | 25 % | 100.0 | 25 %, 50 % | 100.0, 100.0 |" in text
    assert "| cap-10 | 90 % | 100.0 | 20 % |" in text
    assert "| cap-20 * | – | – | 40 % |" in text  # the best of them
    assert section(few) == []
