"""Events as lines: the bytes of the standard library's JSON, and what is read back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsbench.core.events import EVENT_TYPES, Event, Evicted, KvUsage, SessionEnded, read_events
from marsbench.errors import UsageError

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


def line_of(event: Any) -> str:
    fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(event)}
    return json.dumps({"event": event.kind, **fields}, separators=(",", ":"))


@given(kind=st.sampled_from(sorted(EVENT_TYPES)), data=st.data())
def test_a_line_is_what_json_writes_whatever_the_values(kind: str, data: st.DataObject) -> None:
    cls = EVENT_TYPES[kind]
    event = cls(*(data.draw(VALUES) for _ in dataclasses.fields(cls)))
    assert event.to_json() == line_of(event)


def test_a_number_of_numpy_is_written_as_a_number() -> None:
    assert Evicted(np.float64(0.1), "a", 3).to_json() == Evicted(0.1, "a", 3).to_json()


@pytest.mark.parametrize("at", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_not_written(at: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Evicted(at, "a", 3).to_json()


STORY = [
    Evicted(1.0, "a", 2),
    KvUsage(1.0, 1, 2, 3, 4, 5, 6),
    SessionEnded(2.0, "ä\u2028", "finished"),
]


def written(path: Path, *more: str) -> Path:
    lines = [event.to_json() for event in STORY]
    path.write_text("".join(line + "\n" for line in [*lines, *more]), encoding="utf-8")
    return path


def read(path: Path, kinds: Collection[str] = EVENT_TYPES) -> list[Event]:
    with path.open("rb") as lines:
        return list(read_events(lines, str(path), kinds))


def test_events_of_some_kinds_alone_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "events.jsonl")
    assert read(path) == STORY
    assert read(path, {"kv_usage"}) == [STORY[1]]


def test_a_line_may_be_written_in_another_order(tmp_path: Path) -> None:
    other = '{"at": 3.0, "owner": "b", "event": "evicted", "blocks": 1}'
    path = written(tmp_path / "events.jsonl", other)
    assert read(path)[-1] == Evicted(3.0, "b", 1)
    assert read(path, {"kv_usage"}) == [STORY[1]]


@pytest.mark.parametrize("wrong", ['{"event":"nonsense","at":1.0}', "[]", "{", "\ud800"])
def test_a_line_that_is_no_event_is_named_whatever_is_read(tmp_path: Path, wrong: str) -> None:
    path = written(tmp_path / "events.jsonl")
    path.write_bytes(path.read_bytes() + wrong.encode(errors="surrogatepass") + b"\n")
    with pytest.raises(UsageError, match=r"events\.jsonl:4 is not an event"):
        read(path, {"kv_usage"})
