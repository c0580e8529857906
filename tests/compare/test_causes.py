"""`marsbench compare` says where the seconds went: by hand, paired by seed, what is not told."""

from __future__ import annotations

import io
from collections.abc import Mapping
from math import fsum
from pathlib import Path

import pytest
from rich.console import Console

from compare.builders import seeds, write_run, write_sweep
from marsbench.hardware.profile import load_hardware
from marsbench.judge.compare import Place, compare, frame
from marsbench.judge.compare.causes import CauseRow, cause_differences, cause_rows
from marsbench.judge.compare.documents import record
from marsbench.judge.compare.show import render
from marsbench.judge.compare.values import Comparison
from marsbench.judge.why.causes import Causes
from marsbench.judge.why.mean import MeanSession
from marsbench.runs import RunFolder

HERE = Place("ilr-1", 1.0, None, "h200", "paper", "base", "m")
BOTH = [(HERE, "fcfs"), (HERE, "mars")]


def a_mean(ideal_s: float = 10.0, note: str | None = None, **causes: float) -> MeanSession:
    return MeanSession(3, 0, ideal_s + sum(causes.values()), ideal_s, Causes(**causes), note)


def means(fcfs: Mapping[int, MeanSession], mars: Mapping[int, MeanSession]):
    return {(HERE, "fcfs"): fcfs, (HERE, "mars"): mars}


