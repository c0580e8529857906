"""What a page knows of a run."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsbench.explore.charts import Axes, charts_of
from marsbench.explore.content import Explored, content_of, lanes_of, packed
from marsbench.explore.lanes import HELD, PREFILL, RECOMPUTE, STATES, TOOL, Spans, spans_of
from marsbench.explore.levels import coarsened
from marsbench.explore.owners import ENDED, KvOwners
from marsbench.explore.series import Grid, batch, calls

Runs = tuple[Path, Path]


def spans(path: Path) -> list[tuple[int, str, float, float]]:
    run = Explored.read(path)
    found = spans_of(run.timeline, lanes_of([run]))
    columns = (found.lane, found.state, found.begin, found.end)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(lane, STATES[state][0], begin, end) for lane, state, begin, end in rows]


def test_a_lane_says_what_its_session_did(runs: Runs) -> None:
    mine = [row[1:] for row in spans(runs[0]) if row[0] == 0 and row[2] < row[3]]
    assert mine == [
        ("prefill", 0.0, 2.0),
        ("decode", 2.0, 4.0),
        # 64 of the 96 tokens that were not found had been computed before.
        ("recomputing what was lost", 10.0, 14.0),
        ("prefill", 14.0, 16.0),
        ("decode", 16.0, 20.0),
        ("tool", 4.0, 10.0),
    ]


def test_a_hold_lies_under_the_pause(runs: Runs) -> None:
    assert (0, "KV held", 4.0, 8.0) in spans(runs[1])


def test_lost_blocks_are_a_mark_that_names_who_computed_a_prompt(runs: Runs) -> None:
    run = Explored.read(runs[0])
    marks = content_of(run, lanes_of([run]))["marks"]
    assert marks["lane"] == [0]
    assert marks["blocks"] == [4]
    assert marks["told"] == ["4 blocks of a evicted while b (round 0) computed a prompt"]


def test_blocks_are_of_whom_events_say() -> None:
    from explore.conftest import first
    from marsbench.core.metrics.stream import Stream

    at = np.array([1.0, 3.0, 5.0, 7.0, 11.0, 15.0, 19.0])
    owners = KvOwners.of(Stream(first()), {"b": 12.0}, 16, 100, at)
    assert owners.by_session["a"].tolist() == [0, 10, 11, 7, 6, 6, 12]
    assert owners.by_session["b"].tolist() == [0, 0, 0, 0, 20, 0, 0]
    assert owners.stacked[ENDED].tolist() == [0, 0, 0, 0, 0, 20, 20]


def test_what_goes_on_is_a_mean_of_each_bin(runs: Runs) -> None:
    run = Explored.read(runs[0])
    grid = Grid(20.0, bins=4)
    found = batch(run.timeline.rounds, 20.0, grid)
    assert found["prefill"].tolist() == pytest.approx([2 / 5, 4 / 5, 1.0, 1 / 5])
    assert found["decode"].tolist() == pytest.approx([2 / 5, 1 / 5, 2 / 5, 4 / 5])
    assert calls(run.timeline.stream, grid)["burn CPU"].tolist() == pytest.approx([0.2, 1, 0, 0])


def test_samples_of_the_engine_are_drawn(runs: Runs) -> None:
    run = Explored.read(runs[0])
    memory = charts_of(run, 0, Axes(2, run.end_s))[1]
    lines = {name: memory.select_one({"name": name}) for name in ("used", "held")}
    levels = {name: set(line.data_source.data["y"]) for name, line in lines.items()}
    assert levels == {"used": {20.0}, "held": {0.0}}


def test_the_content_is_packed_the_same_each_time(runs: Runs) -> None:
    run = Explored.read(runs[0])
    content = content_of(run, lanes_of([run]))
    text = packed(content)
    assert text == packed(content_of(Explored.read(runs[0]), lanes_of([run])))
    read = json.loads(gzip.decompress(base64.b64decode(text)))
    assert read["lanes"] == ["a", "b"]
    assert read["sessions"]["0"]["story"][0].startswith("a took 20.00 s where alone")


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from((PREFILL, RECOMPUTE, TOOL, HELD)), st.just(0),
            st.integers(0, 1000), st.integers(1, 200),
        ),
        min_size=1,
    )
)  # fmt: skip
def test_a_coarser_level_covers_what_it_stands_for(
    drawn: list[tuple[int, int, int, int, int]],
) -> None:
    given_spans = Spans.of([(lane, s, n, at / 10, (at + d) / 10) for lane, s, n, at, d in drawn])
    coarse = coarsened(given_spans, 3.0)
    assert len(coarse) <= len(given_spans)
    for i in range(len(given_spans)):
        held = given_spans.state[i] == HELD
        over = (
            (coarse.lane == given_spans.lane[i])
            & ((coarse.state == HELD) == held)
            & (coarse.begin <= given_spans.begin[i])
            & (coarse.end >= given_spans.end[i])
        )
        assert over.any()
