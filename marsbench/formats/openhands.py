"""Reads what OpenHands leaves on disk: V1 conversations (folders) and V0 histories (output.jsonl).

A V1 conversation is a folder with `base_state.json` and `events/`; a V0 file has one session a
line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.gathering import ImportResult, TrackSources, gather
from marsbench.formats.openhands_v0 import v0_session
from marsbench.formats.openhands_v1 import STATE, v1_row, v1_session
from marsbench.formats.opening import lines_of
from marsbench.formats.reading import Contents, ReadError, Reading, SessionSource, sources_of


def import_openhands(
    paths: Sequence[Path], fallback: Fallback, track: TrackSources | None = None
) -> ImportResult:
    """The sessions of these conversations (or folders of them) and histories."""
    return gather((FORMAT.contents(path, fallback) for path in paths), track)


def read_openhands(path: Path, fallback: Fallback) -> Contents:
    """The conversations of a folder, at any depth, or the rows of an output.jsonl."""
    if not path.is_dir():
        return Contents(sources_of(lines_of(path), partial(_row, fallback=fallback), str(path)))
    folders = sorted(state.parent for state in path.rglob(STATE))
    if not folders:
        raise ReadError(f"holds no conversation (no {STATE} at any depth)")
    return Contents(
        SessionSource(str(folder), partial(v1_session, folder, fallback)) for folder in folders
    )


def _row(record: Any, _place: str, fallback: Fallback) -> Reading:
    """Of V1 where its events have a kind."""
    history = record.get("history") if isinstance(record, Mapping) else None
    return (v1_row if _has_kinds(history) else v0_session)(record, fallback)


def _has_kinds(history: Any) -> bool:
    first = history[0] if isinstance(history, list) and history else None
    return isinstance(first, Mapping) and "kind" in first


def _recognised(head: Head) -> str | None:
    if (head.path / STATE).is_file():
        return f"it holds a conversation ({STATE})"
    if head.has("instance_id", "history"):
        return "its rows have an instance_id and a history"
    return None


FORMAT = Format(
    name="openhands",
    title="trajectories of OpenHands",
    tried=(
        "V0 0.30, its evaluation's rows (2025-05)",
        "V1 SDK 1.58.0 (2026-10), its evaluation's rows too",
        "SDK 1.58.2, conversations (2026-11-26)",
    ),
    recognise=_recognised,
    read=read_openhands,
    takes_folders=True,
)
