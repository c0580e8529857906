"""Runs told in a few numbers, written as a run leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from marsbench.judge.sweep.folder import CELL, PLAN, write_json
from marsbench.runs import Provenance, RunConfig, RunFolder
from metrics.story import a_round, a_session, told

CODE = Provenance(versions={"marsbench": "0.1.0"}, commit="3f2a91c" * 5, dirty=False)
HARDWARE = {"id": "h200:m:bf16", "gpu": "h200", "model": "m", "hash": "fd5e", "mean_gpu_s": 1.0}
IDEAL_S = 10.0
PLACE = {
    "workload": "ilr-1",
    "load": 0.9,
    "rate": None,
    "hardware": "h200",
    "engine": "paper",
    "variation": "base",
}


def write_run(
    path: Path,
    backend: str = "fcfs",
    latencies: Mapping[str, float] | None = None,
    *,
    seed: int | None = 1,
    prompts: Mapping[str, int] | None = None,
    tenants: Mapping[str, str] | None = None,
    unfinished: tuple[str, ...] = (),
    failed: tuple[str, ...] = (),
    **config: object,
) -> Path:
    """A run in which each session took so long, and 10 s alone; of those named some failed."""
    sizes, whose = prompts or {}, tenants or {}
    story = []
    for name, latency_s in (latencies or {"a": 10.0, "b": 30.0}).items():
        rounds = a_round(name, first=1.0, end=latency_s, prompt=sizes.get(name, 160))
        end = None if name in unfinished else latency_s
        tenant = whose.get(name, "default")
        outcome = "failed" if name in failed else "finished"
        story.append(a_session(name, 0.0, end, rounds=rounds, outcome=outcome, tenant=tenant))
    fields = {
        "workload": "ilr-1",
        "workload_hash": f"91c2-{seed}",
        "workload_meta": {"load": 0.9, "rate": 0.01 * (seed or 1)},
        "hardware": HARDWARE,
        "settings": {"tool_cores": 8},
        "block_size": 16,
        "total_blocks": 100,
        "code": CODE,
        **config,
    }
    with RunFolder.create(path, RunConfig(backend=backend, seed=seed, **fields)) as run:
        for event in told(*story):
            run.emit(event)
        run.save_ideal(dict.fromkeys(latencies or ("a", "b"), IDEAL_S))
        run.finish()
    return path


def write_sweep(
    path: Path,
    results: Mapping[str, Mapping[int, Mapping[str, float]]],
    planned: tuple[str, ...] = (),
    tools: str | None = None,
    **place: object,
) -> Path:
    """A sweep at one place: {backend: {seed: {session: latency}}}. tools: the mix."""
    cells = []
    for backend, seeds in results.items():
        for seed, latencies in seeds.items():
            name = f"{backend}_seed{seed}"
            meta = {"load": 0.9, "rate": 0.01 * seed, "tools": tools}
            write_run(path / name, backend, latencies, seed=seed, workload_meta=meta)
            where = {**PLACE, **place, "backend": backend, "seed": seed}
            write_json(path / name / CELL, {"marsbench_cell": 1, "inputs": "", **where})
            cells.append(name)
    plan = {"marsbench_sweep": 1, "name": path.name, "file": "", "cells": [*cells, *planned]}
    write_json(path / PLAN, plan)
    return path


def seeds(*latencies: Mapping[str, float]) -> dict[int, Mapping[str, float]]:
    """Seeds 1, 2, … with these sessions."""
    return dict(enumerate(latencies, start=1))
