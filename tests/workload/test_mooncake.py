"""Mooncake files: lengths and arrivals as recorded, equal blocks as prefix groups, and back."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core.session import Cut, Prompt, Round, Session, ToolCall
from marsbench.core.workload.files import Workload
from marsbench.formats import blocks
from marsbench.formats.blocks import packed
from marsbench.formats.fallback import Fallback
from marsbench.formats.mooncake import import_mooncake
from marsbench.formats.mooncake_export import mooncake_lines
from marsbench.formats.prefix_groups import SharedPrefix, share
from workload.builders import session, workload
from workload.trajectories import NOTHING, jsonl

REAL = Path(__file__).parents[3] / "shared" / "traces" / "mooncake"


def row(prompt: int, output: int, hashes: list[int] | None = None, **fields: Any) -> dict[str, Any]:
    hashed = {} if hashes is None else {"hash_ids": hashes}
    return {"input_length": prompt, "output_length": output, **hashed, **fields}


def imported(
    folder: Path, *rows: dict[str, Any] | str, fallback: Fallback = NOTHING
) -> list[Session]:
    result = import_mooncake([jsonl(folder / "trace.jsonl", *rows)], fallback)
    assert result.problems == ()
    return list(result.sessions)


def lengths(one: Session) -> list[tuple[int, int]]:
    return [(prompt.num_tokens, prompt.output_tokens) for prompt in one.prompts()]


def test_a_plain_row_is_a_session_of_one_round(tmp_path: Path) -> None:
    found = imported(tmp_path, row(600, 20, timestamp=0), row(700, 0, timestamp=2500))
    assert found == [
        Session("trace-1", (Round(600, 20),), 0.0),
        Session("trace-2", (Round(700, 1),), 2.5),
    ]


def test_equal_first_blocks_are_a_prefix_group(tmp_path: Path) -> None:
    found = imported(
        tmp_path,
        row(1500, 9, [1, 2, 3], timestamp=0),
        row(2000, 9, [1, 2, 7, 8], timestamp=0),
        row(900, 9, [5, 6], timestamp=0),
    )
    assert [one.prefix_tokens for one in found] == [1024, 1024, 0]
    assert found[0].prefix_group == found[1].prefix_group != found[2].prefix_group


def test_rows_of_one_session_are_its_rounds(tmp_path: Path) -> None:
    (one,) = imported(
        tmp_path,
        row(600, 20, [1, 2], session_id="s", timestamp=1000),
        row(1200, 30, [1, 3, 4], session_id="s", delay=1500),
    )
    assert one.arrival_s == 1.0
    assert lengths(one) == [(600, 20), (1200, 30)]
    # The first prompt's second block was not full, so that it changed is no cut.
    assert one.rounds[1].cut is None
    assert one.rounds[0].tools == (ToolCall("wait", "wait", floor_s=1.5),)


def test_a_broken_full_block_is_a_cut(tmp_path: Path) -> None:
    (one,) = imported(
        tmp_path,
        row(1100, 20, [1, 2, 3], session_id="s"),
        row(1300, 30, [1, 8, 9], session_id="s", delay=0),
    )
    assert one.rounds[1].cut == Cut(512, 512)


def test_without_hashes_a_reset_or_a_shorter_prompt_is_a_cut(tmp_path: Path) -> None:
    (one,) = imported(
        tmp_path,
        row(1000, 20, session_id="s"),
        row(1500, 20, session_id="s", delay=0, prefix_reset=True),
        row(700, 20, session_id="s", delay=0),
        row(705, 20, session_id="s", delay=0),
    )
    assert [rnd.cut for rnd in one.rounds] == [None, Cut(0, 0), Cut(0, 0), Cut(700, 700)]


def test_time_stamps_of_later_rows_say_no_pause(tmp_path: Path) -> None:
    rows = [row(600, 20, session_id="s", timestamp=t) for t in (0, 9000)]
    rows[1] |= {"input_length": 700}
    (problem,) = import_mooncake([jsonl(tmp_path / "t.jsonl", *rows)], NOTHING).problems
    assert "no delay has no recorded tool time, give --tool-time" in problem
    (one,) = imported(tmp_path, *rows, fallback=Fallback(tool_s=4.0))
    assert one.rounds[0].tools == (ToolCall("wait", "wait", floor_s=4.0),)


def agentic(request: str, name: str, prompt: int, *waits: str, **fields: Any) -> dict[str, Any]:
    return row(prompt, 10, request_id=request, session_id=name, wait_for=list(waits), **fields)


def test_tool_events_are_the_tools_of_the_round_before(tmp_path: Path) -> None:
    spans = [
        {"tool_class": "shell", "started_at_unix_ms": 100.0, "ended_at_unix_ms": 600.0},
        {"tool_class": "read", "started_at_unix_ms": 600.0, "ended_at_unix_ms": 900.0},
    ]
    (one,) = imported(
        tmp_path,
        agentic("a", "p", 100, timestamp=500),
        agentic("b", "p", 200, "a", delay=1000, tool_wait_ms=800, tool_events=spans),
        agentic("c", "p", 300, "b", tool_wait_ms=5000, tool_events=spans),
    )
    assert one.rounds[0].tools == (
        ToolCall("shell", "wait", floor_s=1.5),
        ToolCall("read", "wait", floor_s=1.8),
    )
    # Spans that do not add up to the wait do not tell it.
    assert one.rounds[1].tools == (ToolCall("wait", "wait", floor_s=5.0),)


def test_a_session_that_another_waits_for_is_its_sub_agent(tmp_path: Path) -> None:
    (one,) = imported(
        tmp_path,
        agentic("a", "p", 100, timestamp=0, branches=["x"]),
        agentic("x", "q", 50, "a", delay=250),
        agentic("y", "q", 80, "x", tool_wait_ms=2000),
        agentic("b", "p", 200, "a", "y"),
    )
    (call,) = one.rounds[0].tools
    assert (call.name, call.kind) == ("subagent", "agent")
    assert call.child is not None
    assert (call.child.id, call.child.arrival_s) == ("q", 0.25)
    assert lengths(call.child) == [(50, 10), (80, 10)]


def test_a_sub_agent_that_nothing_waits_for_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        agentic("a", "p", 100, timestamp=0),
        agentic("x", "q", 50, "a"),
        agentic("b", "p", 200, "a"),
    ]
    result = import_mooncake([jsonl(tmp_path / "t.jsonl", *rows)], NOTHING)
    assert [one.id for one in result.sessions] == ["p"]
    assert result.unawaited == 1


def test_rows_without_a_session_go_on_what_they_wait_for(tmp_path: Path) -> None:
    rows = [agentic("a", "", 100), agentic("b", "", 200, "a")]
    for one in rows:
        del one["session_id"]
    (found,) = imported(tmp_path, *rows)
    assert lengths(found) == [(100, 10), (200, 10)]


def test_aliases_and_a_header_line_are_understood(tmp_path: Path) -> None:
    header = {"schema": "agentic-mooncake", "version": 1}
    alias = {"input_tokens": 5, "output_tokens": 2, "created_time": 3000}
    (one,) = imported(tmp_path, header, alias)
    assert (lengths(one), one.arrival_s) == ([(5, 2)], 3.0)


def test_rows_that_are_none_are_named_by_line(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "t.jsonl", row(5, 1), "[]", row(0, 1), {"input_length": 3})
    result = import_mooncake([path, tmp_path / "missing"], NOTHING)
    assert [problem.removeprefix(str(tmp_path)) for problem in result.problems] == [
        "/t.jsonl:2: expected object, got list",
        "/t.jsonl:4: output_length: is missing",
        "/t.jsonl:3: session 't-3': the first round appends 0 tokens, less than its shared "
        "prefix of 0, or none",
        "/missing: no such file or directory",
    ]
    assert len(result.sessions) == 1


def test_a_line_ends_at_a_line_feed_alone(tmp_path: Path) -> None:
    # JSON may hold these as they are; other tools of Python end a line there.
    raw = json.dumps(row(600, 20, session_id="a\u2028b\x85c"), ensure_ascii=False)
    assert [one.id for one in imported(tmp_path, raw)] == ["a\u2028b\x85c"]


def test_a_packed_file_that_is_cut_short_gives_no_session(tmp_path: Path) -> None:
    rows = "".join(json.dumps(row(600, number + 1)) + "\n" for number in range(9_000))
    packed = gzip.compress(rows.encode())
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(packed[: len(packed) * 3 // 4])
    result = import_mooncake([path], NOTHING)
    assert result.sessions == ()
    assert result.problems == (f"{path}: is cut short or damaged, unpack it to see",)


def test_hashes_in_a_file_are_read_as_those_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(1)
    trunks = [[rng.getrandbits(64) for _ in range(60)] for _ in range(3)]
    prompts = []
    for _ in range(60):
        shared = rng.choice(trunks)[: rng.randrange(60)]
        prompts.append([*shared, *(rng.getrandbits(64) for _ in range(rng.randrange(1, 9)))])
    rows = [row(512 * len(hashes), 5, hashes, timestamp=0) for hashes in prompts]
    grown = [*prompts[0], 1, 2, 2**70]
    rows += [
        row(512 * len(prompts[0]), 5, prompts[0], session_id="s"),
        row(512 * len(grown), 5, grown, session_id="s", delay=1),
    ]
    kept = imported(tmp_path, *rows)
    assert sum(one.prefix_tokens > 0 for one in kept) > 50
    monkeypatch.setattr(blocks, "MOST_KEPT", 100)
    assert imported(tmp_path, *rows) == kept


def test_hashes_may_be_as_long_as_they_like(tmp_path: Path) -> None:
    long = [-1, 2**63, 2**64 + 5]
    first, second, third = imported(
        tmp_path, row(1500, 9, long), row(2000, 9, [*long, 4]), row(600, 9, [-1, 2**63])
    )
    assert [one.prefix_tokens for one in (first, second, third)] == [1500, 1536, 600]
    (one,) = imported(
        tmp_path,
        row(1100, 20, [7, 8, 9], session_id="s"),
        row(1300, 30, [7, 2**64, 9], session_id="s", delay=0),
    )
    assert one.rounds[1].cut == Cut(512, 512)


def test_sessions_that_begin_after_each_other_are_refused(tmp_path: Path) -> None:
    rows = [agentic("a", "p", 9, "x"), agentic("x", "q", 9, "a")]
    (problem,) = import_mooncake([jsonl(tmp_path / "t.jsonl", *rows)], NOTHING).problems
    assert "waits for itself to begin" in problem


PROMPTS = st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=8)


@given(PROMPTS)
def test_sharing_is_never_overstated(prompts: list[list[int]]) -> None:
    found = share([packed(prompt) for prompt in prompts])
    for one, mine in zip(prompts, found, strict=True):
        for other, theirs in zip(prompts, found, strict=True):
            if mine.group is not None and mine.group == theirs.group:
                both = min(mine.blocks, theirs.blocks)
                assert one[:both] == other[:both]


def test_sharing_follows_a_chain_to_its_end() -> None:
    # Three turns of one conversation, and another one that only begins alike.
    found = share([packed(p) for p in ([1], [1, 2, 3], [1, 2, 3, 4, 5], [1, 9], [7])])
    assert found == [
        SharedPrefix(0, 1),
        SharedPrefix(0, 3),
        SharedPrefix(0, 3),
        SharedPrefix(0, 1),
        SharedPrefix(None, 0),
    ]


@pytest.mark.skipif(not REAL.is_dir(), reason="the recorded traces are not beside the repository")
def test_the_real_trace_keeps_nearly_all_of_its_sharing() -> None:
    result = import_mooncake([REAL / "synthetic_trace.jsonl.gz"], NOTHING)
    assert (len(result.sessions), result.problems) == (3993, ())
    best: dict[str, int] = {}
    hit = 0
    for one in result.sessions:
        if one.prefix_group is not None:
            shared = -(-one.prefix_tokens // 512)
            hit += min(best.get(one.prefix_group, 0), shared)
            best[one.prefix_group] = max(best.get(one.prefix_group, 0), shared)
    total = sum(-(-one.rounds[0].append_tokens // 512) for one in result.sessions)
    # An infinite cache hits 64.0 % of this trace's blocks.
    assert hit / total == pytest.approx(0.638, abs=0.001)


# Export and back.


def there_and_back(before: Workload, folder: Path) -> Workload:
    result = import_mooncake([jsonl(folder / "out.jsonl", *mooncake_lines(before))], NOTHING)
    assert result.problems == ()
    assert result.header is not None
    header = result.header
    return Workload(header.name, result.sessions, header.lanes, header.meta)


SECONDS = st.floats(0, 1e5, allow_nan=False)
TOKENS = st.integers(0, 3000)


@st.composite
def tools(draw: st.DrawFn, depth: int) -> ToolCall:
    kind = draw(st.sampled_from(["cpu", "wait", "agent"] if depth else ["cpu", "wait"]))
    name = draw(st.text(max_size=4))
    if kind == "cpu":
        return ToolCall(name, "cpu", draw(SECONDS), draw(SECONDS), cores=draw(st.integers(1, 9)))
    child = draw(sessions(depth - 1)) if kind == "agent" else None
    return ToolCall(name, kind, floor_s=draw(SECONDS), child=child)


@st.composite
def sessions(draw: st.DrawFn, depth: int = 2) -> Session:
    first = draw(st.integers(1, 3000))
    calls = st.lists(tools(depth), max_size=2).map(tuple)
    rounds = [Round(first, draw(st.integers(1, 500)), draw(calls))]
    for _ in range(draw(st.integers(0, 3))):
        kept = draw(TOKENS)
        cut = Cut(kept + draw(TOKENS), kept) if draw(st.booleans()) else None
        append = max(draw(TOKENS), 1 if cut is not None and not cut.to_tokens else 0)
        rounds.append(Round(append, draw(st.integers(1, 500)), draw(calls), cut))
    group, prefix = draw(st.none() | st.text(max_size=3)), draw(st.integers(0, first))
    return Session("?", tuple(rounds), draw(SECONDS), draw(st.text(max_size=3)), group, prefix)


def numbered(one: Session, numbers: count[int]) -> Session:
    rounds = tuple(
        replace(
            rnd,
            tools=tuple(
                call if call.child is None else replace(call, child=numbered(call.child, numbers))
                for call in rnd.tools
            ),
        )
        for rnd in one.rounds
    )
    return replace(one, id=f"s{next(numbers)}", rounds=rounds)


def forking(one: Session) -> Session:
    """With sub-agents that begin with as much of their parent's context as they can."""
    rounds = []
    for rnd, prompt in zip(one.rounds, one.prompts(), strict=True):
        context = prompt.num_tokens + prompt.output_tokens
        calls = (
            call if call.child is None else replace(call, child=forked(call.child, context))
            for call in rnd.tools
        )
        rounds.append(replace(rnd, tools=tuple(calls)))
    return replace(one, rounds=tuple(rounds))


