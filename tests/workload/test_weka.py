"""Recorded Claude Code sessions: prompts as long as recorded, gaps, sub-agents, cuts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marsbench.core.session import Cut, Session, ToolCall
from marsbench.formats.fallback import Fallback
from marsbench.formats.gathering import ImportResult, gather
from marsbench.formats.table import recognised
from marsbench.formats.weka import FORMAT, import_weka
from workload.builders import request, subagent, trace, write_trace

REAL = Path(__file__).parents[3] / "shared" / "traces" / "weka"
needs_real = pytest.mark.skipif(
    not REAL.is_dir(), reason="the recorded traces are not beside the repository"
)

# 128, 192 and 256 tokens of the same history.
TWO, THREE, FOUR = [1, 2], [1, 2, 3], [1, 2, 3, 4]


def imported(folder: Path, *requests: dict[str, Any], **fields: Any) -> Session:
    result = import_weka([write_trace(folder, trace(*requests, **fields))])
    assert result.problems == ()
    return result.sessions[0]


def prompts(session: Session) -> list[int]:
    return [prompt.num_tokens for prompt in session.prompts()]


def cuts(session: Session) -> list[Cut | None]:
    return [rnd.cut for rnd in session.rounds]


def problem(folder: Path, record: object, name: str = "t1.json") -> str:
    path = folder / name
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    result = import_weka([path])
    assert result.sessions == ()
    return result.problems[0]


def test_a_round_appends_what_the_prompt_grew_by(tmp_path: Path) -> None:
    one = imported(tmp_path, request(0, 130, 20, TWO), request(9, 200, 5, THREE))
    assert [(r.append_tokens, r.output_tokens) for r in one.rounds] == [(130, 20), (50, 5)]
    assert cuts(one) == [None, None]


def test_a_broken_history_is_a_cut_that_keeps_the_shared_blocks(tmp_path: Path) -> None:
    one = imported(tmp_path, request(0, 260, 20, FOUR), request(9, 200, 5, [1, 8, 9]))
    assert cuts(one)[1] == Cut(64, 64)
    assert prompts(one) == [260, 200]


def test_a_reset_keeps_nothing_even_when_the_new_context_is_longer(tmp_path: Path) -> None:
    one = imported(tmp_path, request(0, 130, 20, TWO), request(9, 400, 5, [7, 8, 9, 10, 11, 12]))
    assert cuts(one)[1] == Cut(0, 0)
    assert prompts(one) == [130, 400]


def test_output_that_was_dropped_is_a_cut_to_the_history(tmp_path: Path) -> None:
    one = imported(tmp_path, request(0, 130, 90, TWO), request(9, 200, 5, THREE))
    assert cuts(one)[1] == Cut(130, 130)
    assert one.rounds[1].append_tokens == 70


def test_a_changed_last_block_alone_is_no_cut(tmp_path: Path) -> None:
    one = imported(tmp_path, request(0, 192, 4, THREE), request(9, 260, 5, [1, 2, 8, 9]))
    assert cuts(one)[1] is None
    both = imported(tmp_path, request(0, 192, 4, THREE), request(9, 260, 5, [1, 7, 8, 9]))
    assert cuts(both)[1] == Cut(64, 64)


def test_an_interrupted_request_still_is_a_round(tmp_path: Path) -> None:
    bare = {k: v for k, v in request(9, 200, 0, THREE).items() if k != "api_time"}
    one = imported(tmp_path, request(0, 130, 20, TWO), bare, request(30, 300, 5, FOUR))
    assert [r.output_tokens for r in one.rounds] == [20, 1, 5]
    assert prompts(one) == [130, 200, 300]


@pytest.mark.parametrize(
    ("stop", "fields", "expected"),
    [
        ("tool_use", {"think_time": 6.0}, ToolCall("client_gap", "wait", floor_s=6.0)),
        ("end_turn", {"think_time": 6.0}, ToolCall("user", "wait", floor_s=6.0)),
        ("", {"think_time": 6.0}, ToolCall("client_gap", "wait", floor_s=6.0)),
        ("tool_use", {}, ToolCall("client_gap", "wait", floor_s=7.0)),
        ("tool_use", {"think_time": -1.0}, None),
    ],
)
def test_the_time_between_requests_is_one_waiting_call(
    tmp_path: Path, stop: str, fields: dict[str, Any], expected: ToolCall | None
) -> None:
    first = request(0, 130, 20, TWO, stop=stop)
    one = imported(tmp_path, first, request(9, 200, 5, THREE, **fields))
    assert one.rounds[0].tools == (() if expected is None else (expected,))
    assert one.rounds[1].tools == ()


def test_a_think_time_is_no_longer_than_from_one_request_to_the_next(tmp_path: Path) -> None:
    # Behind requests without api_time it counts from the end of the last that has one.
    def bare(t: float, prompt: int, hashes: list[int], think: float) -> dict[str, Any]:
        one = request(t, prompt, 5, hashes, think_time=think)
        del one["api_time"]
        return one

    path = write_trace(
        tmp_path,
        trace(
            request(0, 130, 20, TWO, api_time=10.0),
            bare(15, 200, THREE, 5.0),
            bare(25, 260, FOUR, 15.0),
            request(40, 300, 5, [*FOUR, 5], think_time=30.0, api_time=6.0),
        ),
    )
    result = import_weka([path])
    gaps = [rnd.tools[0].floor_s for rnd in result.sessions[0].rounds[:-1]]
    assert gaps == [5.0, 10.0, 15.0]
    assert result.repairs[0] == (
        f"{path}: t1/r1: think_time is 15 s, and the next request came 10 s later"
    )
    assert (result.accounts[0].gaps_s, result.accounts[0].stated.span_s) == (30.0, 46.0)


def test_whole_seconds_are_no_repair(tmp_path: Path) -> None:
    one = imported(tmp_path, request(0, 130, 20, TWO), request(9, 200, 5, THREE, think_time=7.9))
    assert one.rounds[0].tools[0].floor_s == 7.9  # 7 s between them, in whole seconds


def test_a_sub_agent_s_time_is_its_begin_where_only_that_fits(tmp_path: Path) -> None:
    inner = [request(10.5, 70, 5, [9]), request(305.5, 90, 5, [9])]
    record = trace(
        request(0, 130, 20, TWO, api_time=10.0),
        subagent(10.5, 300.0, *inner),
        request(312, 400, 5, THREE),
    )
    result = import_weka([write_trace(tmp_path, record)])
    (child,) = result.sessions[0].children
    assert child.arrival_s == pytest.approx(0.5 + 1.5)
    assert result.notes[0].endswith("a sub-agent's t is when it began")


def test_a_sub_agent_that_went_on_behind_the_next_request_was_not_waited_for(
    tmp_path: Path,
) -> None:
    agent = subagent(900.0, 899.0, request(0, 70, 5, [9]))
    record = trace(request(0, 130, 20, TWO), agent, request(30, 400, 5, THREE))
    result = import_weka([write_trace(tmp_path, record)])
    assert (result.unawaited, result.sessions[0].children) == (1, ())
    assert result.sessions[0].rounds[0].tools[0].floor_s == 28.0
    assert result.differences[0].endswith("2 rounds of 3 recorded calls of a model")


def test_one_null_costs_no_session(tmp_path: Path) -> None:
    agent = subagent(8.0, 0, request(0, 70, 5, [9]), request(3, 90, 5, [9])) | {"duration_ms": None}
    record = trace(
        request(0, 130, 20, TWO) | {"hash_ids": None},
        agent,
        request(9, 200, 5, THREE) | {"stop": None},
        request(20, 260, 5, FOUR) | {"t": None},
        request(30, 300, 5, [*FOUR, 5]),
    )
    result = import_weka([write_trace(tmp_path, record)])
    assert result.problems == ()
    assert prompts(result.sessions[0]) == [130, 200, 260, 300]
    assert result.sessions[0].children[0].arrival_s == 2.0  # it ran 5 s, and ended 1 s before
    assert set(result.accounts[0].repairs) == {"a time that is missing"}


def test_many_traces_in_one_file_are_as_many_sessions(tmp_path: Path) -> None:
    one = trace(request(0, 130, 20, TWO))
    path = tmp_path / "all.jsonl"
    path.write_text("".join(json.dumps(one | {"id": name}) + "\n" for name in "ab") + "{}\n")
    result = import_weka([path])
    assert [s.id for s in result.sessions] == ["a", "b"]
    assert result.problems == (f"{path}:3: requests: is missing",)


def test_traces_in_parquet_are_those_in_json(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    agent = subagent(2.5, 3.0, request(3, 70, 5, [9]))
    first = trace(request(0, 130, 20, [1, 2]), agent, request(9, 300, 5, [1, 2, 3]), id="a")
    rows = [{key: first[key] for key in ("id", "models", "block_size", "requests")}]
    rows.append({**rows[0], "id": "b", "requests": [request(0, 9, 1, [7])]})
    path = tmp_path / "traces.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    lines = tmp_path / "traces.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert recognised(path).format is FORMAT
    found = [gather([FORMAT.contents(one, Fallback())]) for one in (path, lines)]
    assert found[0].sessions == found[1].sessions
    assert [one.id for one in found[0].sessions] == ["a", "b"]
    assert found[0].problems == ()


def test_a_damaged_parquet_table_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "traces.parquet"
    path.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    result = gather([FORMAT.contents(path, Fallback())])
    assert result.problems[0].startswith(f"{path}: is no Parquet table that can be read (")


def test_requests_that_overlap_are_said(tmp_path: Path) -> None:
    first = request(0, 130, 20, [1, 2], api_time=10.0)
    at_once = request(3, 90, 20, [7], api_time=10.0)
    later = request(14, 300, 5, [1, 2, 3])
    path = write_trace(tmp_path, trace(first, at_once, later))
    (said,) = import_weka([path]).repairs
    assert said.endswith("t1: 1 requests were sent while the one before was being answered")


def test_sub_agents_run_at_once_as_children_of_the_round_before(tmp_path: Path) -> None:
    inner = [request(0, 70, 5, [9]), request(4, 90, 5, [9])]
    # The request ends at 2; `t` of a sub-agent is when it ended; the next request comes at 60.
    one = imported(
        tmp_path,
        request(0, 130, 20, TWO),
        subagent(33.0, 30.0, *inner),
        subagent(50.0, 48.0, *inner),
        request(60, 400, 5, THREE),
    )
    calls = one.rounds[0].tools
    assert [(c.name, c.kind) for c in calls] == [("subagent", "agent")] * 2
    assert [c.id for c in one.children] == ["t1/r0c0", "t1/r0c1"]
    # 10 s of client time after the last one go before them; the first started 1 s late.
    assert [c.arrival_s for c in one.children] == [11.0, 10.0]
    assert prompts(one.children[0]) == [70, 90]
    assert (one.children[0].prefix_group, one.children[0].prefix_tokens) == ("weka-t60-s4", 64)


def test_a_sub_agent_without_requests_only_waits(tmp_path: Path) -> None:
    one = imported(
        tmp_path, request(0, 130, 20, TWO), subagent(32.0, 30.0), request(33, 200, 5, THREE)
    )
    assert one.rounds[0].tools == (ToolCall("subagent", "wait", floor_s=31.0),)


def test_sub_agents_that_nothing_waits_for_are_left_out_and_counted(tmp_path: Path) -> None:
    agent = subagent(5.0, 1.0, request(0, 70, 5, [9]))
    path = write_trace(tmp_path, trace(agent, request(9, 130, 20, TWO), agent, agent))
    result = import_weka([path])
    assert result.unawaited == 3
    assert result.sessions[0].children == ()


def test_equal_tool_and_system_lengths_are_one_prefix_group(tmp_path: Path) -> None:
    one = imported(tmp_path, request(0, 130, 20, TWO))
    assert (one.prefix_group, one.prefix_tokens) == ("weka-t100-s28", 128)
    short = imported(tmp_path, request(0, 90, 20, [1]))
    assert (short.prefix_group, short.prefix_tokens) == ("weka-t100-s28", 90)
    none = imported(tmp_path, request(0, 90, 20, [1]), tool_tokens=0, system_tokens=0)
    assert (none.prefix_group, none.prefix_tokens) == (None, 0)


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("in", "12", "requests[1].in: expected int, got str"),
        ("in", None, "requests[1].in: expected int, got null"),
        ("in", 0, "requests[1].in: should be greater than or equal to 1, got 0"),
        ("out", 1.5, "requests[1].out: expected int, got 1.5"),
        ("t", float("nan"), "requests[1].t: expected finite number, got nan"),
        ("hash_ids", [1, "x"], "requests[1].hash_ids[1]: expected int, got str"),
        ("type", "z", "requests[1]: tag 'z' found using 'type' does not match"),
    ],
)
def test_a_malformed_request_is_named_with_its_field(
    tmp_path: Path, field: str, value: object, complaint: str
) -> None:
    record = trace(request(0, 130, 20, TWO), request(9, 200, 5, THREE) | {field: value})
    assert f"t1.json: {complaint}" in problem(tmp_path, record)


def test_a_missing_field_is_named_at_any_depth(tmp_path: Path) -> None:
    inner = request(0, 70, 5, [9])
    del inner["out"]
    record = trace(request(0, 130, 20, TWO), subagent(9, 1, inner), request(9, 200, 5, THREE))
    assert problem(tmp_path, record).endswith("t1.json: requests[1].requests[0].out: is missing")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"id": "a",\n"requests": [}', "t1.json: is no JSON ('}' at line 2, column 14); give"),
        ("", "t1.json: is empty; give the file as its tool wrote it"),
        ("[]", "t1.json: expected object, got list"),
        ("{}", "t1.json: requests: is missing"),
        (trace(), "t1.json: requests: holds no request of the session itself"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(
    tmp_path: Path, text: object, complaint: str
) -> None:
    assert complaint in problem(tmp_path, text)


def test_files_that_cannot_be_read_leave_the_others(tmp_path: Path) -> None:
    good = write_trace(tmp_path, trace(request(0, 130, 20, TWO)))
    twin = write_trace(tmp_path, trace(request(0, 130, 20, TWO)), "twin.json")
    damaged = tmp_path / "damaged.json.gz"
    damaged.write_bytes(gzip.compress(good.read_bytes())[:-9])
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe")
    missing = tmp_path / "missing.json"
    result = import_weka([missing, good, twin, damaged, binary, tmp_path])
    assert [s.id for s in result.sessions] == ["t1"]
    said = [problem.removeprefix(f"{tmp_path}") for problem in result.problems]
    assert said == [
        "/missing.json: no such file or directory",
        "/twin.json: id: 't1' was already imported",
        "/damaged.json.gz: is cut short or damaged, unpack it to see",
        "/binary.json: is not text but binary",
        ": is a directory",
    ]


def test_packed_or_not_is_seen_in_the_file_not_its_name(tmp_path: Path) -> None:
    plain = write_trace(tmp_path, trace(request(0, 130, 20, TWO)))
    packed = tmp_path / "packed.json"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert import_weka([packed]) == import_weka([plain])


@pytest.fixture(scope="module")
def real() -> ImportResult:
    return import_weka(sorted(REAL.glob("*.json.gz")))


def talks() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Every conversation of the real files: its session's id and its own requests."""
    for path in sorted(REAL.glob("*.json.gz")):
        record = json.loads(gzip.decompress(path.read_bytes()))
        number, calls = -1, 0
        yield record["id"], [r for r in record["requests"] if r["type"] != "subagent"]
        for entry in record["requests"]:
            if entry["type"] == "subagent":
                yield f"{record['id']}/r{number}c{calls}", entry["requests"]
                calls += 1
            else:
                number, calls = number + 1, 0


