"""Recipes: those that we ship, and what a wrong one is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marsbench.core.workload.recipe import load_recipe, recipe_folder, recipe_names
from marsbench.errors import UsageError

ILR_1 = (recipe_folder() / "ilr-1.toml").read_text()


def load(folder: Path, text: str) -> None:
    path = folder / "mine.toml"
    path.write_text(text)
    load_recipe(str(path))


def test_the_regimes_and_the_control_are_shipped() -> None:
    assert recipe_names() == [
        "chat", "fresh", "ilr-1", "ilr-2", "ilr-3", "ilr-4", "team", "tree",
    ]  # fmt: skip


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_says_where_its_numbers_come_from(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    assert recipe.source
    assert {"first_prompt_tokens", "rounds", "output_tokens"} <= set(recipe.targets)


def test_the_regimes_get_heavier() -> None:
    medians = [load_recipe(f"ilr-{i}").initial_tokens.quantile(0.5) for i in (1, 2, 3, 4)]
    assert medians == pytest.approx([78_000, 125_000, 172_000, 210_000])


def test_a_recipe_of_ones_own_uses_what_is_shared(tmp_path: Path) -> None:
    load(tmp_path, ILR_1)


def test_what_a_recipe_says_itself_replaces_what_is_shared() -> None:
    assert load_recipe("chat").turns != load_recipe("ilr-1").turns
    assert load_recipe("chat").tools == load_recipe("ilr-1").tools


def test_an_unknown_recipe_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'ilr-2'"):
        load_recipe("ilr2")


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ("sessions = 30", "sessions = 0", "defaults.sessions: .*got 0"),
        ("sessions = 30", 'sessions = "x"', "defaults.sessions: expected int, got str"),
        ("sessions = 30", "session = 30", "defaults.session: no such field"),
        ("load = 1.15", "load = 1.15\nrate = 1", "defaults: give one of rate .* and load"),
        ("load = 1.15", "", "defaults: give one of rate .* and load"),
        ('"poisson"', '"gamma"', "defaults.arrivals: .*needs a CV"),
        ('"autonomous"', '"auto"', "there is no tool mix 'auto'"),
        ("p_zero = 0.119", "p_zero = 1.5", "append.p_zero: .*got 1.5"),
        ("mu = [3.5862, 6.5509]", "mu = [3.5862]", "append: w, mu and sigma must be lists"),
        ("median = 78_000", "", "initial_tokens.w: is missing"),
        ("max_tokens = 140_000", "max_tokens = 90_000", "must stay below context.max_tokens"),
        ('"stop"', '"compact"', "context: compact_to and on_overflow"),
        ("rounds = { p10", "turns = { p10", "targets.turns"),
        ('common = "agent"', 'common = "agents"', "Cannot read the recipe .*agents.toml"),
        ("[append]", "[append", "is not TOML"),
    ],
)
def test_a_wrong_recipe_names_file_and_field(
    tmp_path: Path, line: str, instead: str, complaint: str
) -> None:
    assert line in ILR_1
    with pytest.raises(UsageError, match=complaint) as caught:
        load(tmp_path, ILR_1.replace(line, instead, 1))
    assert re.search(r"\w\.toml", str(caught.value))


COMMON = (recipe_folder() / "common" / "agent.toml").read_text()


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ("w = [0.2838, 0.7162]", "w = [0.2838, 0.2]", "tools.classes.file_tool.*add up to 1"),
        ("mu = [-3.4643, -3.4063]", "mu = [-3.4643]", "tools.classes.file_tool.*same length"),
        ("{ file_tool = 0.480", "{ file_tol = 0.480", "unknown class 'file_tol'"),
        ("{ file_tool = 0.480", "{ file_tool = 0.3", "mixes.autonomous: the shares must add up"),
        ("{ file_tool = 0.8,", "{ file_tol = 0.8,", "subagent.shares must name classes"),
    ],
)
def test_a_wrong_tool_table_is_named(
    tmp_path: Path, line: str, instead: str, complaint: str
) -> None:
    assert line in COMMON
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "agent.toml").write_text(COMMON.replace(line, instead, 1))
    with pytest.raises(UsageError, match=complaint):
        load(tmp_path, ILR_1)


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ("branches = { median = 5,", "branch = { median = 5,", "fan_out.branches: is missing"),
        ("clip = [2, 9]", "clip = [0, 9]", "fan_out: branches must be at least 1"),
        ("clip = [20, 1_000]", "clip = [0, 1_000]", "initial_tokens and rounds are at least 1"),
        (
            "max_tokens = 32_000",
            "max_tokens = 32_000\nprefix_tokens = 9",
            "leave out prefix_tokens",
        ),
        ("max_tokens = 8_000", "max_tokens = 8_000\nshares = { x = 1.0 }", "must name classes"),
    ],
)
def test_a_wrong_fan_out_is_named_at_any_depth(
    tmp_path: Path, line: str, instead: str, complaint: str
) -> None:
    tree = (recipe_folder() / "tree.toml").read_text()
    assert line in tree
    with pytest.raises(UsageError, match=complaint):
        load(tmp_path, tree.replace(line, instead, 1))


def test_a_fan_out_to_nobody_is_refused(tmp_path: Path) -> None:
    team = (recipe_folder() / "team.toml").read_text()
    (tmp_path / "common").mkdir()
    alone = COMMON[: COMMON.index("[subagent]")]
    (tmp_path / "common" / "agent.toml").write_text(alone)
    with pytest.raises(UsageError, match="fan_out needs an agent of its own"):
        load(tmp_path, team)


def test_a_recipe_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot read the recipe .*no such file"):
        load_recipe(str(tmp_path / "none.toml"))
