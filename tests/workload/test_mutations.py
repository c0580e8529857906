"""Ten thousand recordings with something wrong in each: no traceback, and what is written reads.

Every mutation starts from a whole small recording of its format. What comes of it is a session or
a problem of one sentence; the sessions of many mutations are written to one file and read back.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from marsbench.core.session import Session
from marsbench.core.workload.files import Workload, read_workload, write_workload
from marsbench.errors import UsageError
from marsbench.formats.fallback import Fallback
from marsbench.formats.gathering import gather
from marsbench.formats.hf import row_sources
from marsbench.formats.privacy import masked
from marsbench.formats.reading import Contents
from marsbench.formats.table import FORMATS, format_named, recognised
from marsbench.runs.event_file import open_events
from workload.builders import request, subagent, trace
from workload.logs import (
    AIPERF,
    ATIF,
    CLAUDE,
    CODEX,
    DYNAMO,
    GEMINI,
    INPUTS,
    LANGFUSE,
    NEBIUS,
    OTEL,
    R2E,
    RUNNER,
    SHAREGPT,
    TAUBENCH,
    TRACELAB,
)
from workload.test_import_cli import AZURE
from workload.test_messages import HISTORY, RECORDED, calls_counted, lost
from workload.test_openhands import HISTORY as V0
from workload.test_openhands import TALK, USAGE, v1_row
from workload.test_request_tables import BURSTGPT
from workload.trajectories import BY_WORDS, conversation, save, step, v0_row

ODD: list[Any] = [
    None, True, 0, -1, 1, 2**31, 10**30, 1e300, -0.5, 0.1, float("nan"), float("inf"), "", "x",
    "12", "\ud800", "\x00", "é" * 50, [], {}, [[]], [None], {"": None}, "2026-13-40T00:00:00",
    "2026-01-01T10:00:05+02:00", "1e999", 1e-300, "9" * 5000,
]  # fmt: skip
"""What stands in places where it should not."""

ROWS: list[dict[str, Any]] = [
    {"timestamp": 0, "input_length": 1100, "output_length": 20, "hash_ids": [1, 2, 3]},
    {"timestamp": 5, "input_length": 600, "output_length": 9, "session_id": "s", "request_id": "a"},
    {"input_length": 900, "output_length": 9, "session_id": "s", "wait_for": ["a", "c"],
     "delay": 3.0, "tool_wait_ms": 9.0, "tool_events": [{"tool_class": "t", "duration_ms": 9.0}]},
    {"input_length": 90, "output_length": 9, "session_id": "q", "request_id": "c",
     "wait_for": ["a"], "branches": ["z"], "prefix_reset": True},
    {"chat_id": 7, "parent_chat_id": 3, "timestamp": 9.5, "input_length": 90, "output_length": 2},
]  # fmt: skip

FIRST = [{"role": "system", "content": "be good"}, {"role": "user", "content": "fix it"}]
AGENT = subagent(8.0, 3.0, request(2, 70, 5, [9]))
BASES: dict[str, Any] = {
    "weka": trace(request(0, 130, 20, [1, 2]), AGENT, request(9, 300, 5, [1, 2, 3], think_time=1)),
    "openhands": v0_row(V0, USAGE),
    "openhands v1": v1_row(),
    "sweagent": {
        "trajectory": [step("ls", query=FIRST), step("rm", query=[*FIRST, FIRST[1]])],
        "history": HISTORY, **calls_counted(2),
    },
    "sweagent 0": {"trajectory": [step("ls"), step("rm")], "history": HISTORY},
    "miniswe": {"messages": [*RECORDED[:4], lost(), *RECORDED[4:]], **calls_counted(3)},
    "mooncake": ROWS,
    "claude-code": CLAUDE,
    "codex": CODEX,
    "gemini-cli": GEMINI,
    "otel": OTEL,
    "dynamo-trace": DYNAMO,
    "atif": ATIF,
    "sharegpt": SHAREGPT,
    "tau-bench": TAUBENCH,
    "langfuse": LANGFUSE,
    "aiperf": AIPERF,
    "aiperf inputs": INPUTS,
    "tracelab": TRACELAB,
    "hf": {"messages": RECORDED, "traj_id": "t"},
    "hf nebius": NEBIUS,
    "hf r2e": R2E,
    "hf openhands": {**v0_row(V0, USAGE), "metrics": json.dumps(v0_row(V0, USAGE)["metrics"])},
}  # fmt: skip
HF_COLUMNS = {
    "hf": {"messages"},
    "hf nebius": {"trajectory"},
    "hf r2e": {"trajectory_steps"},
    "hf openhands": {"history", "instance_id"},
}
EACH = 1_000
OF_LOGS = 250
"""Of a format whose calls come to sessions by the same way as others'."""
TIMED = (
    "claude-code",
    "codex",
    "gemini-cli",
    "otel",
    "langfuse",
    "atif",
    "sharegpt",
    "tau-bench",
    "dynamo-trace",
    "aiperf",
    "aiperf inputs",
    "tracelab",
    "hf nebius",
    "hf r2e",
)
LINES = ("mooncake", "claude-code", "codex", "langfuse", "dynamo-trace", "aiperf", "tracelab")
"""Formats whose file is a line a record."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a record."""
    yield path
    if not isinstance(value, dict | list):
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from places(item, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def mutated(record: Any, rng: random.Random) -> Any:
    """With one to three values replaced, left out, doubled or moved."""
    record = deepcopy(record)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        found = [path for path in places(record) if path]
        if not found:
            return record
        *above, key = rng.choice(found)
        holder = at(record, tuple(above))
        how = rng.randrange(5)
        if how == 0:
            del holder[key]
        elif how == 1 and isinstance(holder, list):
            holder.insert(rng.randrange(len(holder) + 1), deepcopy(holder[key]))
        elif how == 2 and isinstance(holder, list):
            rng.shuffle(holder)
        elif how == 3 and isinstance(holder[key], int | float):
            holder[key] *= rng.choice((-1, 1e3, 1e9, 0.001))
        else:
            holder[key] = deepcopy(rng.choice(ODD))
    return record


def dumped(kind: str, record: Any) -> bytes:
    """Of a mutated record the file, a line a row where the format has rows."""
    rows = record if kind in LINES and isinstance(record, list) else [record]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def torn(data: bytes, rng: random.Random) -> bytes:
    """Cut short, or with bytes that are none of UTF-8, or another's line ends."""
    place = rng.randrange(len(data) + 1)
    how = rng.randrange(4)
    if how == 0:
        return data[:place]
    if how == 1:
        return data[:place] + bytes(rng.randrange(256) for _ in range(3)) + data[place:]
    if how == 2:
        return data.replace(b"\n", b"\r\n")
    return data[:place] + b"\n" + data[place:]


def contents(kind: str, data: bytes, record: Any, path: Path) -> Contents:
    name = kind.split(" ", maxsplit=1)[0]
    if name == "hf":
        rows = [record] if isinstance(record, dict) else []
        return Contents(row_sources("t", rows, HF_COLUMNS[kind], BY_WORDS))
    path.write_bytes(data)
    return format_named(name).contents(path, BY_WORDS)


def read(make: Callable[[], Contents]) -> list[Session]:
    """The sessions; every problem is one line that says something."""
    try:
        result = gather([make()])
    except UsageError as refused:
        told = str(refused)
        return [] if "\n" not in told else pytest.fail(told)
    for sentence in (*result.problems, *result.repairs, *result.differences, *result.notes):
        assert "\n" not in sentence
        assert 10 < len(sentence) < 700
    return list(result.sessions)


def reads_back(sessions: list[Session], path: Path) -> None:
    own = Workload("mutated", tuple(masked(sessions)), None, {})
    write_workload(own, path)
    assert read_workload(path) == own


CLOCKLESS = {
    "sweagent", "sweagent 0", "mooncake", "sharegpt", "tau-bench", "aiperf", "aiperf inputs", "hf",
    "hf nebius", "azure", "tracelab runner",
}  # fmt: skip
"""Of whose small recordings none has a clock to hold gaps against."""
COUNTLESS = {"sweagent 0", "mooncake", "azure"}
"""That count no calls: their rows are what there is."""


@pytest.mark.parametrize("kind", [*BASES, "azure", "burstgpt", "tracelab runner"])
def test_gaps_are_held_against_a_clock_and_rounds_against_calls(tmp_path: Path, kind: str) -> None:
    base = TABLES[kind.split()[0]] if kind not in BASES else BASES[kind]
    data = base.encode() if isinstance(base, str) else dumped(kind, base)
    accounts = gather([contents(kind, data, base, tmp_path / "x.json")]).accounts
    assert any(one.stated.span_s is not None for one in accounts) == (kind not in CLOCKLESS)
    assert any(one.stated.num_calls is not None for one in accounts) == (kind not in COUNTLESS)


@pytest.mark.parametrize("kind", BASES)
def test_nothing_that_is_wrong_in_a_recording_is_a_traceback(tmp_path: Path, kind: str) -> None:
    rng = random.Random(f"mutations of {kind}")
    base, path = BASES[kind], tmp_path / "x.json"
    assert read(lambda: contents(kind, dumped(kind, base), base, path))
    sessions: list[Session] = []
    each = OF_LOGS if kind in TIMED else EACH
    for number in range(each):
        record = mutated(base, rng)
        data = dumped(kind, record)
        if number % 5 == 0:
            data = torn(data, rng)
        found = read(lambda d=data, r=record: contents(kind, d, r, path))
        sessions += found
    # Both were exercised: what is repaired or harmless, and what is left out.
    assert len(sessions) > each / 20
    reads_back(sessions, tmp_path / "w.jsonl")


TABLES = {"azure": AZURE, "burstgpt": BURSTGPT, "tracelab": RUNNER}


def test_every_format_is_among_them() -> None:
    read = {kind.split()[0] for kind in (*BASES, *TABLES)}
    assert read | {"run"} == {one.name for one in FORMATS}  # a run's events are shuffled below


@pytest.mark.parametrize(("kind", "base"), TABLES.items())
def test_nothing_that_is_wrong_in_a_table_of_requests_is_a_traceback(
    tmp_path: Path, kind: str, base: str
) -> None:
    rng = random.Random(f"mutations of {kind}")
    sessions: list[Session] = []
    for _ in range(EACH if kind == "azure" else EACH // 4):
        data = base.encode()
        for _ in range(rng.choice((1, 2, 5))):
            place = rng.randrange(len(data))
            odd = rng.choice((b"", b",", b'"', b"-", b"9" * 30, b"\xff", b"\x00", b"nan", b"."))
            data = data[:place] + odd + data[place + rng.randrange(3) :]
        sessions += read(lambda d=data: contents(kind, d, None, tmp_path / "x.csv"))
    assert sessions
    reads_back(sessions, tmp_path / "w.jsonl")


def test_nothing_that_is_wrong_in_a_conversation_s_files_is_a_traceback(tmp_path: Path) -> None:
    rng = random.Random("mutations of a conversation")
    folder = conversation(tmp_path / "c", TALK, USAGE)
    files = sorted(folder.rglob("*.json"))
    whole = {path: json.loads(path.read_text()) for path in files}
    kind = format_named("openhands")
    sessions: list[Session] = []
    for _ in range(EACH // 4):
        path = rng.choice(files)
        save(path, mutated(whole[path], rng))
        sessions += read(lambda: kind.contents(folder, BY_WORDS))
        save(path, whole[path])
    reads_back(sessions, tmp_path / "w.jsonl")


def grown(record: Any) -> Any:
    """With its longest list so long that keys behind it are not in a file's head."""
    record = deepcopy(record)
    lists = [at(record, path) for path in places(record)]
    longest = max((one for one in lists if isinstance(one, list)), key=lambda one: len(str(one)))
    longest *= 2**19 // len(json.dumps(longest)) + 1
    return record


DOCUMENTS = {
    **{kind: base for kind, base in BASES.items() if kind.split()[0] not in (*LINES, "hf")},
    "aiperf inputs": INPUTS,
    "langfuse page": {"data": LANGFUSE, "meta": {"page": 1}},
    "langfuse trace": {"id": "t1", "name": "run", "observations": LANGFUSE},
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_long_document_is_told_by_what_its_head_holds(
    tmp_path: Path, kind: str, indent: int | None
) -> None:
    path = tmp_path / ("x.traj.json" if kind == "miniswe" else "x.json")
    path.write_text(json.dumps(grown(DOCUMENTS[kind]), indent=indent))
    found = recognised(path).format
    assert found is not None
    assert found.name == kind.split()[0]


def test_nothing_that_is_wrong_in_a_file_keeps_it_from_being_told(tmp_path: Path) -> None:
    rng = random.Random("mutations of what is recognised")
    path = tmp_path / "x.json"
    for _ in range(EACH // 4):
        kind = rng.choice([kind for kind in BASES if not kind.startswith("hf")])
        path.write_bytes(torn(dumped(kind, mutated(BASES[kind], rng)), rng))
        found = recognised(path)
        assert found.why
        assert "\n" not in found.why


def test_events_of_a_run_that_hang_in_the_air_are_one_sentence(tmp_path: Path) -> None:
    from metrics.story import a_round, a_session
    from workload.test_recorded_run import played

    rng = random.Random("mutations of a run")
    rounds = [*a_round("a", 0, ready=3, first=4, end=5), *a_round("a", 1, ready=7, first=8, end=9)]
    run = played(tmp_path, a_session("a", 3, 9, rounds=rounds)).path
    with open_events(run) as file:
        lines = file.readlines()
    kind = format_named("run")
    for _ in range(EACH // 10):
        kept = [line for line in lines if rng.random() > 0.2]
        rng.shuffle(kept)
        (run / "events.jsonl").write_bytes(b"".join(kept))
        read(lambda: kind.contents(run, Fallback()))
