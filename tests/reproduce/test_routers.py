"""The study of routers, at its smallest: a few sessions, two replicas, four routers."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from marsbench.errors import UsageError
from marsbench.judge.sweep.cells import cells_of
from marsbench.judge.sweep.spec import find_sweep, read_sweep_file
from marsbench.replicas.registry import ROUTERS
from reproduce.small_sweep import played
from studies.routers.__main__ import main
from studies.routers.arguments import ARGUMENTS
from studies.routers.document import _not_all, document, is_level
from studies.routers.rows import Row, read

SMALL = """
backends = ["fcfs", "mars"]
workloads = ["crowd.jsonl"]
replicas = [1, 2]
routers = ["round-robin", "session-affinity", "clairvoyant", "llm-d"]

[[engines]]
label = "small"
kv_blocks = 150
"""


@pytest.mark.vllm
def test_the_page_says_who_is_best_and_what_is_argued(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = played(SMALL, 7, tmp_path)
    page = tmp_path / "page.md"
    assert main([str(folder.path), "-o", str(page)]) == 0
    rows = read(folder.path)
    assert len(rows) == 2 * 4
    by_turns = next(row for row in rows if (row.router, row.backend) == ("round-robin", "fcfs"))
    stays = next(row for row in rows if (row.router, row.backend) == ("session-affinity", "fcfs"))
    assert by_turns.moves > stays.moves == 0
    assert (by_turns.hit_share or 1.0) < (stays.hit_share or 0.0) <= (stays.endless_share or 0.0)
    text = page.read_text()
    assert "## Crowd at 0, 2 replicas" in text
    assert all(f"| {one.who} |" in text for one in ARGUMENTS)
    shown = list(csv.DictReader(page.with_suffix(".csv").read_text().splitlines()))
    assert [row["router"] for row in shown] == [row.router for row in rows]
    for name in ("latency", "cache"):
        assert (tmp_path / f"page-{name}.svg").read_text().startswith("<?xml")


def test_the_study_plays_every_router_where_all_its_places_have_it() -> None:
    path = find_sweep("routers")
    file = read_sweep_file(path)
    played = {router.name for part in file.products for router in part.routers}
    assert played == set(ROUTERS) - {"migrate"}  # no place has a link between its replicas
    assert len(cells_of(file, path.parent)) == 17 * 3 * 3 * 2 * 2


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no complete run.*make routers"):
        document([tmp_path], "x")


@pytest.mark.parametrize(
    ("goodput", "latency_s", "level"),
    [(0.9, 100.0, True), (0.86, 105.0, True), (0.84, 90.0, False), (0.9, 106.0, False)],
)
def test_level_is_within_the_margin_in_both(goodput: float, latency_s: float, level: bool) -> None:
    best = row(goodput=0.9, latency_s=100.0)
    assert is_level(row(goodput=goodput, latency_s=latency_s), best) is level


def test_a_place_at_which_a_pair_is_missing_is_named() -> None:
    here, there = row(0.9, 1.0), replace(row(0.9, 1.0), load=0.6)
    assert list(_not_all([here, there])) == []
    (said,) = _not_all([here, there, replace(here, router="dynamo")])
    assert said.endswith("was played: short at 0.6, 4 replicas: 1 of 2.\n")


def row(goodput: float, latency_s: float) -> Row:
    return Row(
        workload="short", load=0.9, replicas=4, router="smg", backend="fcfs", seed=1,
        goodput=goodput, latency_s=latency_s, ttft_p50_s=None, ttft_p99_s=None, hit_share=None,
        endless_share=None, busy_cv=None, moves=0, moved_tokens=0, evicted_blocks=None,
    )  # fmt: skip
