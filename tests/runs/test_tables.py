"""A run on one screen says what a person wants to know of it."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from figures import summarise
from marsbench.core.events import HostEvicted, SessionArrived, SwappedIn, SwappedOut
from marsbench.errors import UsageError
from marsbench.runs import RunFolder, run_summary
from marsbench.show.run import render_comparison, render_summary, show_run
from marsbench.text.numbers import seconds
from metrics.story import a_round, a_session, told
from runs.conftest import EVENTS, IDEAL


def printed(render, *arguments, width=80):
    text = io.StringIO()
    render(*arguments, Console(file=text, width=width))
    return text.getvalue()


def line(text, beginning):
    (found,) = (row for row in text.splitlines() if row.strip().startswith(beginning))
    return " ".join(found.split())


@pytest.fixture
def summary(config):
    return run_summary(config, summarise(EVENTS, ideal_s=IDEAL, alphas=(2, 3), total_blocks=100))


def test_the_screen_says_what_ran_and_how_many_were_served_well(summary):
    text = printed(render_summary, summary)
    assert text.startswith("fcfs on ilr-1, seed 7 (sim)\n")
    assert line(text, "goodput(2)") == "goodput(2) 1/2 (50.0 %), 0.0286 sessions/s"
    assert line(text, "goodput(3)") == "goodput(3) 2/2 (100.0 %), 0.0571 sessions/s"
    assert line(text, "sessions") == "sessions 2 arrived, 2 finished, in 35.0 s"
    assert line(text, "session latency") == "session latency 2 20.00 20.00 28.00 29.00 29.80 30.00"
    assert line(text, "slowdown") == "slowdown (times alone) 2 2.00 2.00 2.80 2.90 2.98 3.00"
    assert line(text, "KV cache") == "KV cache in use mean 10.0 %, peak 10.0 %"
    assert line(text, "valid") == "valid"
    assert "caution TOO_FEW_SESSIONS" in text


def test_a_shown_run_names_its_tool_mix(config, tmp_path):
    mixed = replace(config, workload_meta={"tools": "recorded"})
    with RunFolder.create(tmp_path / "run", mixed) as run:
        for event in EVENTS:
            run.emit(event)
        run.save_ideal(IDEAL)
        run.finish()
    text = printed(lambda console: show_run(tmp_path / "run", console=console))
    assert text.startswith("fcfs on ilr-1, tools recorded, seed 7 (sim)\n")


def test_the_screen_fits_eighty_columns_and_forty_lines(summary):
    rows = printed(render_summary, summary).splitlines()
    assert max(map(len, rows)) <= 80
    assert len(rows) <= 40


def test_tenants_are_on_the_screen_where_there_are_several(config, summary):
    assert "tenant" not in printed(render_summary, summary)
    story = [
        *a_session("a", 0.0, 10.0, tenant="red", rounds=a_round("a", first=4.0, end=10.0)),
        *a_session("b", 0.0, 20.0, tenant="blue", rounds=a_round("b", first=15.0, end=20.0)),
    ]
    found = summarise(told(story), ideal_s={"a": 10.0, "b": 5.0}, alphas=(2,))
    text = printed(render_summary, run_summary(config, found))
    # 160 + 2 x 11 tokens each, in the third and sixth tenth and in the eighth and last.
    assert line(text, "red") == "red 1 100.0 % 1.00 1.00 50.0 % █ █ ▁ ▁"
    assert line(text, "fairness") == "fairness Jain's index of tenants' slowdown 0.735"
    assert line(text, "… worst") == "… worst tenant goodput(2) 0.0 % (blue)"
    assert max(map(len, text.splitlines())) <= 80


def test_swaps_are_on_the_screen_where_there_are_any(config, summary):
    assert "swapped" not in printed(render_summary, summary)
    assert "host memory" not in printed(render_summary, summary)
    rounds = [
        *a_round("a", first=1.0, end=1.0),
        SwappedOut(2.0, "a", 1200),
        HostEvicted(2.0, "a", 20),
        *a_round("a", 1, ready=3.0, first=4.0, end=9.0, cached=16, loaded=80),
        SwappedIn(3.0, "a", 1, 5),
    ]
    figures = summarise(told(a_session("a", 0.0, 9.0, rounds=rounds)))
    text = printed(render_summary, run_summary(config, figures))
    assert line(text, "swapped") == "swapped 1,200 blocks to host memory, 5 back, 20 lost there"
    assert line(text, "evicted").startswith("evicted 0 blocks")
    hits = "10.0 % of later rounds, 5.0 % of all; from host memory 50.0 %, 25.0 %"
    assert hits in " ".join(text.split())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0254, "0.0254"),
        (0.5, "0.500"),
        (1.0, "1.00"),
        (123.45, "123.5"),
        (9876, "9876"),
    ],
)
def test_numbers_keep_four_digits_or_so(value, text):
    assert seconds(value) == text


def test_what_was_not_measured_is_a_dash(config):
    figures = summarise(
        [SessionArrived(0.0, "a")], unmeasured=("evicted", "preempted"), alphas=(3,)
    )
    text = printed(render_summary, run_summary(config, figures))
    assert line(text, "goodput(3)") == "goodput(3) 0/1 (0.0 %), – sessions/s"
    assert line(text, "evicted").startswith("evicted – blocks (– /s); – tokens")
    assert line(text, "preempted").startswith("preempted – times; –")
    assert line(text, "KV cache") == "KV cache in use mean –, peak –"
    assert "not valid: 1 of 1 sessions had not ended" in text


def test_goodput_without_ideal_times_is_a_dash(config):
    text = printed(render_summary, run_summary(config, summarise(EVENTS)))
    assert line(text, "goodput(3)") == "goodput(3) –"


def test_other_outcomes_are_listed_where_there_are_any(config):
    events = [*a_session("a", 0.0, 4.0, outcome="failed"), *a_session("c", 1.0, 2.0, parent="a")]
    text = printed(render_summary, run_summary(config, summarise(events)))
    assert "1 arrived, 0 finished, 1 failed, 1 sub-agents, in 4.0 s" in text


def test_held_blocks_are_shown_where_a_policy_holds_any(summary):
    summary["kv_usage"]["held_blocks"]["peak"] = 5.0
    assert "held for paused sessions" in printed(render_summary, summary)


def test_what_was_decided_unlike_vllm_is_told_with_why_sessions_were_held_back(summary):
    assert "unlike vLLM" not in printed(render_summary, summary)
    summary["decisions"] = {
        "victim": {"asked": 8, "differed": 3},
        "shrink": {"asked": 0, "differed": 0},
        "admission": {"asked": 30, "differed": 12, "reasons": {"reserve": 12}},
    }
    text = line(printed(render_summary, summary, width=120), "unlike vLLM")
    assert text == "unlike vLLM victims 3 of 8; sessions held back 12 of 30 (reserve 12)"


def test_a_cap_that_the_run_searched_is_told_as_such(config):
    figures = summarise(EVENTS, ideal_s=IDEAL)
    given = replace(config, params={"cap": 2})
    searched = replace(given, settings={"cap_search": {"goodput_by_cap": {"2": 1.0}}})
    for own, text in ((given, "with cap=2"), (searched, "with cap=2 (searched)")):
        assert line(printed(render_summary, run_summary(own, figures)), "with") == text


def test_a_name_in_brackets_is_no_markup(summary):
    summary["backend"] = "[red]mine[/red]"
    summary["seed"] = None
    assert printed(render_summary, summary).startswith("[red]mine[/red] on ilr-1 (sim)")


def test_runs_stand_side_by_side_in_the_order_given(summary, config):
    other = run_summary(config, summarise([], alphas=(3,)))
    other["backend"] = "mars"
    text = printed(render_comparison, [summary, other], width=100)
    assert line(text, "fcfs") == "fcfs 50.0 % 100.0 % 20.00 29.00 3.00 29.80 0.629 0"
    assert line(text, "mars") == "mars – – – – – – – –"
    assert line(text, "not valid") == "not valid mars: no session arrived"


def test_show_prints_a_run_again(finished, capsys):
    text = io.StringIO()
    show_run(finished.path, console=Console(file=text, width=80))
    assert text.getvalue() == printed(render_summary, finished.summary())
    show_run(finished.path)
    assert capsys.readouterr().out.startswith("fcfs on ilr-1")


def test_show_as_json_prints_one_object_and_nothing_else(finished, capsys):
    show_run(finished.path, as_json=True)
    out = capsys.readouterr().out
    assert json.loads(out) == finished.summary()
    assert out.count("\n") == 1


def test_show_of_something_else_is_bad_usage(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        show_run(tmp_path)
