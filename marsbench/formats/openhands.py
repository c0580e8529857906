"""Reads what OpenHands leaves on disk: V1 conversations (folders) and V0 histories (output.jsonl).

A V1 conversation is a folder with `base_state.json` and `events/`; a V0 file has one session a
line.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from marsbench.formats.openhands_v0 import v0_session
from marsbench.formats.openhands_v1 import STATE, v1_session
from marsbench.formats.reading import (
    ImportResult,
    ReadError,
    Reading,
    Source,
    TrackSources,
    failed,
    gather,
    json_of,
    line_sources,
)
from marsbench.formats.stated import Stated


def import_openhands(
    paths: Sequence[Path], stated: Stated, track: TrackSources | None = None
) -> ImportResult:
    """The sessions of these conversations (or folders of them) and histories."""
    return gather([source for path in paths for source in _sources(path, stated)], track)


def _sources(path: Path, stated: Stated) -> list[Source]:
    if not path.is_dir():
        return line_sources([path], partial(_line, stated))
    folders = sorted(state.parent for state in path.rglob(STATE))
    if not folders:
        return [failed(str(path), ReadError(f"holds no conversation (no {STATE} at any depth)"))]
    return [Source(str(folder), partial(v1_session, folder, stated)) for folder in folders]


def _line(stated: Stated, line: str, _place: str) -> Reading:
    return v0_session(json_of(line), stated)
