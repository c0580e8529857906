"""A run folder is complete, repeatable to the byte, and readable after a kill."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from marsbench.core.events import SessionArrived, SessionEnded
from marsbench.errors import RunFailedError, UsageError
from marsbench.runs import Caution, RunFolder
from marsbench.runs import folder as folder_module
from runs.conftest import EVENTS, IDEAL

STABLE = {
    "run.json",
    "events.jsonl.zst",
    "ideal.json",
    "rounds.parquet",
    "sessions.parquet",
    "evictions.parquet",
    "usage.parquet",
    "summary.json",
    "files.json",
}


def play(path, config, events=EVENTS):
    with RunFolder.create(path, config) as run:
        for event in events:
            run.emit(event)
        run.save_ideal(IDEAL)
        return run.finish()


def refused(*arguments):
    """A disk that takes no more."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_finished_run_reads_back_what_it_returned(tmp_path, config):
    summary = play(tmp_path / "run", config)
    read = RunFolder.open(tmp_path / "run")
    assert read.complete
    assert read.summary() == summary
    assert read.config == config
    assert list(read.events()) == EVENTS
    assert summary["goodput"]["3"] == {"share": 1.0, "rate": 2 / 35, "good": 2, "arrived": 2}
    assert (summary["valid"], summary["reasons"]) == (True, [])
    assert (summary["backend"], summary["workload_hash"], summary["seed"]) == ("fcfs", "91c2", 7)


def test_the_same_inputs_give_the_same_bytes_but_for_the_wall_clock(tmp_path, config):
    for name in ("one", "two"):
        play(tmp_path / name, config)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert set(one) == {*STABLE, "wall.json"}
    assert {name for name in one if one[name] != two[name]} == {"wall.json"}


def test_a_summary_is_what_its_events_say(finished):
    figures = finished.measure().summary
    summary = finished.summary()
    assert {name: summary[name] for name in figures} == json.loads(json.dumps(figures))


def test_a_summary_of_an_earlier_marsbench_says_none_to_what_it_did_not_measure(finished):
    path = finished.path / "summary.json"
    record = json.loads(path.read_text())
    del record["swaps"], record["prefix_hit_rate"]["host_all"]
    path.write_text(json.dumps(record))
    (finished.path / "files.json").unlink()
    read = finished.summary()
    assert read["swaps"] == {"out_blocks": None, "in_blocks": None, "lost_blocks": None}
    assert read["prefix_hit_rate"]["host_all"] is None
    assert read["evictions"] == record["evictions"]


def test_tables_have_a_row_a_record_and_typed_columns(finished):
    rounds, sessions = finished.table("rounds"), finished.table("sessions")
    assert list(rounds["ttft_ready_s"]) == [10.0, 30.0]
    assert list(sessions["slowdown"]) == [1.0, 3.0]
    assert str(sessions["parent"].dtype) != "float64"
    assert finished.table("evictions")["blocks"].sum() == 0


def test_the_wall_clock_names_no_host(finished):
    facts = json.loads((finished.path / "wall.json").read_text())
    assert set(facts) == {"started", "ended", "duration_s", "machine", "cpus", "outcome"}
    assert facts["outcome"] == "finished"
    assert os.uname().nodename not in facts.values()


def test_a_folder_that_exists_is_left_alone(tmp_path, config):
    (tmp_path / "run").mkdir()
    with pytest.raises(UsageError, match=r"exists already.*-o"):
        RunFolder.create(tmp_path / "run", config)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_folder_below_a_file_is_refused(tmp_path, config):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="Cannot write a run folder"):
        RunFolder.create(tmp_path / "file" / "run", config)
    with pytest.raises(UsageError, match="Cannot write a run folder"):
        RunFolder.create_in(tmp_path / "file", config)
    assert (tmp_path / "file").read_text() == "mine"


def test_runs_of_one_name_do_not_collide(tmp_path, config):
    names = []
    for _ in range(3):
        with RunFolder.create_in(tmp_path / "results", config) as run:
            names.append(run.path.name)
    first = names[0]
    assert first.endswith("_3f2a91c_ilr-1_fcfs")
    assert names == [first, f"{first}-2", f"{first}-3"]


