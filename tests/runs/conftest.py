"""A small run, and a configuration that depends on no checkout."""

from __future__ import annotations

import pytest

from marsbench.core.events import KvUsage
from marsbench.runs import Provenance, RunConfig, RunFolder
from marsbench.runs.event_file import EVENTS as EVENTS_FILE
from marsbench.runs.event_file import PACKED, open_events
from metrics.story import a_session, told

CODE = Provenance(versions={"marsbench": "0.1.0", "vllm": None}, commit="3f2a91c" * 5, dirty=False)
EVENTS = told(
    a_session("a", 0.0, 10.0),
    a_session("b", 5.0, 35.0),
    [KvUsage(at, 10, 0, 90, 1, 0, 0) for at in (0.0, 10.0)],
)
IDEAL = {"b": 10.0, "a": 10.0}


@pytest.fixture
def config():
    return RunConfig(
        backend="fcfs",
        workload="ilr-1",
        workload_hash="91c2",
        seed=7,
        offered_sessions=2,
        block_size=16,
        total_blocks=100,
        code=CODE,
    )


@pytest.fixture
def finished(tmp_path, config):
    """The folder of a run that went to its end."""
    with RunFolder.create(tmp_path / "run", config) as run:
        for event in EVENTS:
            run.emit(event)
        run.save_ideal(IDEAL)
        run.finish()
    return RunFolder.open(run.path)


@pytest.fixture
def unpacked(finished):
    """The same as another marsbench left it, or a user unpacked it: its events in plain lines."""
    with open_events(finished.path) as lines:
        (finished.path / EVENTS_FILE).write_bytes(lines.read())
    (finished.path / PACKED).unlink()
    return finished
