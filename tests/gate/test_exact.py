"""Nothing may have changed: the first difference is named, the code's version is none."""

from __future__ import annotations

import json
import shutil

import pytest

from compare.builders import CODE, seeds, write_run, write_sweep
from marsbench.judge.gate import GateError, gate_exact
from marsbench.runs import Provenance
from marsbench.runs.event_file import open_events


@pytest.fixture
def base(tmp_path):
    return write_run(tmp_path / "base", "mars")


def verdict(base, other):
    report = gate_exact(base, other)
    return report.verdict, report.checks[0].why


def test_the_same_run_passes_whatever_the_commit(base, tmp_path):
    later = Provenance(versions={"marsbench": "0.2.0"}, commit="9" * 40, dirty=True)
    other = write_run(tmp_path / "other", "mars", code=later)
    assert later != CODE
    assert verdict(base, other)[0] == "pass"


def test_another_instant_is_the_first_line_that_differs(base, tmp_path):
    other = write_run(tmp_path / "other", "mars", {"a": 10.0, "b": 30.5})
    found, why = verdict(base, other)
    assert found == "fail"
    assert why.startswith("events.jsonl line ")
    assert "30.0" in why
    assert "30.5" in why


def test_a_line_more_is_a_difference(base, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(base, other)
    with open_events(base) as lines:
        (other / "events.jsonl").write_bytes(lines.read() + b'{"more":1}\n')
    assert 'nothing became {"more":1}' in verdict(base, other)[1]


def test_a_figure_is_named_by_its_path(base, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(base, other)
    summary = json.loads((other / "summary.json").read_text())
    summary["latency"]["mean"] = 21.0
    (other / "summary.json").write_text(json.dumps(summary))
    assert verdict(base, other) == ("fail", "summary.json, latency.mean: 20.0 became 21.0")


def test_a_cell_of_a_table_is_named(base, tmp_path):
    other = write_run(tmp_path / "other", "mars", {"a": 10.0, "b": 30.5})
    for name in ("events.jsonl.zst", "rounds.parquet", "evictions.parquet", "summary.json"):
        shutil.copy(base / name, other / name)
    assert verdict(base, other)[1] == "sessions.parquet row 1, ended_at: 30.0 became 30.5"


def test_a_baseline_of_summaries_is_compared_by_them(base, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    shutil.copy(base / "summary.json", kept)
    assert verdict(kept, base)[0] == "pass"
    assert verdict(base, kept) == ("fail", "the candidate has no events.jsonl")


def test_every_cell_of_a_sweep_is_compared(tmp_path):
    runs = {"fcfs": seeds({"a": 10.0}, {"a": 20.0}), "mars": seeds({"a": 10.0})}
    a, b = (write_sweep(tmp_path / name, runs) for name in ("a", "b"))
    assert [check.place for check in gate_exact(a, b).checks] == [
        "fcfs_seed1",
        "fcfs_seed2",
        "mars_seed1",
    ]
    assert gate_exact(a, b).exit_code == 0
    fewer = write_sweep(tmp_path / "c", {"fcfs": runs["fcfs"]})
    assert gate_exact(a, fewer).checks[2].why == "the candidate has no run mars_seed1"
    assert gate_exact(fewer, a).verdict == "fail"


def test_what_cannot_be_judged_is_an_error(base, tmp_path):
    bad = write_run(tmp_path / "bad", "mars", unfinished=("b",))
    for other in (bad, tmp_path / "none", tmp_path / "base" / "rounds.parquet"):
        with pytest.raises(GateError):
            gate_exact(base, other)
    whole = write_sweep(tmp_path / "s", {"mars": seeds({"a": 10.0})}, planned=("mars_seed2",))
    with pytest.raises(GateError, match="lacks 1 of its runs"):
        gate_exact(whole, whole)