def forked(child: Session, context: int) -> Session:
    taken = min(context, child.rounds[0].append_tokens)
    return forking(replace(child, prefix_group=None, prefix_tokens=0, fork_tokens=taken))


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    numbers = count()
    drawn = draw(st.lists(sessions(), min_size=1, max_size=3))
    if draw(st.booleans()):
        drawn = [forking(one) for one in drawn]
    meta = draw(st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text()))
    lanes = draw(st.none() | st.integers(1, 9))
    return Workload("w", tuple(numbered(one, numbers) for one in drawn), lanes, meta)


@settings(max_examples=25)
@given(workloads())
def test_an_export_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, before: Workload
) -> None:
    after = there_and_back(before, tmp_path_factory.getbasetemp())
    assert after == before
    assert after.hash == before.hash


Writer = tuple[str | None, int]


def writers(one: Session, prompt: Prompt, taken: Sequence[Writer], more: int = 0) -> list[Writer]:
    """Who wrote each token of the prompt and of `more` behind it: the group, or the session in one
    epoch; or who wrote those that it took from its parent.
    """
    found: list[Writer] = []
    for end, epoch in (*prompt.edges, (prompt.num_tokens + more, prompt.epoch)):
        shared = epoch == 0 and one.prefix_group is not None
        for place in range(len(found), end):
            of_group = shared and place < one.prefix_tokens
            own = (one.prefix_group, -1) if of_group else (one.id, epoch)
            found.append(taken[place] if epoch == 0 and place < len(taken) else own)
    return found


