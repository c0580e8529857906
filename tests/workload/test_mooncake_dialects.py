"""What a Mooncake file's hashes, times and rows stand for is told by what they contain."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsbench.core.session import Cut
from marsbench.formats.blocks import Packer, num_shared, packed
from marsbench.formats.fallback import Fallback
from marsbench.formats.gathering import ImportResult
from marsbench.formats.mooncake import import_mooncake, read_mooncake
from workload.test_mooncake import lengths, row
from workload.trajectories import NOTHING, jsonl


def read(folder: Path, *rows: dict[str, Any] | str, fallback: Fallback = NOTHING) -> ImportResult:
    return import_mooncake([jsonl(folder / "t.jsonl", *rows)], fallback)


def hashed(tokens: int, block: int, first: int = 0) -> list[int]:
    return [first + n for n in range(-(-tokens // block))]


@pytest.mark.parametrize("block", [16, 64, 512])
def test_a_hash_stands_for_as_many_tokens_as_fit(tmp_path: Path, block: int) -> None:
    rows = [row(n, 9, hashed(n, block), timestamp=0) for n in (1000, 1300, 2047)]
    result = read(tmp_path, *rows)
    assert f"read with {block} tokens a hash" in result.notes[0]
    # The least that all share: the first prompt's full blocks and its last.
    assert result.sessions[0].prefix_tokens == min(1000, -(-1000 // block) * block)


def test_full_blocks_alone_may_be_hashed(tmp_path: Path) -> None:
    rows = [row(n, 9, hashed(n, 64)[: n // 64], timestamp=0) for n in (1000, 1300)]
    assert "read with 64 tokens a hash" in read(tmp_path, *rows).notes[0]


def test_a_row_with_too_many_hashes_is_left_out(tmp_path: Path) -> None:
    good = [row(1000 + n, 9, hashed(1000 + n, 512), timestamp=0) for n in range(20)]
    result = read(tmp_path, *good, row(90, 9, hashed(1000, 16), timestamp=0))
    assert len(result.sessions) == 20
    (problem,) = result.problems
    assert problem.endswith(
        "t.jsonl:21: hash_ids: 63 are too many for 90 tokens, which are 1 blocks of 512"
    )


def test_hashes_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [row(90, 9, [*range(rng.randrange(7, 90))], timestamp=0) for _ in range(30)]
    result = read(tmp_path, *rows)
    assert result.sessions == ()
    assert "its hash_ids fit no number of tokens a hash (16, 32, 64, 128" in result.problems[0]


def test_hashes_may_end_before_the_prompt_does(tmp_path: Path) -> None:
    result = read(tmp_path, *[row(6955, 52, [46, 47], timestamp=t) for t in (0, 1000)])
    assert [one.prefix_tokens for one in result.sessions] == [1024, 1024]
    assert "hashes that end before their prompt does" in result.notes[0]


@pytest.mark.parametrize(
    ("first", "step", "unit"),
    [
        (1753000000, 1, "seconds"),
        (1753000000000, 1000, "milliseconds"),
        (1753000000000000, 10**6, "microseconds"),
        (1753000000000000000, 10**9, "nanoseconds"),
        (0, 1000, "milliseconds"),
    ],
)
def test_dates_are_counted_from_the_first_in_their_own_unit(
    tmp_path: Path, first: int, step: int, unit: str
) -> None:
    result = read(tmp_path, *[row(600, 9, timestamp=first + n * step) for n in range(3)])
    assert [one.arrival_s for one in result.sessions] == [0.0, 1.0, 2.0]
    assert f"time stamps in {unit}" in result.notes[0]


def test_a_rate_that_nobody_recorded_shows_seconds(tmp_path: Path) -> None:
    result = read(tmp_path, *[row(600, 9, timestamp=n / 7) for n in range(50)])
    assert result.sessions[-1].arrival_s == pytest.approx(7.0)
    result = read(tmp_path, *[row(600, 9, timestamp=n * 7) for n in range(50)])
    assert result.sessions[-1].arrival_s == pytest.approx(0.343)


def test_later_rows_with_blocks_of_their_own_are_deltas(tmp_path: Path) -> None:
    result = read(
        tmp_path,
        row(2000, 100, [0, 1, 2, 3], session_id="s", timestamp=0.0),
        row(300, 50, [4], session_id="s", delay=500.0),
        row(700, 60, [5, 6], session_id="s", delay=900.0),
    )
    (one,) = result.sessions
    assert lengths(one) == [(2000, 100), (2400, 50), (3150, 60)]
    assert [rnd.cut for rnd in one.rounds] == [None, None, None]
    assert "later rows hold what is new in a prompt" in result.notes[0]


def test_one_row_that_goes_on_from_the_one_before_shows_whole_prompts(tmp_path: Path) -> None:
    result = read(
        tmp_path,
        row(1100, 20, [1, 2, 3], session_id="s"),
        row(1300, 30, [1, 2, 9], session_id="s", delay=0),
        row(300, 30, [7], session_id="s", delay=0),
    )
    assert lengths(result.sessions[0])[2] == (300, 30)
    assert result.sessions[0].rounds[2].cut == Cut(0, 0)


def chat(number: int, parent: int, at: float, tokens: int, *hashes: int) -> dict[str, Any]:
    return {
        "chat_id": number, "parent_chat_id": parent, "timestamp": at, "input_length": tokens,
        "output_length": 20, "type": "text", "turn": 1, "hash_ids": list(hashes),
    }  # fmt: skip


def test_bailian_s_chats_are_sessions(tmp_path: Path) -> None:
    result = read(
        tmp_path,
        chat(0, -1, 0.5, 40, 1, 2, 3),
        chat(1, -1, 10.0, 90, 1, 2, 4, 5, 6, 7),
        chat(2, 0, 61.0, 90, 1, 2, 15, 16, 17, 18),
        chat(3, 0, 70.0, 60, 1, 2, 15, 20),
    )
    assert [(one.id, one.arrival_s) for one in result.sessions] == [
        ("chat-0", 0.5), ("chat-1", 10.0), ("chat-3", 70.0),
    ]  # fmt: skip
    first = result.sessions[0]
    assert (lengths(first), first.prefix_tokens) == ([(40, 20), (90, 20)], 32)
    assert [(t.name, t.floor_s) for t in first.rounds[0].tools] == [("user", 60.5)]


def test_rows_of_a_session_are_put_in_the_order_of_their_times(tmp_path: Path) -> None:
    rows = [row(n, 9, session_id="s", timestamp=t, delay=1) for n, t in ((900, 9e3), (600, 0))]
    result = read(tmp_path, *rows)
    assert lengths(result.sessions[0]) == [(600, 9), (900, 9)]
    assert result.accounts[0].repairs == ("rows out of order",)


def test_a_delay_longer_than_from_row_to_row_cannot_be(tmp_path: Path) -> None:
    rows = [row(600, 9, session_id="s", timestamp=0), row(700, 9, session_id="s", timestamp=2e3)]
    (problem,) = read(tmp_path, rows[0], rows[1] | {"delay": 5000}).problems
    assert problem.endswith("its gaps come to 5 s, but its recording lasted 2 s")


def test_arrivals_that_nobody_recorded_are_not_all_at_once(tmp_path: Path) -> None:
    assert read(tmp_path, row(600, 9), row(700, 9)).has_arrivals is False
    result = read(tmp_path, row(600, 9, timestamp=5000), row(700, 9))
    assert [one.arrival_s for one in result.sessions] == [5.0, 5.0]
    assert result.accounts[1].repairs == ("a time that is missing",)


def test_sessions_come_in_the_order_of_their_arrivals(tmp_path: Path) -> None:
    result = read(tmp_path, *[row(600 + t, 9, timestamp=t) for t in (3000, 1000, 2000)])
    assert [one.arrival_s for one in result.sessions] == [1.0, 2.0, 3.0]


def test_a_limit_reads_no_more_of_a_plain_file(tmp_path: Path) -> None:
    rows = [json.dumps(row(600, 9, timestamp=n)) for n in range(5)]
    path = jsonl(tmp_path / "t.jsonl", *rows, "no row at all")
    contents = read_mooncake(path, Fallback(most=3))
    assert len(list(contents.sources)) == 3
    # Rows of a session may come at the end of the file.
    path = jsonl(tmp_path / "s.jsonl", *[row(600, 9, session_id=n % 2) for n in range(6)])
    assert len(list(read_mooncake(path, Fallback(0, 1.0, 1)).sources)) == 2  # type: ignore[arg-type]


IDS = st.lists(st.one_of(st.integers(0, 6), st.integers(-(2**70), 2**70)), max_size=12)


@given(IDS, IDS)
def test_packed_hashes_compare_as_lists_do(one: list[int], other: list[int]) -> None:
    small = [abs(n) % 2**62 for n in one], [abs(n) % 2**62 for n in other]
    first, second = packed(small[0]), packed(small[1])
    assert (first.runs < second.runs) == (small[0] < small[1])
    packer = Packer()
    same = [a == b for a, b in zip(one, other, strict=False)]
    expected = (*same, False).index(False)
    assert num_shared(packer.packed(one), packer.packed(other)) == expected