@needs_real
def test_all_real_files_are_imported(real: ImportResult) -> None:
    assert real.problems == ()
    assert real.unawaited == 0
    members = [m for s in real.sessions for m in s.walk()]
    assert len(real.sessions) == 16
    assert len(members) - 16 == 6
    assert sum(len(m.rounds) for m in members) == 993


@needs_real
def test_every_real_prompt_is_as_long_as_recorded(real: ImportResult) -> None:
    members = {m.id: m for s in real.sessions for m in s.walk()}
    recorded = dict(talks())
    assert members.keys() == recorded.keys()
    for name, requests in recorded.items():
        assert prompts(members[name]) == [r["in"] for r in requests], name
        assert [r.output_tokens for r in members[name].rounds] == [
            max(1, r["out"]) for r in requests
        ], name


@needs_real
def test_real_cuts_keep_no_more_than_the_hashes_allow(real: ImportResult) -> None:
    members = {m.id: m for s in real.sessions for m in s.walk()}
    for name, requests in talks():
        pairs = zip(requests, requests[1:], members[name].rounds[1:], strict=False)
        for before, after, rnd in pairs:
            if rnd.cut is not None and rnd.cut.kept_tokens != before["in"]:
                blocks = rnd.cut.kept_tokens // 64
                assert before["hash_ids"][:blocks] == after["hash_ids"][:blocks], name


@needs_real
def test_a_real_parent_waits_for_its_three_explorers(real: ImportResult) -> None:
    one = next(s for s in real.sessions if s.id == "trace_0277")
    explorers = [c.child for c in one.rounds[0].tools if c.child is not None]
    assert [len(c.rounds) for c in explorers] == [4, 12, 17]
    assert {c.prefix_group for c in explorers} == {"weka-t7401-s1022"}
    # Recorded: the request ended at 18.8 s, the last of them at 211.3 s, the next came at 228 s.
    assert all(17 < c.arrival_s < 18 for c in explorers)
