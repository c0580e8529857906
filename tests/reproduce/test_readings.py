"""The study of readings: what it plays, and what it says of it."""

from __future__ import annotations

import csv
import io

from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.sweep.run import sweep
from marsbench.judge.sweep.spec import find_sweep, read_sweep_file
from marsbench.text.options import as_set
from marsbench_backends.registry import BACKENDS, load
from reproduce.builders import HERE, matrix, point
from studies.reproduce.readings import by_backend, readings
from sweep.fakes import in_process, sweep_file

ALIKE = {"autellix-atlas"}
"""Differs from `autellix` under sub-agents alone, which the sessions of the study have not."""

OURS = """
backends = [
    "mars",
    { name = "mars", label = "mars reserve=false", set = { reserve = false } },
    "mars-published",
]
alphas = [3.0, 1.5, 2.0, 5.0]
[[workloads]]
name = "ilr-1"
loads = [0.5]
"""


def listed(name):
    """Every reading of a backend as the sweep labels it."""
    settings = [
        f"{parameter.name}={as_set(value)}"
        for parameter in load(name).parameters
        if parameter.reading is not None
        for value in parameter.reading.others
    ]
    return {name, *(f"{name} {setting}" for setting in settings)}


def test_the_shipped_sweep_plays_every_reading_of_the_registry_and_no_other():
    entries = read_sweep_file(find_sweep("readings")).backends
    assert {one.key for one in entries} == set().union(*map(listed, {*BACKENDS} - ALIKE))
    for one in entries:
        setting = one.key.partition(" ")[2]
        assert one.assignments() == ([setting] if setting else []), one.key
        load(one.name).build({k: v for k, _, v in (s.partition("=") for s in one.assignments())})


def told(*points):
    """One backend's default and readings as (label, goodput(3), mean latency)."""
    return matrix(*(point(name, goodput_3=good, latency_mean_s=s) for name, good, s in points))


def test_a_backends_readings_stand_behind_its_default():
    found = told(("a x=1", 0.9, 20), ("a", 0.5, 10), ("b y=2", 1, 1))
    assert [one.setting for one in by_backend(found, HERE)["a"]] == ["", "x=1"]
    assert "b" not in by_backend(found, HERE), "without a default there is nothing to move"


def test_bands_movers_and_the_lifted_are_of_the_readings():
    from studies.reproduce.readings import _bands, _movers, _winners

    found = told(
        ("a", 0.5, 10), ("a x=1", 0.9, 20), ("a x=2", 0.5, 10), ("b", 0.8, 12), ("oracle", 1, 1)
    )
    (row,) = [row for row in _bands(found, HERE).rows if row[0] == "a"]
    assert row[1] == "2"
    assert "50% (50%–90%)" in row
    assert "10.0 (10.0–20.0)" in row
    (moved,) = _movers(found, HERE).rows
    assert moved == ("a", "`x=1`", "2.00×", "`x=2`", "1.00×", "1 of 2: `x=2`")
    best = {row[0]: row[1:] for row in _winners(found, HERE).rows}
    assert best[Figure("goodput", 3.0).label] == ("b 80%", "`a`")
    assert best["all"][0] == "b by every measure. Of a and b.", "who was not played cannot win"


def test_the_page_says_what_the_reservation_is_worth(tmp_path):
    sweep(str(sweep_file(tmp_path, OURS)), tmp_path / "out", 1, in_process)
    page, table = readings([tmp_path / "out"])
    assert "3 runs of `mine`" in page
    assert "| mars | **1 of 18** | " in page, "others were not played"
    assert "Its mean latency over that of `mars`: 1.00× at ilr-1 at load 0.5." in page
    assert (
        "| mars | `reserve=false` | 1.00× | `reserve=false` | 1.00× | 1 of 1: `reserve=false` |"
        in page
    )
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["backend"] for row in rows] == ["mars", "mars reserve=false", "mars-published"]
    assert {row[str(LATENCY)] for row in rows} == {"20"}
