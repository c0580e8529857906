"""What a cell's hash is of: what to play, and the code that decides a simulation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from marsbench.core import code
from marsbench.judge.sweep.cells import cells_of
from marsbench.judge.sweep.play import inputs_hash
from marsbench.judge.sweep.spec import SweepFile

SWEEP = SweepFile.model_validate(
    {"backends": ["fcfs"], "workloads": [{"name": "ilr-1", "loads": [0.5]}], "seeds": [1]}
)


def test_another_vllm_is_another_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = cells_of(SWEEP, Path())
    before = inputs_hash(cell)
    monkeypatch.setattr(code, "version", lambda name: "99")
    code._hash.cache_clear()
    assert inputs_hash(cell) != before
    monkeypatch.undo()
    code._hash.cache_clear()
    assert inputs_hash(cell) == before


def test_another_seed_is_another_cell() -> None:
    (cell,) = cells_of(SWEEP, Path())
    assert inputs_hash(cell) != inputs_hash(replace(cell, knobs=replace(cell.knobs, seed=2)))