def all_writers(one: Session, taken: Sequence[Writer] = ()) -> Iterator[tuple[str, list[Writer]]]:
    """By request, who wrote each token of its prompt; those of the sessions below it too."""
    for prompt in one.prompts():
        yield f"{one.id}#{prompt.round}", writers(one, prompt, taken)
        whole = writers(one, prompt, taken, prompt.output_tokens)
        for call in one.rounds[prompt.round].tools:
            if call.child is not None:
                yield from all_writers(call.child, whole[: call.child.fork_tokens])


@settings(max_examples=25)
@given(workloads())
def test_blocks_have_one_hash_where_all_tokens_up_to_their_end_are_the_same(
    before: Workload,
) -> None:
    known = {name: tokens for top in before.sessions for name, tokens in all_writers(top)}
    hashes: dict[tuple[Writer, ...], int] = {}
    for line in mooncake_lines(before):
        exported = json.loads(line)
        tokens = known[exported["request_id"]]
        ends = [*range(512, len(tokens), 512), len(tokens)]
        assert len(exported["hash_ids"]) == len(ends)
        for end, block in zip(ends, exported["hash_ids"], strict=True):
            assert hashes.setdefault(tuple(tokens[:end]), block) == block
    assert len(set(hashes.values())) == len(hashes)


