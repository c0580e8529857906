"""Reads what OpenHands leaves on disk: V1 conversations (folders) and V0 histories (output.jsonl).

A V1 conversation is a folder with `base_state.json` and `events/`; a V0 file has one session a
line.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from marsbench.formats.fallback import Fallback
from marsbench.formats.openhands_v0 import v0_session
from marsbench.formats.openhands_v1 import STATE, v1_session
from marsbench.formats.reading import (
    ImportResult,
    ReadError,
    SessionSource,
    TrackSources,
    failed,
    gather,
    line_sources,
)


def import_openhands(
    paths: Sequence[Path], fallback: Fallback, track: TrackSources | None = None
) -> ImportResult:
    """The sessions of these conversations (or folders of them) and histories."""
    return gather([source for path in paths for source in _sources(path, fallback)], track)


def _sources(path: Path, fallback: Fallback) -> list[SessionSource]:
    if not path.is_dir():
        return line_sources(path, partial(v0_session, fallback=fallback))
    folders = sorted(state.parent for state in path.rglob(STATE))
    if not folders:
        return [failed(str(path), ReadError(f"holds no conversation (no {STATE} at any depth)"))]
    return [SessionSource(str(folder), partial(v1_session, folder, fallback)) for folder in folders]
