"""A tiny map, played and written: three sessions, two cells."""

from __future__ import annotations

import csv
import re
import shutil

import pytest

from marsbench.judge.sweep.play import play
from marsbench.judge.sweep.run import sweep
from marsbench.judge.sweep.workers import Outcome
from studies import berth
from studies.map.__main__ import main
from studies.map.read import read
from studies.map.words import passing_bounds
from sweep.fakes import sweep_file

TINY = """
description = "A tiny map"
seeds = [1, 2]
sessions = 3
alphas = [3.0, 1.5, 2.0, 5.0]
engines = [{ profile = "paper", block_size = 64, kv_blocks = 3999, tool_cores = 24 }]

[[parts]]
refine = { margin = 1.0, most = 2 }
backends = [
    "fcfs",
    { name = "fcfs-cap", label = "fcfs-cap-1", set = { cap = 1 } },
    { name = "fcfs-cap", label = "fcfs-cap-2", set = { cap = 2 } },
    "mars",
    "berth",
]
[[parts.workloads]]
name = "ilr-1"
label = "contended"
tools = "contended"
loads = [1.0, 3.0]
warm_start = true

[[parts]]
seeds = [1]
backends = [
    "oracle",
    { name = "mars", label = "mars-no-admission", set = { admission = false } },
    { name = "berth", label = "berth-no-memory", set = { memory = false } },
]
[[parts.workloads]]
name = "ilr-1"
label = "contended"
tools = "contended"
loads = [3.0]
warm_start = true
"""


def here(groups, jobs):
    for order in (order for group in groups for order in group):
        play(order)
        yield Outcome(order)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("map")
    report = sweep(str(sweep_file(path, TINY, "tiny")), path / "out", 1, here)
    assert report.failures == ()
    return path / "out"


@pytest.mark.vllm
def test_the_map_says_who_is_best_in_each_cell(folder):
    found = read(folder, bounded=True)
    assert [one.world.load for one in found.standings] == [1.0, 3.0]
    light, heavy = found.standings
    assert heavy.contenders == ("fcfs", "mars", "berth", "fcfs-cap")
    assert {"oracle", "mars-no-admission"} <= heavy.points.keys()
    assert heavy.seeds == 2, "as near as the margin, so that a second seed was asked for"
    assert min(one.times for n, one in heavy.regrets.items() if n in heavy.contenders) <= 1.0
    assert heavy.world.tool_load > 2.9 * light.world.tool_load > 0


@pytest.mark.vllm
def test_no_run_passes_the_bound(folder):
    found = read(folder, bounded=True)
    assert len(found.bounds) == 2
    assert passing_bounds(found) == []
    assert (folder / "bounds.json").is_file()


@pytest.mark.vllm
def test_modes_are_shares_of_the_whole_run(folder):
    shares = read(folder, bounded=False).shares
    assert shares
    for own in shares.values():
        assert sum(own.values()) == pytest.approx(1.0)
        assert all(0.0 <= share <= 1.0 for share in own.values())


@pytest.mark.vllm
def test_the_page_its_rows_and_its_pictures(folder, tmp_path, capsys):
    page = tmp_path / "map.md"
    assert main([str(folder), "-o", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("# Who is best where\n\nOf 2 cells, best or level with the best: `")
    assert not re.search(r"[{}]", text), "a field of the page was left open"
    assert "`mars`, admission: " in text
    assert "goodput(3) within 2 points of the highest other: " in text
    assert re.search(r"^\| contended, load 3, .*× \([+-]\d+\) \|", text, re.MULTILINE), "a part"
    for name in re.findall(r"\((map-\w+\.svg)\)", text):
        assert (tmp_path / name).read_text().startswith("<?xml")
    rows = list(csv.DictReader((tmp_path / "map.csv").read_text().splitlines()))
    best = {(row["load"], row["backend"]) for row in rows if row["best"] == "true"}
    assert {load for load, _ in best} == {"1.0", "3.0"}
    assert len(best) == 2
    assert all(float(row["least_latency_s"]) > 0 for row in rows)


@pytest.mark.vllm
def test_a_cell_waits_for_everybody_who_may_be_best(folder, tmp_path):
    part = tmp_path / "part"
    shutil.copytree(folder, part)
    shutil.rmtree(part / "contended_load1_h200_paper_base_mars_seed1")
    found = read(part, bounded=False)
    assert [one.world.load for one in found.standings] == [3.0]
    assert found.open == 1


def test_a_folder_without_runs_is_told(tmp_path, capsys):
    (tmp_path / "sweep.json").write_text('{"name": "map", "file": "", "cells": []}')
    assert main([str(tmp_path), "-o", str(tmp_path / "map.md")]) == 2
    assert "holds no complete run yet" in capsys.readouterr().err


@pytest.mark.vllm
def test_berths_own_page_holds_it_against_the_best_other_and_its_beliefs_apart(folder, tmp_path):
    first_part = TINY.rpartition("[[parts]]")[0].replace("refine = { margin = 1.0, most = 2 }", "")
    alone = re.sub(r"backends = \[.*?\n\]", 'backends = ["berth"]', first_part, flags=re.DOTALL)
    file = sweep_file(tmp_path, alone, "beliefs")
    sweep(str(file), tmp_path / "beliefs", 1, here)
    page = tmp_path / "berth.md"
    assert berth.main([str(folder), str(tmp_path / "beliefs"), "-o", str(page)]) == 0
    first, second = page.read_text().split("\n## ")[1:]
    assert "goodput(3) within 2 points of the highest other: " in first
    assert re.search(r"^\| berth \| \d+%, [\d.,]+ s \|", second, re.MULTILINE)
    with page.with_suffix(".csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["sweep"] == folder.name]
    assert {row["backend"] for row in rows} >= {"berth", "mars", "fcfs"}
