"""Whose sessions they are: labels that move neither bodies nor arrivals."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.workload.files import Workload, read_workload, write_workload
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import make_workload
from marsbench.core.workload.recipe import load_recipe
from marsbench.core.workload.resample import rearranged
from marsbench.core.workload.tenants import TenantMix, with_tenants
from marsbench.errors import UsageError

KNOBS = Knobs(sessions=30, rate=0.05)


def plain(count: int = 400) -> Workload:
    """Sessions of one round, the later the longer."""
    sessions = (Session(f"s{n}", (Round(100 + n, 5),)) for n in range(count))
    return Workload("plain", tuple(sessions), None, {"seed": 3})


def counts(kind: str, count: int = 400) -> Counter[str]:
    return Counter(s.tenant for s in with_tenants(plain(count), kind).sessions)


def test_a_workload_without_tenants_is_the_one_it_was() -> None:
    workload = plain()
    assert with_tenants(workload, None) is workload
    assert {s.tenant for s in make_workload(load_recipe("chat"), KNOBS).sessions} == {"default"}


def test_labels_are_all_that_differs() -> None:
    bare, shared = (
        make_workload(load_recipe("fresh"), replace(KNOBS, tenants=kind))
        for kind in (None, "greedy:3")
    )
    assert with_tenants(shared, "even:2").sessions != shared.sessions
    assert bare.hash != shared.hash
    assert [replace(s, tenant="default") for s in with_children_of("default", shared)] == list(
        bare.sessions
    )
    assert shared.meta["tenants"] == "greedy:3"


def with_children_of(tenant: str, workload: Workload) -> list[Session]:
    return [s.with_children(lambda c: replace(c, tenant=tenant)) for s in workload.sessions]


@pytest.mark.parametrize(
    ("kind", "shares"),
    [
        ("even:4", {"t1": 100, "t2": 100, "t3": 100, "t4": 100}),
        ("greedy:3", {"greedy": 200, "t2": 100, "t3": 100}),
        ("shares:5,3,2", {"t1": 200, "t2": 120, "t3": 80}),
    ],
)
def test_tenants_begin_sessions_in_these_shares(kind: str, shares: dict[str, int]) -> None:
    found = counts(kind)
    assert found.keys() == shares.keys()
    assert all(abs(found[name] - share) <= 30 for name, share in shares.items()), found


def test_the_tenant_with_long_contexts_has_the_longest_and_no_others() -> None:
    sessions = with_tenants(plain(), "long:4").sessions
    assert [s.id for s in sessions if s.tenant == "long"] == [f"s{n}" for n in range(300, 400)]
    others = Counter(s.tenant for s in sessions[:300])
    assert others.keys() == {"t2", "t3", "t4"}
    assert min(others.values()) > 75


def test_more_sessions_extend_the_same_list_and_another_seed_is_another() -> None:
    def owners(count: int, seed: int) -> list[str]:
        return TenantMix.parse("greedy:3").owners(plain(count).sessions, seed)

    assert owners(50, 1) == owners(80, 1)[:50]
    assert owners(50, 1) != owners(50, 2)


def test_a_sub_agent_runs_on_the_account_of_its_parent() -> None:
    child = Session("c", (Round(10, 2),))
    calls = (ToolCall("agent", "agent", child=child),)
    parents = (Session(f"p{n}", (Round(20, 2, calls), Round(5, 2))) for n in range(1))
    (owned,) = with_tenants(Workload("w", tuple(parents)), "even:2").sessions
    assert [s.tenant for s in owned.walk()] == [owned.tenant] * 2 != ["default"] * 2


def test_a_file_keeps_its_tenants_and_can_be_given_others(tmp_path) -> None:
    path = tmp_path / "w.jsonl"
    write_workload(with_tenants(plain(20), "even:2"), path)
    read = read_workload(path)
    assert read.hash == with_tenants(plain(20), "even:2").hash
    other = rearranged(read, Knobs(tenants="long:2"), lambda _: 1.0)
    assert [s.tenant for s in other.sessions[10:]] == ["long"] * 10
    assert [s.id for s in other.sessions] == [s.id for s in read.sessions]


@pytest.mark.parametrize(
    "kind", ["even", "even:1", "long:1.5", "shares:1", "shares:1,0", "shares:nan,1", "greedy:inf"]
)
def test_tenants_that_cannot_be_are_refused(kind: str) -> None:
    with pytest.raises(UsageError, match="needs 2 to 1,000 tenants, with shares above 0"):
        TenantMix.parse(kind)


def test_an_unknown_kind_of_tenants_is_refused() -> None:
    with pytest.raises(UsageError, match="Known: even, greedy, long, shares"):
        TenantMix.parse("gredy:3")


@pytest.mark.parametrize("kind", ["even:3", "greedy:4", "long:2", "shares:5,3,2"])
def test_tenants_are_written_as_they_are_typed(kind: str) -> None:
    assert str(TenantMix.parse(kind)) == kind
