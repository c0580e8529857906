"""The highest rate that is still good: bisection, and a search that goes on where it stopped."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.builders import write_run
from marsbench.compare import compare
from marsbench.errors import RunFailedError, UsageError
from marsbench.sweep import capacity as room
from marsbench.sweep.asked import search_of, told
from marsbench.sweep.bisect import FURTHEST, Bracket, highest_rate, rounded
from marsbench.sweep.capacity import capacity
from marsbench.sweep.folder import SweepFolder

OPTIONS = {
    "backend": "mars", "workload": "ilr-1", "alpha": 3.0, "share": 0.9, "seeds": 2,
    "tolerance": 0.05, "sessions": 2, "set_": None, "gpu": "h200", "model": "qwen3-coder-30b",
    "precision": None, "kv_dtype": None, "hardware": None, "engine_profile": "paper",
    "block_size": None, "tool_cores": 8, "jobs": 1,
}  # fmt: skip
LIMIT = 0.0437
"""Sessions a second up to which the runs below are good."""


@given(st.floats(1e-3, 1e3), st.floats(0.05, 20), st.floats(0.01, 0.5))
def test_the_bracket_holds_the_limit_and_is_as_narrow_as_asked(limit, factor, tolerance):
    reached, missed = highest_rate(lambda rate: rate <= limit, limit * factor, tolerance)
    assert reached <= limit < missed
    assert missed <= reached * (1 + tolerance) * 1.001


def test_it_tries_few_rates():
    tried = []
    found = highest_rate(lambda rate: tried.append(rate) or rate <= LIMIT, 0.02, 0.05)
    assert tried[:3] == [0.02, 0.04, 0.08]
    assert found == Bracket(0.04362, 0.04555)
    assert len(tried) == 7


@pytest.mark.parametrize(("always", "found"), [(True, (1024.0, None)), (False, (None, 0.0009765))])
def test_it_gives_up_where_every_rate_does_the_same(always, found):
    assert highest_rate(lambda rate: always, 1.0, 0.05) == found
    assert 2**FURTHEST == 1024


def test_a_rate_is_what_its_folder_is_called():
    assert rounded(0.0123456) == 0.01235
    assert f"{rounded(0.0123456):g}" == "0.01235"


@pytest.fixture
def played(monkeypatch):
    """Cells are written without a simulator: good up to the limit. Their names, in order."""
    names = []

    def play(order):
        names.append(order.cell.name)
        late = 10.0 if order.cell.knobs.rate <= LIMIT else 50.0
        folder = SweepFolder(order.root)
        seed = order.cell.knobs.seed
        write_run(folder.draft(order.cell.name), "mars", {"a": 10.0, "b": late}, seed=seed)
        folder.keep(order.cell.name, order.cell.place, order.inputs)

    monkeypatch.setattr(room, "play", play)
    monkeypatch.setattr(room, "_start", lambda search: 0.02)
    return names


def test_it_searches_and_keeps_every_probe(played, tmp_path):
    path, answer = capacity(search_of(OPTIONS), tmp_path / "c")
    assert (answer["rate"], answer["above"], answer["probes"]) == (0.04362, 0.04555, 7)
    assert len(played) == 14
    assert {p.name for p in path.glob("*/summary.json")} == {"summary.json"}
    assert len(list(path.glob("*/summary.json"))) == 14
    assert {"rate": 0.08, "share": 0.5} in answer["tried"]
    assert json.loads((path / "capacity.json").read_text()) == answer


def test_compare_shows_it(played, tmp_path):
    path, _ = capacity(search_of(OPTIONS), tmp_path / "c")
    (found,) = compare([path]).capacities
    assert (found.backend, found.workload, found.rate) == ("mars", "ilr-1", 0.04362)


def test_a_search_that_was_stopped_plays_nothing_twice(played, tmp_path, monkeypatch):
    real = room.play

    def stopped(order):
        if len(played) == 5:
            raise RunFailedError("the power went")
        real(order)

    monkeypatch.setattr(room, "play", stopped)
    with pytest.raises(RunFailedError, match="the power went"):
        capacity(search_of(OPTIONS), tmp_path / "c")
    monkeypatch.setattr(room, "play", real)
    _, answer = capacity(search_of(OPTIONS), tmp_path / "c")
    assert answer["rate"] == 0.04362
    assert len(played) == len(set(played)) == 14


def test_another_search_is_not_mixed_with_it(played, tmp_path):
    capacity(search_of(OPTIONS), tmp_path / "c")
    with pytest.raises(UsageError, match="holds another search"):
        capacity(search_of({**OPTIONS, "alpha": 2.0}), tmp_path / "c")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("share", 0.0, "--share must be above 0"),
        ("tolerance", 0.0, "--tolerance must be from 0.001"),
        ("alpha", 0.5, "alpha"),
        ("backend", "masr", "Did you mean 'mars'"),
        ("workload", "ilr1", "Did you mean 'ilr-1'"),
    ],
)
def test_what_cannot_be_searched_is_refused(option, value, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        capacity(search_of({**OPTIONS, option: value}), tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_recording_has_no_rate(tmp_path):
    (tmp_path / "w.jsonl").write_text("")
    with pytest.raises(UsageError, match="played as it is"):
        capacity(search_of({**OPTIONS, "workload": str(tmp_path / "w.jsonl")}), tmp_path / "c")


def test_the_answer_in_words():
    answer = {"backend": "mars", "workload": "ilr-1", "share": 0.9, "alpha": 3.0, "rate": 0.04,
              "above": 0.042, "tried": [{"rate": 0.04, "share": 0.95}]}  # fmt: skip
    assert told(answer, as_json=False).splitlines()[-1] == (
        "capacity of mars on ilr-1: 0.04 sessions/s (90% of sessions within 3 times alone); "
        "0.042/s is too many"
    )
    assert "below 0.042/s" in told({**answer, "rate": None}, as_json=False)
    assert "or more" in told({**answer, "above": None}, as_json=False)
    assert json.loads(told(answer, as_json=True)) == answer