def test_a_run_that_raised_is_kept_and_says_so(tmp_path, config):
    def play_and_fail():
        with RunFolder.create(tmp_path / "run", config) as run:
            run.emit(EVENTS[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play_and_fail()
    summary = RunFolder.open(tmp_path / "run").summary()
    assert not summary["valid"]
    assert "did not go to its end (ZeroDivisionError)" in summary["reasons"][0]
    assert "1 of 2 sessions arrived" in summary["reasons"]


def test_a_run_that_failed_says_why_in_its_folder(tmp_path, config):
    def play_and_fail():
        with RunFolder.create(tmp_path / "run", config):
            raise RunFailedError(f"pin:Pin: retain answered None in {tmp_path / 'run'}.")

    with pytest.raises(RunFailedError):
        play_and_fail()
    (first, *_) = RunFolder.open(tmp_path / "run").summary()["reasons"]
    assert "not go to its end (pin:Pin: retain answered None in run): these are" in first


def test_a_run_left_without_finish_is_not_finished(tmp_path, config):
    with RunFolder.create(tmp_path / "run", config):
        pass
    summary = RunFolder.open(tmp_path / "run").summary()
    assert "(not finished)" in summary["reasons"][0]
    assert summary["reasons"][1] == "no session arrived"


KILLED = """
import os, signal, sys
from pathlib import Path
from marsbench.core.events import SessionArrived, SessionEnded
from marsbench.runs import Provenance, RunConfig, RunFolder

config = RunConfig(backend="fcfs", workload="w", workload_hash="h", code=Provenance())
run = RunFolder.create(Path(sys.argv[1]), config)
run.save_ideal({"s0": 1.0})
for i in range(100):
    run.emit(SessionArrived(float(i), f"s{i}"))
    run.emit(SessionEnded(i + 0.5, f"s{i}", "finished"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_is_summarised_up_to_the_kill(tmp_path):
    path = tmp_path / "run"
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", KILLED, path], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    run = RunFolder.open(path)
    summary = run.summary()
    assert not run.complete
    assert not summary["valid"]
    assert "killed, or still running" in summary["reasons"][0]
    assert 60 <= summary["sessions"]["arrived"] <= 100
    assert summary["latency"]["max"] == 0.5
    with pytest.raises(UsageError, match="only a run that went to its end has tables"):
        run.table("rounds")


def test_a_last_line_cut_short_is_left_out(unpacked):
    (unpacked.path / "files.json").unlink()  # as of a run that was killed
    events = unpacked.path / "events.jsonl"
    whole = events.read_bytes()
    events.write_bytes(whole[:-10])
    assert list(unpacked.events()) == EVENTS[:-1]


def test_a_broken_line_in_the_middle_is_named(unpacked):
    (unpacked.path / "files.json").unlink()
    events = unpacked.path / "events.jsonl"
    lines = events.read_text().splitlines(keepends=True)
    events.write_text("".join([lines[0], "{}\n", *lines[2:]]))
    with pytest.raises(UsageError, match=r"events\.jsonl:2 is not an event"):
        unpacked.measure()


def test_a_stream_that_breaks_a_rule_is_not_valid(tmp_path, config):
    broken = [*EVENTS, SessionEnded(35.0, "b", "finished"), SessionEnded(35.0, "b", "finished")]
    summary = play(tmp_path / "run", config, broken)
    assert summary["reasons"] == [
        "the event stream breaks 2 rules, first: session_ended at 35 s: session b has ended"
    ]


def test_sessions_that_did_not_end_make_a_run_invalid(tmp_path, config):
    summary = play(tmp_path / "run", config, [SessionArrived(0.0, "a"), SessionArrived(1.0, "b")])
    assert summary["reasons"] == ["2 of 2 sessions had not ended"]


def test_reasons_and_cautions_of_the_engine_are_kept(tmp_path, config):
    note = Caution.STEP_TIME_MODELLED.note(model="roofline")
    with RunFolder.create(tmp_path / "run", replace(config, cautions=(note,))) as run:
        summary = run.finish(reasons=["the client lagged"], cautions=[note])
    assert summary["reasons"][0] == "the client lagged"
    assert summary["cautions"][:2] == [note, note]
    assert RunFolder.open(run.path).config.cautions == (note,)


def test_without_ideal_times_goodput_is_unknown(tmp_path, config):
    with RunFolder.create(tmp_path / "run", config) as run:
        for event in EVENTS:
            run.emit(event)
        summary = run.finish()
    assert summary["goodput"]["3"]["share"] is None
    assert "NO_IDEAL" in [note["code"] for note in summary["cautions"]]


@pytest.mark.parametrize(
    ("gone", "said"), [("run.json", "no run.json"), ("events.jsonl.zst", "no ev")]
)
def test_a_folder_of_something_else_says_what_is_missing(finished, gone, said):
    (finished.path / "summary.json").unlink()
    (finished.path / gone).unlink()
    with pytest.raises(UsageError, match=said):
        RunFolder.open(finished.path)


def test_a_complete_run_may_be_kept_without_its_events(finished):
    whole = finished.summary()
    (finished.path / "events.jsonl.zst").unlink()
    kept = RunFolder.open(finished.path)
    assert kept.summary() == whole
    with pytest.raises(UsageError, match="kept without its events"):
        list(kept.events())


def test_a_path_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not a folder"):
        RunFolder.open(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["{", "[]", '{"marsbench_run": 1}', "{}", '"text"'])
def test_a_configuration_that_is_none_is_named(finished, text):
    (finished.path / "run.json").write_text(text)
    with pytest.raises(UsageError, match=r"run\.json .*not a run's configuration"):
        RunFolder.open(finished.path)


def test_a_folder_of_another_format_is_not_guessed_at(finished):
    path = finished.path / "run.json"
    path.write_text(path.read_text().replace('"marsbench_run": 1', '"marsbench_run": 2'))
    with pytest.raises(UsageError, match="another format"):
        RunFolder.open(finished.path)


@pytest.mark.parametrize(
    ("text", "said"), [("{", "is cut short"), ("[]", "no JSON object"), ("{}", "another format")]
)
def test_a_summary_that_is_none_is_named(finished, text, said):
    (finished.path / "summary.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        finished.summary()


def test_a_table_that_is_none_is_named(finished):
    (finished.path / "rounds.parquet").write_text("no")
    with pytest.raises(UsageError, match=r"rounds\.parquet is not a table"):
        finished.table("rounds")


def test_a_full_disk_ends_the_run_and_keeps_what_was_written(tmp_path, config, monkeypatch):
    with RunFolder.create(tmp_path / "run", config) as run:
        run.emit(EVENTS[0])
        monkeypatch.setattr(run, "_writer", type("Full", (), {"__call__": refused})())
        with pytest.raises(RunFailedError, match=r"No space left.*is kept"):
            run.emit(EVENTS[1])
        monkeypatch.setattr(run, "_writer", type("Full", (), {"__exit__": refused})())
        with pytest.raises(RunFailedError, match="No space left"):
            run.finish()
        monkeypatch.undo()
    assert list(RunFolder.open(run.path).events()) == EVENTS[:1]


@pytest.mark.parametrize("full", ["write_table", "draft"])
def test_a_disk_that_fills_at_the_end_leaves_no_half_summary(tmp_path, config, monkeypatch, full):
    with RunFolder.create(tmp_path / "run", config) as run:
        if full == "draft":
            monkeypatch.setattr(Path, "replace", refused)
        else:
            monkeypatch.setattr(folder_module, "write_table", refused)
        with pytest.raises(RunFailedError, match="Make room"):
            run.finish()
        monkeypatch.undo()
    assert not RunFolder.open(run.path).complete


def _read_whole(run):
    return run.summary(), list(run.events()), run.ideal_s(), run.table("sessions")


@pytest.mark.parametrize("name", ["sessions.parquet", "events.jsonl.zst", "ideal.json", "run.json"])
def test_a_file_of_another_run_is_refused(name, finished, tmp_path, config):
    with RunFolder.create(tmp_path / "other", replace(config, seed=8)) as other:
        for event in EVENTS[:-1]:
            other.emit(event)
        other.save_ideal({"a": 1.0})
        other.finish()
    shutil.copyfile(tmp_path / "other" / name, finished.path / name)
    with pytest.raises(UsageError, match=f"{name} is not the file that this run wrote"):
        _read_whole(RunFolder.open(finished.path))


def test_a_folder_that_says_nothing_of_its_files_is_read_as_before(finished):
    (finished.path / "files.json").unlink()
    config = finished.path / "run.json"
    config.write_text(config.read_text() + "\n")
    assert _read_whole(RunFolder.open(finished.path))[0]["valid"]


COUNTS = {"victim": {"asked": 8, "differed": 3}}


def test_decisions_are_kept_beside_the_events_and_told_in_the_summary(tmp_path, config):
    with RunFolder.create(tmp_path / "run", config) as run:
        for event in EVENTS:
            run.emit(event)
        run.save_decisions(COUNTS)
        run.finish()
    (run.path / "summary.json").unlink()
    assert RunFolder.open(run.path).summary()["decisions"] == COUNTS


def test_a_run_whose_decisions_nobody_counted_has_none(finished):
    """A live one, or one that was written before they were counted."""
    path = finished.path / "summary.json"
    record = json.loads(path.read_text())
    assert record["decisions"] is None
    for name in ("decisions", "cap_search"):
        del record[name]
    path.write_text(json.dumps(record))
    (finished.path / "files.json").unlink()
    assert finished.summary()["decisions"] is None
    assert finished.summary()["cap_search"] is None
