"""`marsbench workload import` and `export`: what they write, say and exit with."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import Result

from marsbench.core.session import Round, ToolCall
from marsbench.core.workload.files import read_workload, write_workload
from marsbench.errors import UsageError
from workload.builders import session, workload
from workload.test_cli import run
from workload.test_messages import HISTORY
from workload.test_openhands import TALK, USAGE
from workload.trajectories import conversation, jsonl, save, step

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:17:03.9799600,4808,10\r\n"
    "2023-11-16 18:17:03.7299600,3180,0\r\n"
    "2023-11-16 18:17:05.7299600,110,27\r\n"
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "w.jsonl"


@pytest.fixture
def azure(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(gzip.compress(AZURE.encode()))
    return path


def imported(kind: str, *arguments: object) -> Result:
    return run("import", kind, *arguments)


def test_a_left_out_session_is_named_and_the_others_are_written(tmp_path: Path, out: Path) -> None:
    conversation(tmp_path / "c" / "good", TALK, USAGE)
    bad = conversation(tmp_path / "c" / "bad", TALK, {"r1": (1, 1)})
    result = imported("openhands", tmp_path / "c", "-o", out)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"left out: {bad}: call 1 has no recorded token count")
    written = read_workload(out)
    assert [one.id for one in written.sessions] == ["s1"]
    assert written.meta["left_out"] == 1
    assert (written.meta["format"], written.meta["rate"]) == ("openhands", 0.01)


def test_when_all_are_left_out_the_option_to_give_is_named(tmp_path: Path, out: Path) -> None:
    path = save(tmp_path / "t.traj", {"trajectory": [step("ls"), step("rm")], "history": HISTORY})
    with pytest.raises(UsageError, match=r"Nothing was imported: .* give --tokenizer NAME_OR_PATH"):
        imported("sweagent", path, "-o", out)
    assert not out.exists()


def test_a_tokenizer_is_a_file_or_a_folder(tmp_path: Path, out: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.save(str(tmp_path / "tokenizer.json"))
    path = save(tmp_path / "t.traj", {"trajectory": [step("ls"), step("rm")], "history": HISTORY})
    for name in (tmp_path, tmp_path / "tokenizer.json"):
        result = imported("sweagent", path, "-o", out, "--tokenizer", name)
        assert result.exit_code == 0
        assert result.stderr.startswith(f"note: {path}: prompts are rebuilt from the history")
        written = read_workload(out)
        assert [p.num_tokens for p in written.sessions[0].prompts()] == [6, 10]
        assert written.meta["tokenizer"] == "given"


def test_a_tokenizer_that_is_none_is_refused(tmp_path: Path, out: Path) -> None:
    bad = save(tmp_path / "tokenizer.json", {"not": "one"})
    with pytest.raises(UsageError, match="Cannot load the tokenizer"):
        imported("sweagent", bad, "-o", out, "--tokenizer", bad)
    with pytest.raises(UsageError, match="--tool-time must be seconds from 0 on"):
        imported("sweagent", bad, "-o", out, "--tool-time", -1)


def test_mooncake_arrives_as_recorded_stretched_or_on_a_schedule(tmp_path: Path, out: Path) -> None:
    rows = [{"timestamp": t, "input_length": 9, "output_length": 1} for t in (1000, 2000, 5000)]
    path = jsonl(tmp_path / "m.jsonl", *rows)

    def arrivals(*options: object) -> list[float]:
        assert imported("mooncake", path, "-o", out, *options).exit_code == 0
        return [one.arrival_s for one in read_workload(out).sessions]

    assert arrivals() == [1.0, 2.0, 5.0]
    assert arrivals("--rate", 2) == [0.0, 0.25, 1.0]  # two gaps in one second
    assert arrivals("--rate", 2, "--arrivals", "fixed") == [0.0, 0.5, 1.0]
    assert read_workload(out).meta["arrivals"] == "fixed"


def test_azure_alone_is_sessions_of_one_round(azure: Path, out: Path) -> None:
    result = imported("azure", azure, "-o", out)
    assert result.stderr == f"note: {azure}: each request is a session of one round\n"
    found = read_workload(out).sessions
    assert [one.arrival_s for one in found] == pytest.approx([0.0, 0.25, 2.0])
    assert [one.rounds for one in found] == [
        (Round(3180, 1),), (Round(4808, 10),), (Round(110, 27),),
    ]  # fmt: skip


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("zone", ["+00:00", "Z", "+0000", ""])
def test_azure_of_2024_writes_a_zone_and_whole_seconds_without_a_fraction(
    tmp_path: Path, out: Path, zone: str, mark: str
) -> None:
    path = tmp_path / "week.csv"
    times = ("2024-05-10 00:00:00.009930", "2024-05-10 00:00:00.517335", "2024-05-10 00:00:02")
    rows = [f"{time}{zone},{200 + n},5" for n, time in enumerate(times)]
    path.write_text(f"{mark}TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(rows))
    assert imported("azure", path, "-o", out).exit_code == 0
    assert [one.arrival_s for one in read_workload(out).sessions] == [0.0, 0.507405, 1.99007]
    assert imported("azure", path, "--limit", 2, "-o", out).exit_code == 0
    assert len(read_workload(out).sessions) == 2


def test_azure_gives_its_arrivals_to_a_workload(azure: Path, tmp_path: Path, out: Path) -> None:
    given = tmp_path / "given.jsonl"
    meta = {"recipe": "chat", "rate": 9.0}
    write_workload(workload(session("a", Round(5, 1)), session("b", Round(7, 1)), meta=meta), given)
    result = imported("azure", azure, "-o", out, "--workload", given)
    assert "arrive as the first 2 did" in result.stderr
    found = read_workload(out).sessions
    assert [(one.id, one.rounds[0].append_tokens) for one in found] == [("a", 5), ("b", 7)]
    assert [one.arrival_s for one in found] == pytest.approx([0.0, 0.25])
    # Its recipe is still known, so that it can be checked; its old rate is gone.
    after = read_workload(out).meta
    assert (after["recipe"], after["arrivals"], "rate" in after) == ("chat", "recorded", False)


def test_azure_needs_as_many_arrivals_as_sessions(azure: Path, tmp_path: Path, out: Path) -> None:
    given = tmp_path / "given.jsonl"
    write_workload(workload(*(session(name) for name in "abcd")), given)
    with pytest.raises(UsageError, match=r"has 3 arrivals and .* 4 sessions"):
        imported("azure", azure, "-o", out, "--workload", given)


def test_azure_rows_that_are_none_are_named_by_line(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(AZURE + "yesterday,1,1\n2023-11-16 18:17:06,0,1\n2023-11-16 18:17:06,5\n")
    result = imported("azure", path, "-o", out)
    assert result.exit_code == 1
    assert [f"{path}:{line}: is no request" in result.stderr for line in (5, 6, 7)] == [True] * 3
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="must name the columns TIMESTAMP, ContextTokens"):
        imported("azure", path, "-o", out)


@pytest.mark.parametrize(("to", "kind"), [("mooncake", "mooncake"), ("hf", "hf")])
def test_an_export_comes_in_as_the_same_workload(tmp_path: Path, to: str, kind: str) -> None:
    before = tmp_path / "before.jsonl"
    calls = (ToolCall("x", "cpu", 1.0), ToolCall("agent", "agent", child=session("c")))
    write_workload(
        workload(session("a", Round(9, 3, calls), Round(4, 1)), lanes=2, meta={"seed": 1}), before
    )
    assert run("export", before, "--to", to, "-o", tmp_path / "there").exit_code == 0
    assert imported(kind, tmp_path / "there", "-o", tmp_path / "back.jsonl").exit_code == 0
    assert (tmp_path / "back.jsonl").read_bytes() == before.read_bytes()


def test_an_export_may_arrive_otherwise(tmp_path: Path, out: Path) -> None:
    given = tmp_path / "given.jsonl"
    write_workload(workload(session("a"), session("b", arrival_s=4.0)), given)
    run("export", given, "--to", "mooncake", "-o", tmp_path / "there")
    imported("mooncake", tmp_path / "there", "-o", out, "--rate", 0.5)
    assert [one.arrival_s for one in read_workload(out).sessions] == [0.0, 2.0]


def test_an_export_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    given = tmp_path / "given.jsonl"
    write_workload(workload(), given)
    with pytest.raises(UsageError, match="Cannot write the workload"):
        run("export", given, "--to", "mooncake", "-o", tmp_path / "no" / "there")


def test_a_session_too_long_for_a_model_is_left_out(tmp_path: Path, out: Path) -> None:
    rows = [{"timestamp": 0, "input_length": n, "output_length": 1} for n in (10, 9000)]
    result = imported("mooncake", jsonl(tmp_path / "m.jsonl", *rows), "-o", out, "--max-tokens", 99)
    assert result.exit_code == 0
    assert "left out: m-2 grows to 9,001 tokens\n" in result.stderr
    assert json.loads(out.read_text().splitlines()[0])["meta"]["left_out"] == 1