def test_others_read_the_same_prompts_from_an_export(tmp_path: Path) -> None:
    child = session("c", Round(700, 20), Round(100, 5), arrival_s=0.5)
    calls = (ToolCall("agent", "agent", child=child),)
    before = workload(
        session("a", Round(2000, 30, calls), Round(600, 9, (ToolCall("x", "cpu", 2.0),)),
                Round(100, 5, cut=Cut(900, 600)), prefix_group="g", prefix_tokens=1100),
        session("b", Round(1500, 30), arrival_s=3.0, prefix_group="g", prefix_tokens=1100),
    )  # fmt: skip
    rows = [json.loads(line) for line in mooncake_lines(before)]
    for one in rows:
        del one["marsbench"]
    first, second = imported(tmp_path, *rows)
    assert lengths(first) == lengths(before.sessions[0])
    assert lengths(first.children[0]) == lengths(child)
    assert first.children[0].arrival_s == 0.5
    assert first.rounds[1].tools == (ToolCall("x", "wait", floor_s=2.0),)
    assert first.rounds[2].cut == Cut(512, 512)  # whole blocks of what was kept
    assert (second.arrival_s, second.prefix_tokens) == (3.0, 1024)
    assert first.prefix_group == second.prefix_group


def test_a_row_says_what_it_waits_for(tmp_path: Path) -> None:
    before = workload(
        session("a", Round(100, 5, (ToolCall("x", "wait", floor_s=2.0),)), Round(50, 5),
                arrival_s=1.5)
    )  # fmt: skip
    first, second = (json.loads(line) for line in mooncake_lines(before))
    assert (first["request_id"], first["timestamp"]) == ("a#0", 1500.0)
    assert "wait_for" not in first
    assert (second["wait_for"], second["tool_wait_ms"], second["input_length"]) == (
        ["a#0"], 2000.0, 155,
    )  # fmt: skip
    assert second["tool_events"][0] | {"tool_call_id": ""} == {
        "tool_call_id": "", "tool_class": "x", "status": "succeeded", "duration_ms": 2000.0,
    }  # fmt: skip


def test_more_plain_rows_than_a_sample_is_drawn_from_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marsbench.formats.mooncake_rows.MOST_PLAIN", 3)
    rows = [{"timestamp": n, "input_length": 9, "output_length": 1} for n in range(5)]
    path = jsonl(tmp_path / "m.jsonl", *rows)
    (problem,) = import_mooncake([path], Fallback()).problems
    assert problem == f"{path}: has more than 3 requests of no session; give --limit N"
    assert len(import_mooncake([path], Fallback(most=2)).sessions) == 2