def shown(found: Comparison) -> str:
    console = Console(width=80, file=io.StringIO())
    render(found, [], console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    return text


def test_a_row_is_the_mean_over_seeds_and_adds_up() -> None:
    found = means({1: a_mean(queue_s=40.0), 2: a_mean(queue_s=20.0)}, {1: a_mean(queue_s=0.0)})
    first, _ = cause_rows(found, BOTH)
    assert (first.seeds, first.sessions) == (2, 6)
    assert (first.completion_s, first.ideal_s) == (40.0, 10.0)
    assert first.causes.known == {"queue_s": 30.0}


def test_one_run_that_cannot_be_told_leaves_no_mean_of_the_others() -> None:
    dark = MeanSession(0, 0, None, None, Causes(), "it was kept without its events")
    found = means({1: a_mean(queue_s=40.0), 2: dark}, {1: a_mean(queue_s=0.0)})
    first, _ = cause_rows(found, BOTH)
    assert (first.completion_s, first.causes, first.note) == (None, Causes(), dark.note)
    (one,) = cause_differences(found, BOTH, "mars")
    assert one.seeds == 1  # the seed that both have, and which can be told


def test_a_difference_is_of_the_seeds_that_both_have_and_adds_up() -> None:
    fcfs = {
        1: a_mean(admission_s=0.0, queue_s=300.0, recompute_s=40.0, contention_s=1.0),
        2: a_mean(queue_s=9e9),
    }
    mars = {1: a_mean(12.0, admission_s=90.0, queue_s=0.0, recompute_s=0.0, contention_s=0.5)}
    (one,) = cause_differences(means(fcfs, mars), BOTH, "fcfs")
    assert one.completion_s == pytest.approx(one.ideal_s + one.causes.total_s) == 102.5 - 351
    assert one.told == (
        "A session of mars takes 248 s less than one of fcfs: 300 s less queued in the engine, "
        "90.0 s more waiting for admission and 40.0 s less recomputing what was lost."
    )


def test_two_sides_are_told_by_what_both_can_tell() -> None:
    live = a_mean(admission_s=5.0, rest_s=60.0)
    (one,) = cause_differences(
        means({1: a_mean(admission_s=1.0, queue_s=9.0, tools_s=1.0)}, {1: live}), BOTH, "fcfs"
    )
    assert one.causes.known == {"admission_s": 4.0, "rest_s": 50.0}


def test_what_others_had_computed_is_saved_and_times_alone_may_differ() -> None:
    own, base = a_mean(30.0, found_s=-20.0), a_mean(5.0, found_s=0.0)
    (one,) = cause_differences(means({1: base}, {1: own}), BOTH, "fcfs")
    assert one.told == (
        "A session of mars takes 5.00 s more than one of fcfs: 25.0 s more alone and 20.0 s more "
        "saved by others' work."
    )


def test_sessions_that_take_as_long_are_said_to() -> None:
    found = means({1: a_mean(queue_s=90.0)}, {1: a_mean(queue_s=90.5)})
    (one,) = cause_differences(found, BOTH, "fcfs")
    assert one.told == "A session of mars takes as long as one of fcfs."


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs on hardware that is known, so that what prompts take alone is too."""
    modelled = load_hardware("qwen3-coder-30b", "h200")
    hardware = {
        "id": "h200", "gpu": "h200", "model": "qwen3-coder-30b", "precision": "bf16",
        "kv_dtype": "bf16", "hash": modelled.hash,
    }  # fmt: skip
    settings = {"max_num_batched_tokens": 8192, "tool_cores": 8}
    folder = tmp_path_factory.mktemp("two")
    took = {"fcfs": {"a": 40.0, "b": 20.0}, "mars": {"a": 20.0, "b": 20.0}}
    return [
        write_run(folder / name, name, of, hardware=hardware, settings=settings)
        for name, of in took.items()
    ]


def test_a_comparison_has_where_the_seconds_went(two: list[Path]) -> None:
    found = compare(two, alphas=(3.0,), why=True)
    fcfs, mars = found.causes
    for row in (fcfs, mars):
        assert row.completion_s == pytest.approx(row.ideal_s + row.causes.total_s)
        assert row.causes.rest_s is None
    assert (fcfs.completion_s, mars.completion_s, fcfs.note) == (30.0, 20.0, None)
    assert found.cause_differences[0].causes.contention_s == pytest.approx(-10.0)
    text = " ".join(shown(found).split())
    assert "mean seconds alone steps tools completion" in text
    assert "takes 10.0 s less than one of fcfs: 10.00 s less in steps longer than" in text


def test_rows_are_flat_in_json_and_tables(two: list[Path]) -> None:
    found = compare(two, alphas=(3.0,), why=True)
    told = record(found)
    assert told["causes"][0]["contention_s"] == found.causes[0].causes.contention_s
    assert told["causes"][0]["rest_s"] is None
    assert told["cause_differences"][0]["told"].startswith("A session of mars takes")
    columns = frame(found.causes)
    whole = columns.filter(regex="^(?!completion).*_s$").sum(axis=1)
    assert [*whole] == pytest.approx([*columns["completion_s"]])


def test_events_are_read_of_few_runs_or_when_asked(
    two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(compare(two, alphas=(3.0,), why=None).causes) == 2
    assert compare(two, alphas=(3.0,)).causes == ()
    for module in ("assemble", "show"):
        monkeypatch.setattr(f"marsbench.judge.compare.{module}.MOST_RUNS", 1)
    found = compare(two, alphas=(3.0,), why=None)
    assert found.causes == ()
    assert "was not read from the events of 2 runs; --why reads them" in " ".join(
        shown(found).split()
    )


def test_runs_that_cannot_be_told_say_why(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "s", {"fcfs": seeds({"a": 9.0}), "mars": seeds({"a": 12.0})})
    for file in (sweep / "mars_seed1").glob("events*"):
        file.unlink()
    found = compare([sweep], alphas=(3.0,), why=True)
    told: dict[str, CauseRow] = {row.backend: row for row in found.causes}
    assert told["mars"].completion_s is None
    assert fsum(told["fcfs"].causes.known.values()) == pytest.approx(-1.0)
    text = " ".join(shown(found).split())
    assert "mars: no causes are told apart, since " in text
    assert "was kept without its events; play it again" in text
    assert "fcfs: not all causes are told apart, since" in text
    assert not found.cause_differences
    assert not RunFolder.open(sweep / "mars_seed1").has_events


def test_sessions_that_are_in_no_mean_are_counted(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", latencies={"a": 20.0, "b": 30.0}, unfinished=("b",))
    text = " ".join(shown(compare([run], alphas=(3.0,), why=True)).split())
    assert (
        "fcfs: 1 of 2 sessions did not finish, or have no time alone, and are in no mean." in text
    )
