"""The cautions of runs: each once, with how many carry it and where."""

from __future__ import annotations

from marsbench.judge.compare.tally import Carrier, tally


def run(backend, where, *codes, text="Take care; do this."):
    return Carrier(backend, where, [{"code": code, "text": text} for code in codes])


def test_a_caution_of_every_run_names_no_place():
    runs = [run("fcfs", "ilr-1", "A"), run("mars", "ilr-1", "A")]
    assert tally(runs) == ("A: all 2 runs. Take care; do this.",)


def test_a_caution_of_some_runs_says_which_backends_at_which_places():
    runs = [
        run("fcfs", "ilr-1 at load 1", "SATURATED"),
        run("fcfs", "ilr-1 at load 1"),
        run("mars", "ilr-1 at load 1"),
        run("fcfs", "ilr-3 at load 2", "SATURATED"),
        run("mars", "ilr-3 at load 2", "SATURATED"),
        run("mars", "ilr-9 at load 1"),
    ]
    (line,) = tally(runs)
    assert line.startswith(
        "SATURATED: 3 of 6 runs (ilr-1 at load 1: fcfs 1 of 2; ilr-3 at load 2: fcfs, mars). "
    )


def test_the_most_frequent_come_first_and_equals_by_code():
    runs = [run("fcfs", "x", "B", "C", "A"), run("mars", "x", "C")]
    assert [line.split(":")[0] for line in tally(runs)] == ["C", "A", "B"]


def test_texts_that_differ_are_told_as_an_instance_and_once():
    runs = [run("fcfs", "x", "A", text="3 waited."), run("mars", "x", "A", text="4 waited.")]
    assert tally(runs) == ("A: all 2 runs. For instance: 3 waited.",)


def test_a_run_that_carries_a_caution_twice_counts_once():
    assert tally([run("fcfs", "x", "A", "A"), run("mars", "x")]) == (
        "A: 1 of 2 runs (x: fcfs). Take care; do this.",
    )


def test_no_caution_is_no_line():
    assert tally([run("fcfs", "x")]) == ()


def test_where_many_backends_at_many_places_carry_it_both_are_counted():
    runs = [run(f"b{b}", f"p{p}", *["A"][: b + p]) for b in range(4) for p in range(4)]
    (line,) = tally(runs)
    assert line.startswith("A: 15 of 16 runs (b0 3, b1 4, b2 4, b3 4; by place: p1 4, p2 4, p3 4")
