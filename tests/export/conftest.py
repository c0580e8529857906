"""A small run: one session finished, one sub-agent of it, and one session that failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsbench.core.events import Event, KvUsage
from marsbench.report.export.results import Results, read_results
from marsbench.runs import Provenance, RunConfig, RunFolder
from metrics.story import a_round, a_session, told

CODE = Provenance(versions={"marsbench": "0.1.0", "vllm": "0.33.0"}, commit="3f2a91c", dirty=False)
HARDWARE = {
    "id": "h200:m:bf16", "model": "m", "gpu": "h200", "precision": "bf16", "tensor_parallel": 2,
    "kv_tokens": 1600,
}  # fmt: skip
EVENTS = told(
    a_session(
        "a",
        0.0,
        10.0,
        rounds=[
            *a_round("a", 0, ready=0, submit=1, first=2, end=4, prompt=100, output=11),
            *a_round("a", 1, ready=5, first=6, end=10, prompt=200, output=1),
        ],
    ),
    a_session("a/r0c0", 4.0, 5.0, parent="a"),
    a_session(
        "b",
        1.0,
        12.0,
        outcome="failed",
        rounds=a_round("b", 0, ready=1, first=None, end=None, prompt=300),
    ),
    [KvUsage(at, 50, 0, 50, 1, 0, 0) for at in (0.0, 10.0)],
)


def written(folder: Path, events: list[Event], **fields: object) -> Path:
    config = RunConfig(
        **{
            "backend": "mars", "workload": "ilr-1", "workload_hash": "91c2", "seed": 7,
            "offered_sessions": 2, "block_size": 16, "total_blocks": 100, "hardware": HARDWARE,
            "params": {"alpha": 2}, "settings": {"max_num_seqs": 4}, "code": CODE, **fields,
        }
    )  # fmt: skip
    with RunFolder.create(folder, config) as run:
        for event in events:
            run.emit(event)
        run.save_ideal({"a": 5.0, "b": 5.0})
        run.finish()
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return written(tmp_path / "run", EVENTS)


@pytest.fixture
def results(run: Path) -> Results:
    return read_results(run)


@pytest.fixture
def empty(tmp_path: Path) -> Results:
    """A run that nothing is known of: no session arrived, and the hardware is not known."""
    return read_results(written(tmp_path / "empty", [], hardware={}, total_blocks=None))
