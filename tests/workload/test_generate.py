"""Sessions from recipes: what depends on what, and what always holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from marsbench.core.session import Session, ToolCall
from marsbench.core.workload.draws import stream
from marsbench.core.workload.files import Workload
from marsbench.core.workload.generate import USER, Draft, fit
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import make_workload
from marsbench.core.workload.recipe import ContextShape, load_recipe, recipe_names
from marsbench.core.workload.tool_times import ToolTimeDraws
from marsbench.errors import UsageError

RECIPES = {name: load_recipe(name) for name in recipe_names()}
ILR_1 = RECIPES["ilr-1"]
TOOL = ToolCall("x")


def make(name: str = "ilr-1", **knobs: object) -> Workload:
    defaults: dict[str, object] = {"sessions": 8}
    if "load" not in knobs and not str(knobs.get("arrivals", "")).startswith("closed"):
        defaults["rate"] = 1.0
    return make_workload(RECIPES[name], Knobs(**(defaults | knobs)))  # type: ignore[arg-type]


def bodies(workload: Workload) -> list[Session]:
    return [replace(s, arrival_s=0.0) for s in workload.sessions]


def calls(workload: Workload) -> Iterator[ToolCall]:
    return (call for s in workload.sessions for rnd in s.rounds for call in rnd.tools)


def lengths(workload: Workload) -> list[list[int]]:
    return [[rnd.output_tokens for rnd in s.rounds] for s in workload.sessions]


@pytest.mark.parametrize("name", recipe_names())
def test_the_same_knobs_give_the_same_workload(name: str) -> None:
    assert make(name, sessions=3).hash == make(name, sessions=3).hash


def test_another_seed_gives_other_sessions() -> None:
    assert lengths(make(seed=1)) != lengths(make(seed=2))


@pytest.mark.parametrize(
    "knobs",
    [
        {"rate": 0.01},
        {"arrivals": "gamma:3.5"},
        {"arrivals": "burst:4"},
        {"arrivals": "closed:2"},
    ],
)
def test_arrivals_and_rate_never_change_the_bodies(knobs: dict[str, object]) -> None:
    assert bodies(make(**knobs)) == bodies(make())
    assert make(**knobs).hash != make().hash


def test_more_sessions_extend_the_same_list() -> None:
    assert make(sessions=9).sessions[:8] == make(sessions=8).sessions


def test_another_tool_mix_keeps_the_outputs() -> None:
    assert lengths(make(tools="cpu-heavy"))[0][:8] == lengths(make())[0][:8]


def test_another_prefix_pool_changes_groups_alone() -> None:
    def stripped(workload: Workload) -> list[object]:
        return [[(r.append_tokens, r.output_tokens) for r in s.rounds] for s in workload.sessions]

    assert stripped(make(prefixes=1)) == stripped(make(prefixes=0)) == stripped(make())


@pytest.mark.parametrize(("prefixes", "least", "most"), [(1, 1, 1), (4, 2, 4), (10**6, 8, 8)])
def test_prefixes_are_drawn_from_a_pool(prefixes: int, least: int, most: int) -> None:
    groups = {s.prefix_group for s in make(prefixes=prefixes).sessions}
    assert least <= len(groups) <= most
    assert {s.prefix_tokens for s in make(prefixes=prefixes).sessions} == {15_200}


def test_without_a_pool_nothing_is_shared() -> None:
    members = [m for s in make(prefixes=0, sessions=60).sessions for m in s.walk()]
    assert len(members) > 60
    assert {(m.prefix_group, m.prefix_tokens) for m in members} == {(None, 0)}


def test_a_short_first_prompt_is_never_all_prefix() -> None:
    for session in make("fresh", sessions=15).sessions:
        assert session.prefix_tokens <= 0.95 * session.rounds[0].append_tokens


def test_ids_say_what_they_are_and_children_where_they_began() -> None:
    sessions = make(sessions=80).sessions
    assert sessions[7].id == "ilr-1-0007"
    parent, child = next((s, c) for s in sessions for c in s.children)
    number = next(i for i, r in enumerate(parent.rounds) if any(t.child for t in r.tools))
    assert child.id == f"{parent.id}/r{number}c0"


def test_a_sub_agent_is_a_session_that_grows_from_11k() -> None:
    children = [c for s in make("fresh", sessions=15).sessions for c in s.children]
    assert len(children) > 3
    assert all(8_500 <= c.rounds[0].append_tokens <= 20_000 for c in children)
    assert 40_000 < np.median([c.peak_tokens for c in children]) < 100_000
    assert not any(c.children for c in children)
    assert {c.prefix_tokens for c in children} == {8_400}


def fan_outs(session: Session, every: int) -> list[list[Session]]:
    """The sub-agents that start after each round, which are those of every so many rounds."""
    found = [[c.child for c in rnd.tools if c.child is not None] for rnd in session.rounds[:-1]]
    assert all(len(one) > 1 for one in found[every - 1 :: every])
    return [one for one in found if len(one) > 1]


def test_a_team_hands_work_to_sub_agents_at_once_and_reads_what_they_answer() -> None:
    for session in make("team", sessions=10).sessions:
        for number, workers in enumerate(fan_outs(session, 5), 1):
            assert 4 <= len(workers) <= 8
            assert {w.prefix_group for w in workers} == {f"{session.prefix_group}-subagent"}
            assert {w.fork_tokens for w in workers} == {0}
            assert session.rounds[5 * number].append_tokens >= 100 * len(workers)


def test_a_branch_of_a_tree_begins_with_all_that_its_parent_said_at_every_depth() -> None:
    for session in make("tree", sessions=5).sessions:
        for member in session.walk():
            context = [p.num_tokens + p.output_tokens for p in member.prompts()]
            for rnd, length in zip(member.rounds, context, strict=True):
                forks = {call.child.fork_tokens for call in rnd.tools if call.child is not None}
                assert forks <= {length}
        thoughts = [thought for one in fan_outs(session, 1) for thought in one]
        votes = [votes for thought in thoughts for votes in fan_outs(thought, 1)]
        assert {len(one) for one in votes} == {3}
        assert len(thoughts) == len(votes)


@pytest.mark.parametrize("name", recipe_names())
def test_no_context_passes_the_recipes_limit(name: str) -> None:
    limit = RECIPES[name].context.max_tokens
    many = 25 if RECIPES[name].fan_out is None else 5
    assert max(s.peak_tokens for s in make(name, sessions=many).sessions) <= limit


def test_a_fresh_session_compacts_to_a_summary_behind_its_prefix() -> None:
    cuts = [(s, r.cut) for s in make("fresh", sessions=20).sessions for r in s.rounds if r.cut]
    assert cuts
    for session, cut in cuts:
        assert 11_000 <= cut.to_tokens <= 110_000
        assert cut.kept_tokens == min(session.prefix_tokens, cut.to_tokens)


def fitted(*lengths: tuple[int, int], on_overflow: str = "stop") -> list[tuple[int, int, object]]:
    target = {"median": 20, "sigma": 0.1, "clip": [20, 20]} if on_overflow == "compact" else None
    limit = ContextShape.model_validate(
        {"max_tokens": 100, "on_overflow": on_overflow, "compact_to": target}
    )
    drafts = [Draft(append, output, (TOOL,)) for append, output in lengths]
    rounds = fit(drafts, limit, 15, stream(1, "cuts"))
    assert rounds[-1].tools == ()
    return [(r.append_tokens, r.output_tokens, r.cut and r.cut.to_tokens) for r in rounds]


def test_a_round_that_would_overflow_ends_the_session_before_it() -> None:
    assert fitted((50, 10), (30, 10), (1, 1)) == [(50, 10, None), (30, 10, None)]
    assert fitted((50, 10), (30, 11), (1, 1)) == [(50, 10, None)]


def test_or_has_the_context_compacted_before_it() -> None:
    assert fitted((50, 10), (30, 11), on_overflow="compact") == [(50, 10, None), (30, 11, 20)]


def test_a_round_too_long_for_any_context_is_shortened() -> None:
    assert fitted((90, 20)) == [(90, 10, None)]
    assert fitted((50, 10), (300, 5), on_overflow="compact")[1] == (79, 1, 20)


def test_autonomous_sessions_meet_no_human() -> None:
    assert not any(call.name == USER for call in calls(make(sessions=20)))


def test_interactive_sessions_wait_for_a_human_at_turn_ends() -> None:
    found = list(calls(make(tools="interactive", sessions=60)))
    humans = [call for call in found if call.name == USER]
    assert 0.04 < len(humans) / len(found) < 0.08
    assert all(call.kind == "wait" and 0.5 <= call.floor_s <= 7_200 for call in humans)


def test_every_round_of_a_chat_is_answered_by_a_human() -> None:
    assert {call.name for call in calls(make("chat"))} == {USER}


def test_a_mix_has_its_classes_in_their_shares() -> None:
    found = list(calls(make(tools="cpu-heavy", sessions=120)))
    shares = {name: n / len(found) for name, n in Counter(c.name for c in found).items()}
    assert shares == pytest.approx(ILR_1.mix("cpu-heavy").shares, abs=0.025)


def test_each_class_has_its_own_durations() -> None:
    u = np.random.default_rng(1).random((2, 20_000))
    mix = ILR_1.mix("autonomous")
    found = ToolTimeDraws(ILR_1.tools, mix.shares, ILR_1.tools.clip(mix)).calls(*u)
    for name, median in (("file_tool", 0.033), ("sh_test", 1.3), ("sh_git", 0.115)):
        seconds = [call.alone_s for call in found if call.name == name]
        assert np.median(seconds) == pytest.approx(median, rel=0.12)


def test_what_runs_burns_a_core_and_the_network_only_waits() -> None:
    found = list(calls(make(tools="interactive", sessions=60)))
    kinds = {(call.name, call.kind) for call in found}
    assert {("sh_test", "cpu"), ("sh_run", "cpu"), ("sh_network", "wait")} <= kinds
    assert all(call.floor_s == 0 for call in found if call.kind == "cpu")
    assert max(c.alone_s for c in found if c.name != USER) <= ILR_1.tools.timeout_s


def test_a_call_of_a_parallel_class_is_as_long_as_drawn_on_all_of_its_cores() -> None:
    found = list(calls(make(tools="contended", sessions=60)))
    cores = {(call.name, call.cores) for call in found}
    assert {("parallel_build", 8), ("parallel_test", 4), ("file_tool", 1)} <= cores
    builds = [call for call in found if call.name == "parallel_build"]
    assert np.median([call.alone_s for call in builds]) == pytest.approx(20, rel=0.2)
    assert all(call.cpu_s == 8 * call.alone_s for call in builds)


def test_recorded_pauses_are_cut_at_their_own_clip_and_not_at_the_time_out_of_tools() -> None:
    pauses = [call.floor_s for call in calls(make(tools="recorded", sessions=150))]
    assert ILR_1.tools.timeout_s < max(pauses) <= 3_600
    capped = [call.floor_s for call in calls(make(tools="recorded-10s", sessions=150))]
    assert capped == [min(pause, 10.0) for pause in pauses]


@pytest.mark.parametrize("tools", ["autonomous", "recorded"])
def test_long_tools_print_more(tools: str) -> None:
    pairs = [
        (before.tools[0].alone_s, after.append_tokens)
        for s in make(tools=tools, sessions=150).sessions
        for before, after in zip(s.rounds, s.rounds[1:], strict=False)
        if before.tools[0].child is None
    ]
    ranks = np.argsort(np.argsort(np.array(pairs), axis=0), axis=0)
    assert np.corrcoef(ranks.T)[0, 1] == pytest.approx(0.25, abs=0.05)


def test_a_load_is_a_rate_times_the_gpu_time_of_a_session() -> None:
    seen: list[int] = []

    def gpu_s(sessions: object) -> float:
        seen.append(len(list(sessions)))  # type: ignore[call-overload]
        return 40.0

    workload = make_workload(ILR_1, Knobs(sessions=5, load=2.0), gpu_s)
    assert seen == [5]
    assert workload.meta["rate"] == pytest.approx(0.05)
    assert workload == replace(
        make_workload(ILR_1, Knobs(sessions=5, rate=0.05)), meta=workload.meta
    )


def test_the_recipes_own_load_counts_when_none_is_given() -> None:
    assert make_workload(ILR_1, Knobs(sessions=2), lambda _: 11.5).meta["rate"] == pytest.approx(
        0.1
    )


def test_meta_says_how_to_make_it_again() -> None:
    meta = make(tools="interactive", seed=4, prefixes=3, rate=0.5).meta
    expected = {"recipe": "ilr-1", "tools": "interactive", "seed": 4, "prefixes": 3, "rate": 0.5}
    assert expected.items() <= meta.items()


def test_lanes_need_neither_rate_nor_load() -> None:
    workload = make(arrivals="closed:3")
    assert workload.lanes == 3
    assert workload.meta["rate"] is None


@pytest.mark.parametrize(
    ("knobs", "complaint"),
    [
        ({"rate": 0}, "--rate must be above 0, not 0"),
        ({"rate": -1.0}, "--rate must be above 0"),
        ({"rate": float("nan")}, "--rate must be above 0"),
        ({"load": 0.0}, "--load must be above 0"),
        ({"sessions": 0}, "--sessions must be at least 1, not 0"),
        ({"seed": -1}, "--seed must be at least 0"),
        ({"prefixes": -1}, "--prefixes must be at least 0"),
        ({"rate": 1.0, "load": 1.0}, "A rate and a load"),
        ({"arrivals": "closed:4", "rate": 1.0}, "'closed:4' have no rate or load"),
        ({"tools": "autonomus", "rate": 1.0}, "Did you mean 'autonomous'"),
        ({"load": 1.0}, "needs an engine"),
    ],
)
def test_a_knob_that_cannot_be_is_one_sentence(knobs: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        make_workload(ILR_1, Knobs(**knobs))  # type: ignore[arg-type]


def test_a_mix_with_sub_agents_needs_a_recipe_that_describes_them() -> None:
    bare = ILR_1.model_copy(update={"subagent": None})
    with pytest.raises(UsageError, match="describes none"):
        make_workload(bare, Knobs(rate=1.0))
    assert make_workload(bare, Knobs(sessions=2, rate=1.0, tools="cpu-heavy"))
