"""The highest rate that is still good: bisection, and a search that goes on where it stopped."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.builders import write_run
from marsbench.errors import RunFailedError, UsageError
from marsbench.judge.compare import compare
from marsbench.judge.sweep import capacity as room
from marsbench.judge.sweep import probes as probing
from marsbench.judge.sweep.answer import told
from marsbench.judge.sweep.bisect import FURTHEST, Bracket, fewest, highest_rate, rounded
from marsbench.judge.sweep.capacity import capacity
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.options import CapacityOptions
from marsbench.judge.sweep.search import search_of as searched

OPTIONS = {
    "backend": "mars", "workload": "ilr-1", "alpha": 3.0, "share": 0.9, "seeds": 2,
    "tolerance": 0.05, "sessions": 2, "gpu": "h200", "model": "qwen3-coder-30b",
    "arrivals": None, "gpus": False, "engine_profile": "paper", "tool_cores": 8, "jobs": 1,
}  # fmt: skip
LIMIT = 0.0437
"""Sessions a second up to which the runs below are good."""


def search_of(options):
    return searched(CapacityOptions(**options))


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


def is_good(knobs, replicas=1):
    """Up to the limit, which a run of few sessions does not know yet; 12 agents on a GPU."""
    if knobs.arrivals is not None and knobs.rate is None:
        return int(knobs.arrivals.removeprefix("closed:")) <= 12 * replicas
    return knobs.rate <= LIMIT * (2 if knobs.sessions == 30 else 1)


@pytest.fixture
def played(monkeypatch):
    """Cells are written without a simulator: good up to the limit. Their names, in order."""
    names = []

    def play(order):
        names.append(order.cell.name)
        late = 10.0 if is_good(order.cell.knobs, order.cell.replicas) else 50.0
        folder = SweepFolder(order.root)
        seed = order.cell.knobs.seed
        write_run(folder.draft(order.cell.name), "mars", {"a": 10.0, "b": late}, seed=seed)
        folder.keep(order.cell.name, order.cell.place, order.inputs)

    monkeypatch.setattr(probing, "play", play)
    monkeypatch.setattr(room, "_start", lambda search: 0.02)
    return names


def test_it_searches_and_keeps_every_probe(played, tmp_path):
    path, answer = capacity(search_of(OPTIONS), tmp_path / "c")
    assert (answer["rate"], answer["above"], answer["probes"]) == (0.04362, 0.04555, 7)
    assert len(played) == 14
    assert {p.name for p in path.glob("*/summary.json")} == {"summary.json"}
    assert len(list(path.glob("*/summary.json"))) == 14
    assert {"sessions": 2, "rate": 0.08, "share": 0.5, "surely": None} in answer["tried"]
    assert (answer["sessions"], answer["settled"]) == (2, None)
    assert json.loads((path / "capacity.json").read_text()) == answer


def test_few_seeds_make_nothing_sure_and_six_do(played, tmp_path):
    _, answer = capacity(search_of(OPTIONS), tmp_path / "two")
    assert {row["surely"] for row in answer["tried"]} == {None}
    assert told(answer, as_json=False).endswith(
        "2 seeds make nothing of it sure; give --seeds 6 or more"
    )
    _, answer = capacity(search_of({**OPTIONS, "seeds": 6}), tmp_path / "six")
    assert told(answer, as_json=False).endswith(
        "typical seed of 6: 0.04362/s is surely reached, 0.04555/s is surely too many"
    )


def test_one_seed_of_six_that_misses_leaves_it_open():
    assert probing.ProbeShares(0.95, (1.0,) * 6).surely(0.9) == "reached"
    assert probing.ProbeShares(0.95, (*(1.0,) * 5, 0.7)).surely(0.9) is None
    assert probing.ProbeShares(0.5, (0.5,) * 6).surely(0.9) == "missed"
    assert probing.ProbeShares(0.9, (0.9,) * 6).surely(0.9) == "reached"
    assert probing.ProbeShares(0.5, (0.5,) * 5).surely(0.9) is None


def test_compare_shows_it(played, tmp_path):
    path, _ = capacity(search_of(OPTIONS), tmp_path / "c")
    (found,) = compare([path]).capacities
    assert (found.backend, found.workload, found.rate) == ("mars", "ilr-1", 0.04362)


def test_a_search_that_was_stopped_plays_nothing_twice(played, tmp_path, monkeypatch):
    real = probing.play

    def stopped(order):
        if len(played) == 5:
            raise RunFailedError("the power went")
        real(order)

    monkeypatch.setattr(probing, "play", stopped)
    with pytest.raises(RunFailedError, match="the power went"):
        capacity(search_of(OPTIONS), tmp_path / "c")
    monkeypatch.setattr(probing, "play", real)
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


def test_without_a_number_of_sessions_it_takes_more_until_the_answer_settles(played, tmp_path):
    _, answer = capacity(search_of({**OPTIONS, "sessions": None}), tmp_path / "c")
    rates = {row["sessions"]: row["rate"] for row in answer["by_sessions"]}
    assert list(rates) == [30, 60, 120]
    assert rates[30] == pytest.approx(2 * LIMIT, rel=0.05)
    assert answer["rate"] == rates[120] == pytest.approx(LIMIT, rel=0.05)
    assert (answer["sessions"], answer["settled"]) == (120, True)
    assert "settled: " in told(answer, as_json=False)


def test_an_answer_that_never_settles_says_so(monkeypatch, played, tmp_path):
    monkeypatch.setattr(
        f"{__name__}.is_good", lambda knobs, replicas: knobs.rate <= LIMIT * 30 / knobs.sessions
    )
    path, answer = capacity(search_of({**OPTIONS, "sessions": None}), tmp_path / "c")
    assert [row["sessions"] for row in answer["by_sessions"]] == [30, 60, 120, 240]
    assert answer["settled"] is False
    assert "not settled: the answer still moves" in told(answer, as_json=False)
    assert "not settled" in compare([path]).capacities[0].answer


def test_gpus_for_a_number_of_agents(played, tmp_path):
    asked = {**OPTIONS, "sessions": None, "arrivals": "closed:200", "gpus": True}
    path, answer = capacity(search_of(asked), tmp_path / "c")
    assert (answer["gpus"], answer["lanes"], answer["agents"]) == (17, 12, 200)
    assert "200 agents at once under mars on ilr-1, tools autonomous: 17 GPUs" in told(
        answer, as_json=False
    )
    assert compare([path]).capacities[0].answer == "17 GPUs for 200 agents"


def test_gpus_that_share_a_model_are_counted_as_groups(played, tmp_path):
    asked = {**OPTIONS, "sessions": None, "arrivals": "closed:200", "gpus": True, "tp": 4}
    path, answer = capacity(search_of(asked), tmp_path / "c")
    assert (answer["gpus"], answer["tp"], answer["hardware"]) == (17, 4, "h200x4")
    said = told(answer, as_json=False)
    assert "17 groups of 4 GPUs (h200x4), 12 agents on each" in said
    assert "each group is played alone" in said
    assert compare([path]).capacities[0].answer == "17 groups of 4 GPUs for 200 agents"


@pytest.mark.parametrize(
    ("arrivals", "gpus", "message"),
    [
        ("closed:200", False, "have no rate to search; give --gpus"),
        (None, True, "for example --gpus --arrivals closed:200"),
    ],
)
def test_agents_and_gpus_belong_together(arrivals, gpus, message):
    with pytest.raises(UsageError, match=message):
        search_of({**OPTIONS, "arrivals": arrivals, "gpus": gpus})


def test_the_fewest_replicas_behind_one_router_for_a_number_of_agents(played, tmp_path):
    asked = {**OPTIONS, "arrivals": "closed:40", "replicas": "2..16", "router": "dynamo"}
    path, answer = capacity(
        search_of({**asked, "set": ["router.overlap_weight=2"]}), tmp_path / "c"
    )
    assert (answer["gpus"], answer["lanes"], answer["replicas"]) == (4, 40, [2, 16])
    assert [row["replicas"] for row in answer["tried"]] == [2, 3, 4]
    plan = json.loads(SweepFolder.open(path).plan()["file"])["sweep"]
    assert plan["routers"] == [{"name": "dynamo", "label": "", "set": {"overlap_weight": "2"}}]
    text = told(answer, as_json=False)
    assert "40 agents at once under mars on ilr-1, tools autonomous: 4 GPUs (h200) behind" in text
    assert compare([path]).capacities[0].answer == "4 GPUs behind dynamo for 40 agents"
    assert (path / "ilr-1_h200_paper_base_replicas4_dynamo_mars_seed1_lanes40-sessions2").is_dir()
    _, few = capacity(search_of({**asked, "replicas": "2..3"}), tmp_path / "few")
    assert "3 GPUs behind dynamo are not enough" in told(few, as_json=False)


def test_the_rate_of_a_number_of_replicas_is_searched_on_all_of_them(played, tmp_path):
    _, answer = capacity(search_of({**OPTIONS, "replicas": "4"}), tmp_path / "c")
    assert (answer["replicas"], answer["router"]) == (4, "round-robin")
    assert "4 replicas behind round-robin: 0.04362 sessions/s" in told(answer, as_json=False)
    assert all("replicas4_round-robin" in name for name in played)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicas": "16..1"}, "--replicas takes a number from 1 to 1,024, or two of them"),
        ({"replicas": "many"}, "not 'many'; for example --replicas 4"),
        ({"replicas": "1..16"}, r"for example --replicas 1\.\.16 --arrivals closed:200"),
        ({"replicas": "4", "arrivals": "closed:9"}, r"or --replicas 1\.\.16 for as many"),
        ({"replicas": "4", "arrivals": "closed:9", "gpus": True}, "plays each GPU alone"),
        ({"replicas": "4", "router": "dynmo"}, "Unknown router 'dynmo'"),
    ],
)
def test_replicas_that_cannot_be_searched_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        search_of({**OPTIONS, **options})


@given(st.integers(1, 300), st.integers(1, 300))
def test_the_fewest_that_reach_it(limit, most):
    found = fewest(lambda number: number >= limit, most)
    assert found == (limit if limit <= most else None)


def test_the_answer_in_words():
    answer = {"backend": "mars", "workload": "ilr-1", "tools": "recorded", "share": 0.9,
              "alpha": 3.0, "rate": 0.04, "above": 0.042, "sessions": 30, "settled": None,
              "seeds": 1, "tried": [{"rate": 0.04, "sessions": 30, "share": 0.95}]}  # fmt: skip
    assert told(answer, as_json=False).splitlines()[-3:] == [
        "capacity of mars on ilr-1, tools recorded: 0.04 sessions/s (90% of sessions within 3 "
        "times alone); 0.042/s is too many",
        "with 30 sessions a run; more may well give less: leave out --sessions to see whether "
        "the answer settles",
        "1 seed makes nothing of it sure; give --seeds 6 or more",
    ]
    assert "below 0.042/s" in told({**answer, "rate": None}, as_json=False)
    assert "or more" in told({**answer, "above": None}, as_json=False)
    assert json.loads(told(answer, as_json=True)) == answer
    before = {name: value for name, value in answer.items() if name != "tools"}
    assert "capacity of mars on ilr-1: 0.04" in told(before, as_json=False)
