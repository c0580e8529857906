"""Files of sessions: they come back as they were, and a wrong one says where."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.workload.files import Workload, read_workload, write_workload
from marsbench.errors import UsageError
from workload.builders import session, sessions, workload

HEADER = '{"marsbench_workload":1,"name":"w","lanes":null,"meta":{}}'
GOOD = '{"id":"a","rounds":[{"append_tokens":5,"output_tokens":1}]}'


def numbered(one: Session, numbers: count[int]) -> Session:
    """The session with ids of its own, children included."""
    rounds = tuple(
        replace(rnd, tools=tuple(_numbered(call, numbers) for call in rnd.tools))
        for rnd in one.rounds
    )
    return replace(one, id=f"s{next(numbers)}", rounds=rounds)


def _numbered(call: ToolCall, numbers: count[int]) -> ToolCall:
    return call if call.child is None else replace(call, child=numbered(call.child, numbers))


def read(folder: Path, *lines: str) -> Workload:
    path = folder / "w.jsonl"
    path.write_text("\n".join(lines))
    return read_workload(path)


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(GOOD), **fields})


def round_with(**fields: Any) -> str:
    return changed(rounds=[{"append_tokens": 5, "output_tokens": 1, **fields}])


@settings(max_examples=20, deadline=None)
@given(
    drawn=st.lists(sessions(), min_size=1, max_size=3),
    lanes=st.none() | st.integers(1, 9),
    meta=st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=3),
)
def test_a_workload_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[Session],
    lanes: int | None,
    meta: dict[str, Any],
) -> None:
    numbers = count()
    before = Workload("w", tuple(numbered(s, numbers) for s in drawn), lanes, meta)
    path = tmp_path_factory.getbasetemp() / "round-trip.jsonl"
    write_workload(before, path)
    after = read_workload(path)
    assert after == before
    assert after.hash == before.hash


def test_the_same_workload_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_workload(workload(meta={"seed": 1}), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_hash_is_of_what_is_played_not_of_where_it_came_from() -> None:
    plain = workload()
    assert replace(plain, name="x", meta={"seed": 7}).hash == plain.hash
    assert replace(plain, lanes=2).hash != plain.hash
    assert workload(session(arrival_s=1.0)).hash != plain.hash
    assert workload(session("a", Round(101, 10))).hash != plain.hash


def test_hash_does_not_see_how_a_number_is_written() -> None:
    assert workload(session(arrival_s=1)).hash == workload(session(arrival_s=1.0)).hash
    assert workload(session(arrival_s=-0.0)).hash == workload(session()).hash


def test_cores_are_part_of_the_hash_and_a_file_from_before_them_is_what_it_was(
    tmp_path: Path,
) -> None:
    def build(cores: int) -> Workload:
        call = ToolCall("build", "cpu", cpu_s=8.0, cores=cores)
        return workload(session("a", Round(9, 1, (call,)), Round(1, 1)))

    before = '{"name":"build","kind":"cpu","cpu_s":8.0}'
    write_workload(build(1), tmp_path / "one")
    assert before in (tmp_path / "one").read_text()
    assert build(1).hash == "46e0df24fdac881417c81e541ee6014872c281cc020ece356e0c24af250c0b95"
    write_workload(build(4), tmp_path / "four")
    assert read_workload(tmp_path / "four") == replace(build(4), meta={})
    assert build(4).hash != build(1).hash


def test_hash_sees_inside_sub_agents() -> None:
    def parent(tokens: int) -> Session:
        call = ToolCall("subagent", "agent", child=session("c", Round(tokens, 1)))
        return session("a", Round(9, 1, (call,)), Round(1, 1))

    assert workload(parent(5)).hash != workload(parent(6)).hash


def test_a_fork_is_kept_and_part_of_the_hash_and_a_file_without_is_what_it_was(
    tmp_path: Path,
) -> None:
    def parent(fork: int) -> Session:
        branch = session("b", Round(10, 1), fork_tokens=fork)
        return session("a", Round(9, 1, (ToolCall("branch", "agent", child=branch),)), Round(1, 1))

    write_workload(workload(parent(10)), tmp_path / "w.jsonl")
    assert read_workload(tmp_path / "w.jsonl").sessions == (parent(10),)
    assert workload(parent(10)).hash != workload(parent(0)).hash
    write_workload(workload(parent(0)), tmp_path / "w.jsonl")
    assert "fork" not in (tmp_path / "w.jsonl").read_text()


def test_what_nobody_starts_forks_nothing() -> None:
    with pytest.raises(ValueError, match="nobody's sub-agent"):
        workload(session("a", Round(9, 1), fork_tokens=3))


@pytest.mark.parametrize("child", ["a", "b"])
def test_an_id_is_used_once_children_included(child: str) -> None:
    call = ToolCall("subagent", "agent", child=session(child))
    with pytest.raises(ValueError, match="two sessions with the id"):
        workload(session("a", Round(9, 1, (call,))), session("b"))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", ":2 is cut short: what begins before column 2 has no end; give"),
        ("{'a': 1}", r":2 is no JSON \(.*at column 2\); give a file made by"),
        ("[]", ":2 is not a JSON object"),
        (changed(id=7), ":2: id: expected string, got 7"),
        (changed(rounds=[]), ":2: session 'a' has no rounds"),
        (changed(arrival_s=-1), ":2: arrival_s: .*greater than or equal to 0, got -1"),
        (changed(arrival_s=float("nan")), ":2: arrival_s: expected finite number, got nan"),
        (changed(arrivals=1), ":2: arrivals: no such field"),
        (changed(prefix_tokens=6), ":2: .* less than its shared prefix of 6"),
        (changed(fork_tokens=6), ":2: .*forks 0 to 5 tokens"),
        (changed(fork_tokens=5), ":2: .*nobody's sub-agent"),
        (round_with(append_tokens="5"), r":2: rounds\[0\].append_tokens: expected int, got str"),
        (round_with(append_tokens=True), r":2: rounds\[0\].append_tokens: expected int, got bool"),
        (round_with(output_tokens=0), r":2: rounds\[0\].output_tokens: .*got 0"),
        (round_with(cut={"to_tokens": 1, "kept_tokens": 2}), ":2: a cut keeps 0 to 1 tokens"),
        (round_with(tools=[{"kind": "wait"}]), r":2: rounds\[0\].tools\[0\].name: is missing"),
        (round_with(tools=[{"name": "x", "kind": "gpu"}]), r"tools\[0\].kind: .*got 'gpu'"),
        (round_with(tools=[{"name": "x", "kind": "agent"}]), ":2: .*kind 'agent' and a child"),
        (round_with(tools=[{"name": "x", "cores": 2}]), ":2: .*cores are 1, or more of kind 'cpu'"),
        (
            round_with(tools=[{"name": "x", "kind": "cpu", "cores": 0}]),
            r"tools\[0\].cores: .*got 0",
        ),
        (GOOD.replace(',"output_tokens":1', ""), r"rounds\[0\].output_tokens: is missing"),
    ],
)
def test_a_bad_line_is_named_with_its_field(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=f"w.jsonl{complaint}|{complaint}"):
        read(tmp_path, HEADER, line)


def test_an_id_used_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r":4: id: 'a' was already used in line 2"):
        read(tmp_path, HEADER, GOOD, changed(id="b"), GOOD)


def test_the_id_of_a_child_counts_too(tmp_path: Path) -> None:
    tool = {"name": "subagent", "kind": "agent", "child": json.loads(GOOD)}
    with pytest.raises(UsageError, match=":3: id: 'a' was already used in line 2"):
        read(tmp_path, HEADER, GOOD, changed(id="b", rounds=[
            {"append_tokens": 5, "output_tokens": 1, "tools": [tool]}]))  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([""], "is empty"),
        (["", " "], "is empty"),
        ([HEADER], "no sessions"),
        ([GOOD], ":1 is not the header"),
        ([HEADER.replace(":1", ":2", 1), GOOD], "of version 2, this marsbench reads version 1"),
        ([HEADER.replace("null", "0"), GOOD], ":1: lanes: .*got 0"),
        ([HEADER.replace("lanes", "lines"), GOOD], ":1: lines: no such field"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, lines: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read(tmp_path, *lines)


def test_what_is_no_text_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, complaint in (("", "is a directory"), ("no", "no such file"), ("binary", "binary")):
        with pytest.raises(UsageError, match=complaint):
            read_workload(tmp_path / name)


def test_blank_lines_and_windows_line_ends_are_no_mistakes(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER + "\r", "", GOOD + "\r", "").sessions == (
        Session("a", (Round(5, 1),)),
    )


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "w.jsonl"):
        with pytest.raises(UsageError, match="Cannot write the workload to"):
            write_workload(workload(), path)


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    write_workload(workload(), path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Out of range float"):
        write_workload(workload(session(arrival_s=float("inf"))), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["w.jsonl"]


def test_a_cut_is_kept(tmp_path: Path) -> None:
    one = session("a", Round(9, 1), Round(0, 1, cut=Cut(7, 3)))
    write_workload(workload(one), tmp_path / "w")
    assert read_workload(tmp_path / "w").sessions[0].rounds[1].cut == Cut(7, 3)
