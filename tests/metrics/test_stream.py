"""A file's events by type: the columns are decoded many lines at once, and are the same."""

from __future__ import annotations

import math
from collections.abc import Collection

import pytest

from marsbench.core.events import EVENT_TYPES, Event, Evicted, KvUsage, RoundReady, read_events
from marsbench.core.metrics import stream as module
from marsbench.core.metrics.stream import Stream
from marsbench.errors import UsageError

STORY: list[Event] = [
    RoundReady(0.5, "a", 0),
    KvUsage(1.0, 3, None, 7, 1, 0, 0),
    Evicted(1.5, "a", 2),
    Evicted(2.5, "b", 1),
    KvUsage(3.0, None, 4, 9, 0, 1, 2),
    Evicted(3.5, "a", 5),
]
ODD = b'{"at": 4.0, "owner": "c", "event": "evicted", "blocks": 6}\n'


def lines_of(events: list[Event]) -> list[bytes]:
    return [event.to_json().encode() + b"\n" for event in events]


def columns(stream: Stream) -> tuple[object, ...]:
    usage = [tuple(None if math.isnan(v) else v for v in row) for row in stream.usage.rows()]
    return [*stream.evicted.rows()], usage, stream.of(RoundReady), stream.end_s


@pytest.mark.parametrize("chunk", [1, 2, 100])
@pytest.mark.parametrize("kinds", [EVENT_TYPES, {"kv_usage"}, {"round_ready", "evicted"}])
def test_what_is_read_is_what_one_event_after_another_gives(
    chunk: int, kinds: Collection[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_LINES", chunk)
    lines = [
        *lines_of(STORY),
        ODD,
        *lines_of(STORY),
        b'{"event":"evicted","at":9.0,"owner":"a","bl',
    ]
    one_by_one = Stream(read_events(lines, "there", kinds))
    assert columns(Stream.read(lines, "there", kinds)) == columns(one_by_one)


def test_a_last_line_without_its_end_is_left_out_though_it_could_be_read() -> None:
    lines = lines_of(STORY)
    assert columns(Stream.read([*lines, lines[2][:-1]], "there")) == columns(Stream(STORY))


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("wrong", [b'{"event":"evicted","at":"x"}\n', b"[]\n"])
def test_a_line_that_is_no_event_is_named(
    wrong: bytes, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_LINES", chunk)
    lines = [*lines_of(STORY), wrong, *lines_of(STORY)]
    with pytest.raises(UsageError, match="there:7 is not an event"):
        Stream.read(lines, "there")


def test_a_part_holds_both_ends() -> None:
    part = Stream(STORY).between(1.5, 3.0)
    assert [*part.evicted.rows()] == [(1.5, "a", 2), (2.5, "b", 1)]
    assert [row[0] for row in part.usage.rows()] == [3.0]
    assert part.end_s == 3.0
