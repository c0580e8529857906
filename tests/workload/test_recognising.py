"""`marsbench workload import FILES`: what a file is taken for, limits, names, strictness."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from marsbench.core.workload.files import read_workload
from marsbench.errors import UsageError
from marsbench.formats import gathering
from marsbench.formats.format import head_of
from marsbench.formats.gathering import Wanted, gather
from marsbench.formats.opening import records_of
from marsbench.formats.reading import (
    Contents,
    ReadError,
    Reading,
    Repair,
    SessionSource,
    Stated,
    failed,
)
from marsbench.formats.table import FORMATS, files_of, recognised
from workload.builders import request, session, subagent, trace, write_trace
from workload.secrets import SHAPES, recording
from workload.test_cli import run
from workload.test_import_cli import AZURE
from workload.test_messages import HISTORY, RECORDED, mini
from workload.test_openhands import HISTORY as V0
from workload.test_openhands import TALK, USAGE
from workload.trajectories import conversation, jsonl, save, step, v0_row

ROW = {"timestamp": 1000, "input_length": 600, "output_length": 20, "hash_ids": [1, 2]}


def one_of_each(folder: Path) -> dict[str, Path]:
    """A recording of every format that is a file or folder of its own."""
    folder.mkdir(exist_ok=True)
    azure = folder / "azure.csv"
    azure.write_text(AZURE)
    steps = {"trajectory": [step("ls"), step("rm")], "history": HISTORY}
    return {
        "weka": write_trace(folder, trace(request(0, 130, 20, [1, 2])), "weka.json"),
        "openhands": conversation(folder / "talk", TALK, USAGE),
        "sweagent": save(folder / "x.traj", steps),
        "miniswe": mini(folder / "x.traj.json", RECORDED),
        "mooncake": jsonl(folder / "m.jsonl", ROW),
        "azure": azure,
    }


def test_every_format_is_recognised_by_what_is_in_it(tmp_path: Path) -> None:
    for name, path in one_of_each(tmp_path).items():
        found = recognised(path)
        assert found.format is not None, found.why
        assert found.format.name == name
        assert found.why
    v0 = jsonl(tmp_path / "output.jsonl", v0_row(V0, USAGE))
    assert recognised(v0).format is next(one for one in FORMATS if one.name == "openhands")


def test_a_folder_of_many_formats_comes_in_at_once(tmp_path: Path) -> None:
    one_of_each(tmp_path / "in")
    (tmp_path / "in" / "README.md").write_text("# nothing\n")
    result = run("import", tmp_path / "in", "-o", tmp_path / "w.jsonl")
    assert result.exit_code == 1  # SWE-agent's trajectory has no lengths
    assert "give --tokenizer NAME_OR_PATH" in result.stderr
    assert "weka.json: read as weka, for it has requests" in result.stderr
    assert "README" not in result.stderr
    written = read_workload(tmp_path / "w.jsonl")
    assert (written.name, len(written.sessions)) == ("mixed", 7)
    assert written.meta["arrivals"] == "poisson"


def test_options_may_come_before_the_files(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "m.jsonl", ROW)
    assert run("import", "-o", tmp_path / "w", path).exit_code == 0
    assert read_workload(tmp_path / "w").name == "mooncake"


def test_a_pattern_is_expanded_where_no_shell_did(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_trace(tmp_path / name, trace(request(0, 130, 20, [1]), id=name), "t.json")
    assert [one.path.parent.name for one in files_of([tmp_path / "*" / "t.json"])] == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "type `git lfs pull`"),
        (b"PK\x03\x04rest", "is a zip archive; unpack it"),
        (b"", "is empty"),
        (b'{"who": 1, "knows": 2}', "has the keys knows, who, which no known format has"),
        (b"hello\n", "begins 'hello', which no known format has"),
        (b"\xff\xfe\xfa", "begins"),
    ],
)
def test_a_file_that_is_none_is_named_in_words(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="Nothing was imported") as caught:
        run("import", path, "-o", tmp_path / "w")
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def packed(data: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(data)
    if how == "zstd":
        import pyarrow

        sink = pyarrow.BufferOutputStream()
        with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data)
        return sink.getvalue().to_pybytes()
    return {"bom": b"\xef\xbb\xbf" + data, "utf-16": data.decode().encode("utf-16")}.get(how, data)


@pytest.mark.parametrize("how", ["plain", "bom", "gzip", "zstd", "utf-16"])
@pytest.mark.parametrize("shape", ["one", "many lines", "lines", "array", "array over lines"])
def test_records_are_the_same_however_they_are_packed(tmp_path: Path, how: str, shape: str) -> None:
    rows = [{"a": n, "text": "x\u2028y\x85z\r" * n} for n in range(1 if shape == "one" else 3)]
    raw = [json.dumps(row, ensure_ascii=False) for row in rows]
    text = {
        "one": raw[0],
        "many lines": json.dumps(rows[0], indent=1, ensure_ascii=False),
        "lines": "\n\n".join(raw) + "\n",
        "array": "[" + ",".join(raw) + "]",
        "array over lines": json.dumps(rows, indent=1, ensure_ascii=False),
    }[shape]
    path = tmp_path / "x"
    path.write_bytes(packed(text.encode(), how))
    found = [json.loads(record) for _, record in records_of(path)]
    assert found == (rows[:1] if shape in ("one", "many lines") else rows)


def test_an_array_longer_than_what_is_read_at_once_comes_in_pieces(tmp_path: Path) -> None:
    rows = [{"n": n, "é": "ü" * 40_000} for n in range(60)]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    places, texts = zip(*records_of(path), strict=True)
    assert [json.loads(text) for text in texts] == rows
    assert places[-1] == f"{path}[59]"


def numbered(*sessions: tuple[str, int]) -> Contents:
    return Contents(
        SessionSource(f"line {n}", lambda name=name, s=seconds: Reading(session(name, arrival_s=s)))
        for n, (name, seconds) in enumerate(sessions)
    )


def test_a_limit_reads_nothing_behind_it() -> None:
    def sources() -> Any:
        yield from numbered(("a", 0), ("b", 0)).sources
        raise AssertionError("read too far")

    result = gather([Contents(sources())], wanted=Wanted(limit=2))
    assert [one.id for one in result.sessions] == ["a", "b"]


def test_a_sample_is_drawn_by_its_seed_and_keeps_the_order() -> None:
    names = [f"n{n:03}" for n in range(200)]

    def drawn(seed: int) -> list[str]:
        found = gather([numbered(*((n, 0) for n in names))], wanted=Wanted(sample=20, seed=seed))
        return [one.id for one in found.sessions]

    assert drawn(1) == drawn(1) == sorted(drawn(1))
    assert len(set(drawn(1))) == 20
    assert drawn(1) != drawn(2)
    taken = [name for seed in range(60) for name in drawn(seed)]
    # Each is as likely as any other: 6 of 60 draws, the last as the first.
    assert 4 < sum(name < "n100" for name in taken) / 100 < 8


def test_a_sample_of_more_than_is_kept_remembers_its_own_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "MOST_SESSIONS", 30)
    gathered = gathering._Gathered(Wanted(sample=20))
    runs = [(f"n{number % 400}", number // 400) for number in range(1_200)]
    for source in numbered(*runs).sources:
        gathered.take(source)
    found = gathered.result([])
    names = [one.id for one in found.sessions]
    assert len(set(names)) == len(names) == 20
    assert any("@" in name for name in names)
    assert len(gathered.contents) < 150


def test_more_than_are_kept_that_cannot_be_read_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "MOST_SESSIONS", 3)
    bad = [failed(f"f:{line}", ReadError("is no request")) for line in range(9)]
    with pytest.raises(UsageError, match=r"More than 3 sessions cannot be read, .*: f:0: is no"):
        gather([Contents(bad)])


def test_runs_of_one_task_are_several_sessions_and_a_copy_is_none() -> None:
    result = gather([numbered(("a", 0), ("a", 1), ("a", 0), ("a", 2))])
    assert [one.id for one in result.sessions] == ["a", "a@2", "a@3"]
    assert result.problems == ("line 2: id: 'a' was already imported",)
    assert result.notes[0] == "line 1: is another run of 'a', and named 'a@2'"


def told(stated: Stated, *repairs: Repair) -> Contents:
    one = session("a", *two_rounds(5.0))
    return Contents([SessionSource("x", lambda: Reading(one, stated=stated, repairs=repairs))])


def two_rounds(seconds: float) -> list[Any]:
    from marsbench.core.session import Round, ToolCall

    return [Round(9, 1, (ToolCall("t", floor_s=seconds),)), Round(3, 1)]


def test_gaps_that_are_longer_than_the_recording_cannot_be() -> None:
    assert gather([told(Stated(span_s=5.0))]).problems == ()
    assert gather([told(Stated(span_s=4.5, tick_s=1.0))]).problems == ()
    result = gather([told(Stated(span_s=4.5))])
    assert result.sessions == ()
    assert result.problems == ("x: its gaps come to 5 s, but its recording lasted 4.5 s",)


def test_rounds_are_held_against_the_calls_that_were_counted() -> None:
    result = gather([told(Stated(num_calls=3))])
    assert result.differences == ("x: 2 rounds of 3 recorded calls of a model",)
    assert gather([told(Stated(num_calls=2))]).differences == ()


def test_time_that_is_neither_call_nor_gap_is_said() -> None:
    result = gather([told(Stated(span_s=200.0, calls_s=20.0))])
    assert result.differences == (
        "x: 175 s of the 200 s that it lasted are neither calls nor gaps",
    )


def test_strict_takes_nothing_amiss(tmp_path: Path) -> None:
    good = write_trace(tmp_path, trace(request(0, 130, 20, [1])))
    bad = save(tmp_path / "bad.json", {"requests": [], "block_size": 64})
    assert run("import", "weka", good, "--strict", "-o", tmp_path / "w").exit_code == 0
    with pytest.raises(UsageError, match="Refused, for --strict takes no recording with anything"):
        run("import", "weka", good, bad, "--strict", "-o", tmp_path / "v")
    assert not (tmp_path / "v").exists()


def test_a_damaged_file_keeps_what_came_before_the_damage() -> None:
    def sources() -> Any:
        yield from numbered(("a", 0)).sources
        yield SessionSource("f", lambda: (_ for _ in ()).throw(ReadError("is cut short")))

    result = gather([Contents(sources())])
    assert (len(result.sessions), result.problems) == (1, ("f: is cut short",))


SECRETS = ("Zorro", "zorro", "/data", "Ünïque")


KINDS = [*(one.name for one in FORMATS), *SHAPES]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_of_any_format_names_nothing(tmp_path: Path, kind: str) -> None:
    path, options = recording(kind, tmp_path / "zorro")
    kind = kind.split()[0]
    result = run("import", kind, path, *options, "-o", tmp_path / "w.jsonl")
    assert result.exit_code == 0, result.stderr
    text = (tmp_path / "w.jsonl").read_text()
    assert [secret for secret in SECRETS if secret in text] == []
    kept = run("import", kind, path, *options, "--keep-names", "-o", tmp_path / "k.jsonl")
    assert kept.exit_code == 0
    assert "zorro" in (tmp_path / "k.jsonl").read_text().lower()
    # Masking changes names and nothing else.
    before, after = read_workload(tmp_path / "k.jsonl"), read_workload(tmp_path / "w.jsonl")
    assert [[r.append_tokens for r in s.rounds] for s in before.sessions] == [
        [r.append_tokens for r in s.rounds] for s in after.sessions
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_no_format_takes_another_s_recording(tmp_path: Path, kind: str) -> None:
    path, _ = recording(kind, tmp_path / "zorro")
    kind = kind.split()[0]
    assert recognised(path).format is not None
    assert recognised(path).format.name == kind
    # In whatever order they are asked; a table of trajectories takes what has messages, and last.
    takers = [one.name for one in FORMATS if one.recognise(head_of(path)) is not None]
    assert [name for name in takers if name != "hf"] in ([kind], [])


def test_names_cannot_be_both_kept_and_left_out(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "m.jsonl", ROW)
    with pytest.raises(UsageError, match="give one of them"):
        run("import", path, "--private", "--keep-names", "-o", tmp_path / "w")
    with pytest.raises(UsageError, match="give one of them"):
        run("import", path, "--limit", 1, "--sample", 1, "-o", tmp_path / "w")


def test_show_says_how_a_workload_and_its_recording_agree(tmp_path: Path) -> None:
    first = request(0, 130, 20, [1, 2], api_time=2.0)
    late = request(9, 200, 5, [1, 2, 3], think_time=70.0)
    good = write_trace(tmp_path, trace(first, late))
    bad = save(tmp_path / "bad.json", {"requests": [], "block_size": 64})
    agent = trace(subagent(5.0, 1.0, request(0, 70, 5, [9])), first, id="t2")
    lost = write_trace(tmp_path, agent, "lost.json")
    assert run("import", "weka", good, bad, lost, "-o", tmp_path / "w").exit_code == 1
    shown = run("show", tmp_path / "w").stdout
    for line in (
        r"sessions +2\n",
        r"span +\S+ s by the recording's own clock\n",
        r"gaps +7 s between rounds \(\d+% of the span\)\n",
        r"rounds +3 of 4 recorded calls\n",
        r"repaired +in 1 sessions: a think time that began before its request \(1\)\n",
        r"left out +1 files, rows or sessions, 1 sub-agents that nothing waits for\n",
        r"differs +s2: 1 rounds of 2 recorded calls of a model\n",
    ):
        assert re.search(line, re.sub(" *\n", "\n", shown)), line
    record = json.loads(run("show", tmp_path / "w", "--json").stdout)
    assert record["meta"]["recording"]["repairs"] == {
        "a think time that began before its request": 1
    }


def test_show_has_no_such_section_for_what_was_drawn_or_is_none_of_ours(tmp_path: Path) -> None:
    from marsbench.core.workload.files import write_workload
    from workload.builders import workload

    for number, meta in enumerate(({}, {"recording": 7}, {"recording": {"sessions": "x"}})):
        path = tmp_path / f"{number}"
        write_workload(workload(meta=meta), path)
        assert "recording" not in run("show", path).stdout


def test_a_named_format_says_what_a_file_is_that_it_cannot_read(tmp_path: Path) -> None:
    path = write_trace(tmp_path, trace(request(0, 130, 20, [1])))
    with pytest.raises(UsageError) as caught:
        run("import", "miniswe", path, "-o", tmp_path / "w")
    assert str(caught.value).endswith(
        "messages: is missing (the file is a Claude Code trace of kv-cache-tester: type "
        "`marsbench workload import weka`)."
    )


def test_a_first_line_is_looked_at_to_its_end(tmp_path: Path) -> None:
    long = {"messages": [{**RECORDED[0], "content": "x" * 400_000}, *RECORDED[1:]]}
    rows = [{**long, "info": {}, "instance_id": name} for name in "ab"]
    path = jsonl(tmp_path / "all.jsonl", *rows)
    found = recognised(path)
    assert found.format is not None
    assert found.format.name == "miniswe"
    assert run("import", path, "-o", tmp_path / "w").exit_code == 0
    assert len(read_workload(tmp_path / "w").sessions) == 2


def test_rows_of_messages_are_read_a_line_at_a_time(tmp_path: Path) -> None:
    from marsbench.formats.hf import read_hf
    from workload.trajectories import BY_WORDS

    rows = [{"messages": HISTORY, "traj_id": name} for name in "ab"]
    path = jsonl(tmp_path / "rows.jsonl", *rows, {"question": "?"}, "[]")
    result = gather([read_hf(path, BY_WORDS)])
    assert [one.id for one in result.sessions] == ["a", "b"]
    assert "a row has the columns question, which no known agent writes" in result.problems[0]
    assert result.problems[1].endswith(":4: is no row of a table, which is an object")
