"""Tables of requests: BurstGPT's, and the order of rows that all such tables share."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsbench.formats import request_rows
from workload.test_claude_code import lengths, tools
from workload.test_codex_gemini import found

BURSTGPT = (
    "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "19440110.0,s1,4,GPT-4,900,40,940,Conversation log\n"
    "19440120.5,,,ChatGPT,36,29,65,API log\n"
    "19440150.0,s1,3,GPT-4,1000,20,1020,Conversation log\n"
    "19440160.0,,,GPT-4,10,0,10,API log\n"
)
FIRST_RELEASE = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,472,18,490,Conversation log\n"
    "45,ChatGPT,1087,230,1317,Conversation log\n"
)


def csv(folder: Path, text: str) -> Path:
    path = folder / "b.csv"
    path.write_text(text)
    return path


def test_a_conversation_of_burstgpt_is_a_session_and_what_failed_is_counted(tmp_path: Path) -> None:
    result = found(csv(tmp_path, BURSTGPT))
    by_name = {one.id: one for one in result.sessions}
    assert lengths(by_name["s1"]) == [(900, 40), (1000, 20)]
    assert tools(by_name["s1"]) == [[("user", 36.0)], []]
    assert (by_name["s1"].arrival_s, by_name["b-00000"].arrival_s) == (0.0, 10.5)
    assert result.problems == (
        f"{tmp_path}/b.csv: 1 requests failed (they have no response tokens)",
    )
    assert result.accounts[1].stated.span_s == 43.0


def test_the_first_release_of_burstgpt_has_no_conversations(tmp_path: Path) -> None:
    result = found(csv(tmp_path, FIRST_RELEASE))
    assert [(lengths(one), one.arrival_s) for one in result.sessions] == [
        ([(472, 18)], 0.0), ([(1087, 230)], 40.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "said"),
    [("nan", "'nan' is no time"), ("1e999", "'1e999' is no time"), ("x" * 60, "is no time")],
)
def test_a_row_that_is_no_request_is_named_by_line(tmp_path: Path, cell: str, said: str) -> None:
    result = found(csv(tmp_path, FIRST_RELEASE.replace("5,Chat", f"{cell},Chat", 1)))
    assert len(result.sessions) == 1
    assert result.problems[0].startswith(f"{tmp_path}/b.csv:2: is no request (")
    assert said in result.problems[0]


def test_rows_wait_for_earlier_ones_as_long_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, *rows = FIRST_RELEASE.splitlines(keepends=True)
    shuffled = "".join([head, rows[1], rows[0], rows[1].replace("45,", "50,", 1), rows[0]])
    path = csv(tmp_path, shuffled)
    assert [one.arrival_s for one in found(path).sessions] == [0.0, 0.0, 40.0, 45.0]
    monkeypatch.setattr(request_rows, "MOST_SESSIONS", 1)
    result = found(path)
    # 5 s waits for 45 s, and 50 s for nothing; the other 5 s comes when 45 s was given.
    assert [one.arrival_s for one in result.sessions] == [0.0, 40.0, 45.0]
    assert result.problems[0].endswith(":5: came before 1 requests that stand in front of it")
