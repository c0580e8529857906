"""The check: quiet on small samples of the right recipe, loud on large ones of a wrong one."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from marsbench.core.session import Round, ToolCall
from marsbench.core.workload.generate import USER
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import make_workload
from marsbench.core.workload.recipe import Recipe, load_recipe, recipe_names
from marsbench.show.workload import workload_table
from marsbench.show.workload_check import check, cores_asked, describe, measure, order_band, verdict
from marsbench.text.numbers import compact
from workload.builders import session, workload

ILR_1 = load_recipe("ilr-1")


def missed(made_with: Recipe, checked: Recipe, sessions: int, seed: int = 1) -> set[str]:
    made = make_workload(made_with, Knobs(sessions=sessions, rate=1.0, seed=seed))
    return {row.quantity for row in check(made, checked) if row.ok is False}


def altered(**changes: dict[str, Any]) -> Recipe:
    """ilr-1 with some of its distributions changed."""
    tables = {
        name: getattr(ILR_1, name).model_copy(update=update) for name, update in changes.items()
    }
    return ILR_1.model_copy(update=tables)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_meets_its_own_targets(name: str) -> None:
    recipe = load_recipe(name)
    # Those of long sessions, or of a hundred in one, are seen on fewer.
    many = {"fresh": 60, "team": 30, "tree": 20}.get(name, 200)
    assert not missed(recipe, recipe, many)


@pytest.mark.parametrize("seed", range(10))
def test_thirty_sessions_raise_no_false_alarm(seed: int) -> None:
    assert not missed(ILR_1, ILR_1, 30, seed)


@pytest.mark.parametrize(
    ("wrong", "quantity"),
    [
        (altered(rounds={"mu": (np.log(40),)}), "rounds"),
        (altered(initial_tokens={"mu": (np.log(88_000),)}), "first_prompt_tokens"),
        (altered(append={"mu": (4.2, 7.1)}), "append_tokens"),
        (altered(append={"p_zero": 0.4}), "append_tokens"),
        (altered(output={"mu": (5.2, 5.9, 6.3)}), "output_tokens"),
    ],
)
def test_three_hundred_sessions_of_a_wrong_recipe_are_caught(wrong: Recipe, quantity: str) -> None:
    assert quantity in missed(wrong, ILR_1, 300)


def test_another_regime_is_caught_at_thirty() -> None:
    assert "first_prompt_tokens" in missed(load_recipe("ilr-2"), ILR_1, 30)


@pytest.mark.parametrize("tools", [name for name, mix in ILR_1.tools.mixes.items() if mix.shares])
def test_tool_times_are_held_to_the_mix_they_were_made_with(tools: str) -> None:
    made = make_workload(ILR_1, Knobs(sessions=60, rate=1.0, tools=tools))
    rows = [row for row in check(made, ILR_1) if row.quantity == "tool_s"]
    assert [row.target for row in rows] == [
        target for _, target in ILR_1.all_targets(tools)["tool_s"].quantiles()
    ]
    assert all(row.ok for row in rows)


def test_pauses_of_another_mix_are_caught() -> None:
    made = make_workload(ILR_1, Knobs(sessions=60, rate=1.0, tools="recorded"))
    for mix in ("autonomous", "recorded-10s", "contended"):
        posing = replace(made, meta={**made.meta, "tools": mix})
        assert any(row.ok is False for row in check(posing, ILR_1) if row.quantity == "tool_s")


@pytest.mark.parametrize(("n", "share"), [(30, 0.5), (300, 0.1), (5_000, 0.9)])
def test_the_band_holds_the_quantile_as_often_as_it_says(n: int, share: float) -> None:
    low, high = order_band(n, share, alpha=0.1)
    below = np.random.default_rng(2).binomial(n, share, size=4_000)
    # The quantile lies between ranks low and high when `low` to `high - 1` values are below it.
    inside = np.mean((below >= low) & (below < high))
    assert 0.88 <= inside <= 0.97


def test_a_tiny_sample_bounds_nothing() -> None:
    assert order_band(3, 0.9) == (0, 4)


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    made = make_workload(load_recipe("chat"), Knobs(sessions=2, rate=1.0, tools="cpu-heavy"))
    row = next(r for r in check(made, load_recipe("chat")) if r.quantity == "user_s")
    assert (row.n, row.measured, row.ok) == (0, None, None)


def test_the_cores_that_tools_ask_for_are_rate_times_cpu_seconds() -> None:
    child = session("c", Round(7, 3, (ToolCall("t", "cpu", cpu_s=2.0),)), Round(1, 1))
    calls = (ToolCall("t", "cpu", cpu_s=16.0, cores=8), ToolCall("s", "agent", child=child))
    one = session("a", Round(9, 1, calls), Round(1, 1))
    idle = session("b", Round(9, 1, (ToolCall("w", floor_s=99.0),)), Round(1, 1))
    assert cores_asked(workload(one, idle, meta={"rate": 0.5})) == 0.5 * (16 + 2 + 0) / 2
    assert cores_asked(workload(one, idle, meta={"rate": None})) is None
    assert cores_asked(workload(one, idle, lanes=2, meta={"rate": 0.5})) is None


@pytest.mark.parametrize("tools", ["recorded", "contended"])
def test_every_target_of_a_mix_is_shown(tools: str) -> None:
    made = make_workload(ILR_1, Knobs(sessions=30, rate=1.0, tools=tools))
    text = io.StringIO()
    workload_table(made, ILR_1, Console(file=text, width=100))
    for _, value in ILR_1.all_targets(tools)["tool_s"].quantiles():
        assert f" {compact(value)} " in text.getvalue()


def test_the_verdict_names_what_is_missed() -> None:
    made = make_workload(load_recipe("ilr-2"), Knobs(sessions=30, rate=1.0))
    rows = check(made, ILR_1)
    assert "first_prompt_tokens p50 is 12" in verdict(rows, "ilr-1")
    assert verdict([r for r in rows if r.ok], "ilr-1").startswith("meets all")


def test_quantities_are_taken_over_what_they_say() -> None:
    child = session("c", Round(7, 3, (ToolCall("t", "cpu", cpu_s=2.0),)), Round(1, 1))
    one = session(
        "a",
        Round(100, 10, (ToolCall("t", "cpu", cpu_s=1.0, floor_s=4.0),)),
        Round(20, 10, (ToolCall(USER, "wait", floor_s=9.0),)),
        Round(30, 10, (ToolCall("subagent", "agent", child=child),)),
        Round(0, 5),
    )
    found = measure(workload(one, session("b", arrival_s=6.0)))
    assert list(found["first_prompt_tokens"]) == [100, 100]
    assert list(found["append_tokens"]) == [20, 0]
    assert list(found["user_append_tokens"]) == [30]
    assert list(found["output_tokens"]) == [10, 10, 10, 5, 10]
    assert list(found["tool_s"]) == [4]
    assert list(found["user_s"]) == [9]
    assert list(found["peak_tokens"]) == [185, 110]
    assert list(found["subagents"]) == [1, 0]
    assert list(found["cpu_s"]) == [3, 0]
    assert list(found["interarrival_s"]) == [6]


def test_lanes_have_no_interarrival() -> None:
    rows = describe(workload(session(), session("b"), lanes=2))
    assert "interarrival_s" not in {row.quantity for row in rows}


def test_a_quantile_that_the_count_cannot_carry_is_left_out() -> None:
    row = describe(workload())[0]
    assert (row.n, row.p10, row.p90, row.p99, row.p50) == (1, None, None, None, 100)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (0.0545, "0.0545"), (21, "21"), (2384.2, "2,384"), (999_999, "1,000k"),
     (78_000, "78k"), (1_234_000, "1.23M")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert compact(value) == text
